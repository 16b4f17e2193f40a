"""GET /, /docs and their files: as strict a policy as there is, nothing from elsewhere, nothing but what is meant."""

import re
from pathlib import Path

import httpx
import pytest

from service.routers.page import POLICY

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "service" / "page"
FILES = sorted(path for path in FOLDER.iterdir() if path.is_file())


@pytest.mark.parametrize("path", ["/", "/docs", "/page/main.js", "/page/look.css", "/page/example.eml"])
async def test_every_file_comes_with_the_policy_and_is_kept(client: httpx.AsyncClient, path: str) -> None:
    """Nothing inline, nothing framed, no referrer, no guessing of types; asked for again it is 304 without a body."""
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    head = await client.head(path)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])
    again = await client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Content-Security-Policy"] == POLICY
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


def test_the_policy_allows_no_markup_to_act() -> None:
    """No inline script or style, no eval, no frame, no form, no other host, no string that becomes markup."""
    directives = dict(directive.split(" ", 1) for directive in POLICY.split("; "))
    assert directives["default-src"] == directives["frame-ancestors"] == directives["form-action"] == "'none'"
    assert directives["base-uri"] == directives["trusted-types"] == "'none'"
    assert directives["require-trusted-types-for"] == "'script'"
    assert {directives[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert not re.search(r"unsafe|\*|https?:|data:|blob:", POLICY)


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2Fapp.py", "%2e%2e/app.py", "..%5capp.py", "page.py", "index.html%00"]
)
async def test_no_other_file_can_be_had(client: httpx.AsyncClient, name: str) -> None:
    """Whatever the path says, only the files of the page are there."""
    answer = await client.get(f"/page/{name}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_files_have_their_types(client: httpx.AsyncClient) -> None:
    """A browser that may not guess runs modules only as JavaScript and styles only as CSS."""
    types = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
    for path in FILES:
        answer = await client.get(f"/page/{path.name}")
        assert answer.headers["Content-Type"].split(";")[0] == types.get(path.suffix, "message/rfc822"), path.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_a_file_refers_to_is_a_file_of_the_page(path: Path) -> None:
    """No address of another host, but for the namespace of SVG; what is named is there."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".eml":
        assert set(re.findall(r"https?://[^\s\"'`)]+", text)) <= {"http://www.w3.org/2000/svg"}
    names = re.findall(r"(?:from \"\./|[\"']page/)([\w.-]+)", text)
    assert [name for name in names if not (FOLDER / name).exists() and name != "look.css"] == []


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".js"], ids=lambda path: path.name)
def test_no_text_can_become_markup(path: Path) -> None:
    """The page's code has none of the doors by which text becomes markup, a script, or a style."""
    doors = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|new Function|srcdoc|createContextual"
    )
    assert not re.search(doors, path.read_text(encoding="utf-8"))
