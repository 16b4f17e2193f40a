"""A short way to the two paths that nearly all requests go to: past FastAPI's routing and layers, to the same code.

Of the event loop's time for a mail, FastAPI took more than half. It has the same routes, for its OpenAPI document and
for whatever has a query.
"""

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.deadline import TIMEOUT_HEADER
from service.dependencies import get_deadline
from service.errors import REFUSALS, api_error, error_response
from service.keys import bearer, require_key
from service.middleware import BodyLimit, RequestContext
from service.routers import predict
from service.state import ServiceState


class HotPaths:
    """Answers plain POSTs to the paths of `predict`."""

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._routes = {route.path: route for route in predict.router.routes if isinstance(route, APIRoute)}
        self._inside: ASGIApp = RequestContext(BodyLimit(self._answer, state), state)

    def leads(self, scope: Scope) -> bool:
        """Return whether this is the way for a request."""
        return (
            scope["type"] == "http"
            and scope["path"] in self._routes
            and scope["method"] == "POST"
            and not scope["query_string"]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request that it leads."""
        scope["route"] = self._routes[scope["path"]]  # for the log and the metrics
        await self._inside(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        state, request = self._state, Request(scope, receive)
        try:
            await require_key(state, await bearer(request))
            deadline = await get_deadline(state, request.headers.get(TIMEOUT_HEADER))
            response = await scope["route"].endpoint(request, state, deadline)
        except REFUSALS as error:
            response = error_response(api_error(error), scope["path"])
        await response(scope, receive, send)
