"""axe-core finds no serious fault, in light and in dark, wide and narrow."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import MAIL
from tests.page.browser import Visit
from tests.page.conftest import Open
from tests.training.test_report import findings
from training.report import write_report

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def start(window: Visit) -> None:
    window.open()


def message(window: Visit) -> None:
    window.open()
    window.example()
    window.page.click("text=This is spam")
    window.page.wait_for_selector(".undo:visible")
    window.page.click("text=Undo")


def messages(window: Visit) -> None:
    window.open()
    window.read_files({path.name: path.read_bytes() for path in sorted((MAIL / "ham").glob("*.eml"))[:2]})
    window.page.locator(".row").first.click()
    window.page.wait_for_selector(".opened")


def model(window: Visit) -> None:
    window.open("#model")
    window.page.wait_for_selector("#live .figures li")
    window.page.locator("#model-card summary").evaluate_all("all => all.forEach((at) => at.click())")


def dialog(window: Visit) -> None:
    window.open("#model")
    window.page.locator(".versions button").first.click()
    window.page.wait_for_selector("#dialog[open]")


def docs(window: Visit) -> None:
    window.open("docs")
    window.page.locator(".operation summary").first.click()


def trouble(window: Visit) -> None:
    window.expected.append("status of 422")
    window.open()
    window.read_files({"empty.eml": b" \n"})
    window.page.wait_for_selector(".trouble")


def faults(page: Page) -> list[str]:
    """Return what axe finds that is serious or critical."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("axe.run()")
    assert found["passes"], "axe did not look"
    return [
        f"{rule['impact']} {rule['id']}: {node['html'][:120]} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("show", [start, message, messages, model, dialog, docs, trouble])
def test_axe_finds_no_fault(open_window: Open, show: Callable[[Visit], None], scheme: str) -> None:
    """Neither serious nor critical: contrast, names, roles, order of headings."""
    width = 360 if scheme == "dark" else 1280
    with open_window(color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce") as window:
        show(window)
        assert faults(window.page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_in_the_report(browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"]) -> None:
    """The report of training has the look of the page, and is held to the same."""
    path = tmp_path / "report.html"
    write_report(findings(), path)
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(path.as_uri())
    assert faults(page) == []
    context.close()
