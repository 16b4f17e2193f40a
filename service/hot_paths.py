"""A short way to the two paths that nearly all requests go to: past FastAPI's routing and injection, to the same code.

Of the event loop's time for a mail, FastAPI took more than half, and the event loop shares the interpreter lock with
the threads that parse and score. FastAPI has the same routes, for its OpenAPI document and for whatever has a query.
"""

from fastapi import Request
from fastapi.routing import APIRoute
from fastapi.security.utils import get_authorization_scheme_param
from starlette.types import ASGIApp, Receive, Scope, Send

from service.deadline import TIMEOUT_HEADER, timeout_s_of
from service.errors import CODES, ApiError, api_error, error_response
from service.keys import AS_BEARER, check_key
from service.routers import predict
from service.state import ServiceState

# What FastAPI's error handlers make an answer of too.
_REFUSALS: tuple[type[Exception], ...] = (ApiError, *CODES)


class HotPaths:
    """Answers plain POSTs to the paths of `predict`; all else goes on to the app."""

    def __init__(self, app: ASGIApp, state: ServiceState) -> None:
        self._app = app
        self._state = state
        self._routes = {route.path: route for route in predict.router.routes if isinstance(route, APIRoute)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        route = None
        if scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]:
            route = self._routes.get(scope["path"])
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route  # for the log and the metrics
        state, request = self._state, Request(scope, receive)
        try:
            check_key(state.settings, _bearer(request), AS_BEARER)
            timeout_s = timeout_s_of(request.headers.get(TIMEOUT_HEADER), state.settings.request_timeout_ms)
            response = await route.endpoint(request, state, state.clock.now() + timeout_s)
        except _REFUSALS as error:
            response = error_response(api_error(error), scope["path"])
        await response(scope, receive, send)


def _bearer(request: Request) -> str | None:
    scheme, key = get_authorization_scheme_param(request.headers.get("Authorization"))
    return key if scheme.lower() == "bearer" and key else None
