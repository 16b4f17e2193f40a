"""`python -m tests.page.pictures`: takes the pictures of the README anew, into docs/images.

The report in it is that of the bundled model on the hundred mails of tests/mail, made first; or the one that is named:
`make report` writes reports/bundled/report.html.
"""

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

from tests.conftest import MAIL
from tests.page.browser import open_browser, visit
from tests.service.process import Process
from training.cli import main as evaluate

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "images"
SIZE = ViewportSize(width=1180, height=900)
MOST_BYTES = 200_000
COLOURS = 255  # flat colours and text: nobody sees the difference, and a file has half of the bytes


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, metavar="FILE", help="a report that is there")
    report: Path | None = parser.parse_args().report
    with open_browser() as browser, tempfile.TemporaryDirectory() as folder:
        with Process(Path(folder) / "stderr") as service:
            service.wait_until(service.ready)
            _page(browser, f"http://127.0.0.1:{service.port}/")
        _report(browser, report or _evaluated(Path(folder)))


def _evaluated(folder: Path) -> Path:
    model = ROOT / "models" / (ROOT / "models" / "active").read_text(encoding="utf-8").strip()
    data = [str(MAIL / kind) for kind in ("spam", "ham")]
    if evaluate(["evaluate", "--model", str(model), "--data", *data, "--part", "all", "--out", str(folder)]):
        raise SystemExit("the report could not be made")
    return folder / "report.html"


def _page(browser: Browser, base: str) -> None:
    with visit(browser, base, viewport=SIZE, color_scheme="light", reduced_motion="reduce") as window:
        window.open()
        window.example()
        window.page.mouse.move(0, 0)
        _save(window.page, "page.png")


def _report(browser: Browser, report: Path) -> None:
    context = browser.new_context(viewport=SIZE, color_scheme="light")
    page = context.new_page()
    page.goto(report.resolve().as_uri())
    _save(page, "report.png")
    context.close()


def _save(page: Page, name: str) -> None:
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = FOLDER / name
    shot.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size_bytes = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {shot.width} x {shot.height}, {size_bytes:,} bytes")
    if size_bytes > MOST_BYTES:
        raise SystemExit(f"{name} has {size_bytes:,} bytes, and the README should load fast: at most {MOST_BYTES:,}.")


if __name__ == "__main__":
    main()
