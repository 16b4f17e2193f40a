"""The app, put together from its parts."""

from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from service.errors import install_error_handlers
from service.hot_paths import HotPaths
from service.lifespan import lifespan
from service.middleware import BodyLimit, RequestContext
from service.model_folder import LoadClassifier, load_version
from service.routers import feedback, health, metrics, models, oip, page, predict, rspamd
from service.schemas import PredictRequest
from service.schemas_feedback import FeedbackRequest
from service.settings import Settings
from service.state import ServiceState

DESCRIPTION = "Spam detection: emails in, calibrated probabilities and verdicts out."
API_VERSION = "1"


class HamletApp(FastAPI):
    """FastAPI, with a short way past it, and the schemas of the bodies that it does not read itself."""

    hot_paths: HotPaths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        await (self.hot_paths if self.hot_paths.leads(scope) else super().__call__)(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for body in (PredictRequest, FeedbackRequest):
                schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(schema.pop("$defs", {}))
                schemas[body.__name__] = schema
        assert self.openapi_schema is not None
        return self.openapi_schema


def create_app(settings: Settings, load: LoadClassifier = load_version) -> FastAPI:
    """Return an app of its own: nothing is shared with another one, and nothing runs before its lifespan.

    Args:
        settings: checked settings.
        load: gives the classifier of a version; called in a thread.
    """
    app = HamletApp(
        title="Hamlet",
        description=DESCRIPTION,
        version=API_VERSION,
        lifespan=lifespan,
        # FastAPI's pages load scripts from elsewhere; service.routers.page has one that does not.
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = state = ServiceState(settings, load)
    app.hot_paths = HotPaths(state)
    for part in (predict, feedback, models, health, metrics, oip, page, rspamd):
        app.include_router(part.router)
    install_error_handlers(app)
    # The last one added is the first to see a request.
    app.add_middleware(BodyLimit, state=state)
    app.add_middleware(RequestContext, state=state)
    return app
