"""What there is no room for is refused as soon as its headers are read, before it is given a task or a route.

At twice the capacity there is as much to refuse as to score, in the one thread that also hands mail to the model.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Collection, Sequence

from starlette.routing import compile_path

from service.batcher_contract import BatcherError
from service.deadline import TIMEOUT_HEADER, timeout_s_of
from service.errors import ApiError, api_error
from service.middleware import REQUEST_ID_HEADER, request_id_of
from service.state import ServiceState

log = logging.getLogger("service.access")

_TIMEOUT_NAME, _REQUEST_ID_NAME = (name.lower().encode("ascii") for name in (TIMEOUT_HEADER, REQUEST_ID_HEADER))

# A line for each refusal would cost more than the refusal: one a period says how many there were.
LOG_EVERY_S = 1.0


class EarlyRefusal:
    """Refuses scoring requests while the service is full. What it lets in is checked again by its route.

    It comes before the check of keys: a full service says 429 to everybody.
    """

    def __init__(self, state: ServiceState, paths: Collection[str]) -> None:
        """Look at POST to these paths alone, which are as routes have them, with names in braces for what varies."""
        self._state = state
        self._routes = {path.encode("ascii"): path for path in paths if "{" not in path}
        self._patterns = [(compile_path(path)[0], path) for path in paths if "{" in path]
        self._unlogged: Counter[str] = Counter()

    def refuse(
        self, method: bytes, url: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> tuple[ApiError, dict[str, str]] | None:
        """Return the refusal of a request and headers for it, or None to let it in.

        Args:
            method: in capitals.
            url: the target of the request, percent-encoded as it came.
            headers: names in lower case.
        """
        route = self._route(url) if method == b"POST" else None
        state = self._state
        # Whatever else is in the way is told by the route, in the words that it documents.
        if route is None or state.draining or state.model is None:
            return None
        started = time.monotonic()
        given = dict(headers)
        try:
            timeout_s = timeout_s_of(_text(given.get(_TIMEOUT_NAME)), state.settings.request_timeout_ms)
            state.batcher.check_room(1, state.clock.now() + timeout_s)
        except BatcherError as error:
            refusal = api_error(error)
        except ApiError:
            return None
        else:
            return None
        state.metrics.request_finished(route, refusal.status, time.monotonic() - started)
        self._log_soon(route)
        return refusal, {REQUEST_ID_HEADER: request_id_of(_text(given.get(_REQUEST_ID_NAME)))}

    def _route(self, url: bytes) -> str | None:
        target = url.partition(b"?")[0]
        route = self._routes.get(target)
        if route is None:
            path = target.decode("ascii", "replace")
            route = next((template for pattern, template in self._patterns if pattern.match(path)), None)
        return route

    def _log_soon(self, route: str) -> None:
        if not self._unlogged:
            asyncio.get_running_loop().call_later(LOG_EVERY_S, self._log)
        self._unlogged[route] += 1

    def _log(self) -> None:
        for route, requests in self._unlogged.items():
            log.info("refused for lack of room", extra={"fields": {"route": route, "requests": requests}})
        self._unlogged.clear()


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")
