"""A short way to the two paths that nearly all requests go to: past FastAPI's routing and injection, to the same code.

Of the event loop's time for a mail, FastAPI took more than half, and the event loop shares the interpreter lock with
the threads that parse and score. FastAPI has the same routes, for its OpenAPI document and for whatever has a query.
"""

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.deadline import TIMEOUT_HEADER
from service.dependencies import get_deadline
from service.errors import REFUSALS, api_error, error_response
from service.keys import bearer, require_key
from service.routers import predict
from service.state import ServiceState


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
            await require_key(state, await bearer(request))
            deadline = await get_deadline(state, request.headers.get(TIMEOUT_HEADER))
            response = await route.endpoint(request, state, deadline)
        except REFUSALS as error:
            response = error_response(api_error(error), scope["path"])
        await response(scope, receive, send)
