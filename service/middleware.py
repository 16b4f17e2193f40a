"""Plain ASGI middleware: what every request gets, whatever its route."""

import logging
import random
import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ApiError, ClientGoneError, ErrorCode, api_error, error_response
from service.state import ServiceState

log = logging.getLogger("service.access")

REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_QUIET_ROUTES = ("/health", "/metrics", "/ping", "/ready")
CLIENT_GONE_STATUS = 499  # nginx's name for a client that hung up; never sent, only counted


class RequestContext:
    """Gives each request an id, a line in the log and its place in the metrics, and answers what nobody caught."""

    def __init__(self, app: ASGIApp, state: ServiceState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        request_id = request_id_of(Headers(scope=scope).get(REQUEST_ID_HEADER))
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                if self._state.draining:  # the next request had better go to another instance
                    headers["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientGoneError:
            status = CLIENT_GONE_STATUS
        except Exception as error:
            log.error("request failed", exc_info=error, extra={"fields": {"request_id": request_id}})
            if not status:
                await error_response(api_error(error), scope["path"])(scope, receive, send_with_id)
        finally:
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "unmatched")
            self._state.metrics.request_finished(route, status, seconds)
            log.log(
                logging.DEBUG if route.startswith(_QUIET_ROUTES) else logging.INFO,
                "request",
                extra={
                    "fields": {
                        "request_id": request_id,
                        "method": scope["method"],
                        "route": route,
                        "status": status,
                        "ms": round(seconds * 1000, 2),
                    }
                },
            )


class BodyLimit:
    """Counts the bytes of bodies while they stream in, against the limit of one request and that of all together."""

    def __init__(self, app: ASGIApp, state: ServiceState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received_bytes = 0

        async def counted_receive() -> Message:
            nonlocal received_bytes
            message = await receive()
            size_bytes = len(message.get("body", b""))
            received_bytes += size_bytes
            check_request_size(received_bytes, self._state.settings.max_request_bytes)
            hold(size_bytes)
            return message

        with self._state.holding() as hold:
            await self._app(scope, counted_receive, send)


def check_request_size(size_bytes: int, max_bytes: int) -> None:
    """Raise request_too_large when a body has more bytes than allowed."""
    if size_bytes > max_bytes:
        raise ApiError(ErrorCode.REQUEST_TOO_LARGE, f"The request is too large; at most {max_bytes} bytes are taken.")


def request_id_of(given: str | None) -> str:
    """Return the id that the client gave, if it is short and plain, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
