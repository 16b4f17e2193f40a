"""A running app around a fake classifier, and a client for it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from service.state import ServiceState
from tests.service.databases import postgres_schema
from tests.service.fakes import FakeClassifier
from tests.service.versions import Versions, make_versions

OpenApp = Callable[..., AbstractAsyncContextManager[tuple[httpx.AsyncClient, ServiceState]]]


@pytest.fixture(autouse=True)
def feedback_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where apps of this test keep feedback: never in the home of whoever runs the tests."""
    path = tmp_path / "feedback.db"
    monkeypatch.setenv("HAMLET_DATABASE_URL", f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return an empty database for feedback, of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/journal.db"
    else:
        with postgres_schema() as url:
            yield url


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """A folder of real versions; each test says which is active."""
    return make_versions(tmp_path_factory.mktemp("models"))


@pytest.fixture
def classifier() -> FakeClassifier:
    """The classifier in service."""
    return FakeClassifier()


@pytest.fixture
def open_app(classifier: FakeClassifier) -> OpenApp:
    """Return a context manager: settings in, a client and the state of a started app out."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, ServiceState]]:
        app = create_app(Settings(**settings), lambda *_: classifier)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            await app.state.service.started()
            try:
                yield client, app.state.service
            finally:
                classifier.may_score.set()

    return opened


@pytest.fixture
async def client(open_app: OpenApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app with default settings."""
    async with open_app() as (client, _):
        yield client
