"""A real Chromium, and what it did: every request that it made, every line on its console, every dialog."""

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, JSHandle, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Quiet: a browser that calls home on its own would stand in the log of requests.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_MS = 30_000  # on a busy machine: it costs time only where something is wrong


def chromium() -> str:
    """Return the path of the browser; where none is named and none is there, skip."""
    named = os.environ.get("HAMLET_CHROMIUM")
    if named:
        if not Path(named).exists():
            pytest.fail(f"HAMLET_CHROMIUM names {named}, and there is no such file")
        return named
    for name in NAMES:
        if found := shutil.which(name):
            return found
    pytest.skip("install Chromium (Debian: chromium), or name one in HAMLET_CHROMIUM, to run this test")


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the browser with a profile of its own."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page in a window of its own, and what it did."""

    page: Page
    base: str
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of lines that the console may have: a browser writes a line for every refused request."""

    def open(self, path: str = "") -> Page:
        """Go to a view."""
        self.page.goto(self.base + path)
        return self.page

    def read_files(self, files: dict[str, bytes]) -> None:
        """Drop files on the page."""
        self.page.dispatch_event("body", "drop", {"dataTransfer": self._transfer(files)})

    def paste(self, text: str, where: str = "#source") -> None:
        """Put text on the clipboard and paste it with the keyboard."""
        self.page.focus(where)
        self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        self.page.keyboard.press("Control+V")

    def example(self) -> None:
        """Read the example and wait for its verdict."""
        self.page.click("#example")
        self.page.wait_for_selector(".opened")

    def _transfer(self, files: dict[str, bytes]) -> JSHandle:
        encoded = [[name, base64.b64encode(content).decode()] for name, content in files.items()]
        return self.page.evaluate_handle(
            """async (files) => {
                const transfer = new DataTransfer();
                for (const [name, encoded] of files) {
                    const content = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
                    transfer.items.add(new File([content], name));
                }
                return transfer;
            }""",
            encoded,
        )

    def check(self) -> None:
        """Fail where the page did what no page of this service may do."""
        assert self.dialogs == []
        foreign = [url for url in self.requests if not url.startswith(self.base)]
        assert foreign == [], "requests to elsewhere"
        lines = [line for line in self.console if not any(part in line for part in self.expected)]
        assert lines == [], "lines on the console"


@contextmanager
def visit(browser: Browser, base: str, **settings: Any) -> Iterator[Visit]:
    """Open a window with a session of its own; `settings` are those of Browser.new_context."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
    context.set_default_timeout(TIMEOUT_MS)
    parts = urlsplit(base)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=f"{parts.scheme}://{parts.netloc}")
    page = context.new_page()
    opened = Visit(page, base)
    context.on("request", lambda request: opened.requests.append(request.url))
    page.on("console", lambda line: opened.console.append(f"{line.type}: {line.text}"))
    page.on("pageerror", lambda error: opened.console.append(f"uncaught: {error}"))

    def dismiss(dialog: Any) -> None:
        opened.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    try:
        yield opened
        opened.check()
    finally:
        context.close()
