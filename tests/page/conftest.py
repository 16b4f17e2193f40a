"""A browser, a service with several versions and keys, and windows on it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser

from tests.page.browser import Visit, open_browser, visit
from tests.service.process import Process
from tests.service.versions import Versions, make_versions

KEY = "a-key-for-scoring"
ADMIN_KEY = "a-key-for-admins"
# Small, so that what is too large is soon sent. A request may hold what all together may: one that stalls fills it.
MAX_MESSAGE_BYTES = 200_000
MAX_REQUEST_BYTES = 1_048_576


class Open(Protocol):
    """Opens a window."""

    def __call__(self, **settings: Any) -> AbstractContextManager[Visit]:
        """Take settings of Browser.new_context."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file: while it is open, Playwright's event loop keeps asynchronous tests out."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="package")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """Two versions that can be served and two that cannot."""
    return make_versions(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def service(browser: Browser, versions: Versions, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that is open to everybody who scores, and asks admins for a key."""
    log = tmp_path_factory.mktemp("service") / "stderr"
    with Process(log, HAMLET_MODELS=str(versions.folder), HAMLET_ADMIN_KEYS=ADMIN_KEY) as process:
        process.wait_until(process.ready)
        yield process


@pytest.fixture(scope="module")
def strict(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that asks for a key and takes little."""
    log = tmp_path_factory.mktemp("strict") / "stderr"
    limits = {
        "HAMLET_API_KEYS": KEY,
        "HAMLET_MAX_MESSAGE_BYTES": str(MAX_MESSAGE_BYTES),
        "HAMLET_MAX_REQUEST_BYTES": str(MAX_REQUEST_BYTES),
        "HAMLET_MAX_BUFFERED_BYTES": str(MAX_REQUEST_BYTES),
    }
    with Process(log, **limits) as process:
        process.wait_until(process.ready)
        yield process


@pytest.fixture
def window(browser: Browser, service: Process) -> Iterator[Visit]:
    """A window on the service; what it may not do is checked when the test is over."""
    with visit(browser, f"http://127.0.0.1:{service.port}/") as opened:
        yield opened


@pytest.fixture
def open_window(browser: Browser, service: Process) -> Open:
    """The same with settings: a width, a scheme of colours."""
    return partial(visit, browser, f"http://127.0.0.1:{service.port}/")


@pytest.fixture
def strict_window(browser: Browser, strict: Process) -> Iterator[Visit]:
    """A window on the service that takes little."""
    with visit(browser, f"http://127.0.0.1:{strict.port}/") as opened:
        opened.expected.append("Failed to load resource")
        yield opened
