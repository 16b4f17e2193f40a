"""The page and the report look alike: both take colours and type from one file, and have none of their own."""

import re
from pathlib import Path

import httpx
import pytest

import classifier
from service.app import create_app
from service.settings import Settings
from tests.training.test_report import findings
from training.report import page

ROOT = Path(__file__).parents[1]
LOOK = Path(classifier.__file__).with_name("look.css")
STYLES = [*sorted((ROOT / "service" / "page").glob("*.css")), ROOT / "training" / "report.css"]
NAMED = "black white red green blue grey gray silver orange yellow purple navy teal"


async def test_the_report_and_the_page_have_the_same_look() -> None:
    """What the service hands out is, letter for letter, what stands in the report."""
    look = LOOK.read_text(encoding="utf-8")
    assert look in page(findings())
    transport = httpx.ASGITransport(create_app(Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/page/look.css")).text == look


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.name)
def test_no_other_style_has_colours_or_fonts_of_its_own(path: Path) -> None:
    """A colour or a family of type is named in look.css alone; others refer to it."""
    declarations = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    colours = r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)|\b(?:rgb|hsl|oklch|oklab|lab|lch|hwb|light-dark)a?\("
    assert re.findall(colours, declarations) == []
    values = " ".join(re.findall(r":([^;{}]*)[;}]", declarations))
    assert [name for name in NAMED.split() if re.search(rf"\b{name}\b", values)] == []
    families = re.findall(r"font(?:-family)?:\s*([^;}]+)", declarations)
    assert [value for value in families if "var(--" not in value and value.strip() != "inherit"] == []


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.name)
def test_every_token_that_is_used_is_defined(path: Path) -> None:
    """A misspelt variable would silently give no colour."""
    text = path.read_text(encoding="utf-8")
    scripts = "".join(script.read_text(encoding="utf-8") for script in (ROOT / "service" / "page").glob("*.js"))
    set_by_scripts = set(re.findall(r"vars: \{ ([^}]+) \}", scripts))
    defined = set(re.findall(r"(--[\w-]+)\s*:", LOOK.read_text(encoding="utf-8") + text))
    defined |= {f"--{name.split(':')[0].strip()}" for group in set_by_scripts for name in group.split(",")}
    assert set(re.findall(r"var\((--[\w-]+)", text)) - defined == set()
