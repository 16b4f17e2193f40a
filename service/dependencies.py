"""What routes are given: the state, the deadline, the body.

All of it is `async def`: FastAPI runs a plain function in a pool of threads, where it would wait behind the parsing.
"""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from starlette.requests import ClientDisconnect

from service.deadline import timeout_s_of
from service.decoding import check_message_size
from service.errors import ApiError, ClientGoneError, ErrorCode
from service.middleware import check_request_size
from service.state import ServiceState

Returned = TypeVar("Returned")

TOO_LATE = "The deadline passed before the request was answered; nothing was kept."


async def get_state(request: Request) -> ServiceState:
    """Return the state of the app that the request came to."""
    state = request.app.state.service
    assert isinstance(state, ServiceState)
    return state


State = Annotated[ServiceState, Depends(get_state)]


async def get_deadline(
    state: State,
    x_request_timeout_ms: Annotated[
        str | None, Header(description="Answer 504 after so many milliseconds; can only shorten the service's own.")
    ] = None,
) -> float:
    """Return when the request must be answered, on the clock of the state."""
    return state.clock.now() + timeout_s_of(x_request_timeout_ms, state.settings.request_timeout_ms)


Deadline = Annotated[float, Depends(get_deadline)]


class within:
    """Cancel what is inside the `async with` when the deadline passes, and raise deadline_exceeded with a sentence."""

    __slots__ = ("_limit", "_sentence")

    def __init__(self, deadline: float, state: ServiceState, sentence: str = TOO_LATE) -> None:
        self._limit = asyncio.timeout(max(deadline - state.clock.now(), 0))
        self._sentence = sentence

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, at)
        except TimeoutError:
            raise ApiError(ErrorCode.DEADLINE_EXCEEDED, self._sentence) from None


def require_content_type(request: Request, *accepted: str) -> None:
    """Refuse a body that says it is something else, or that is compressed; saying nothing is fine."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given and given not in accepted:
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"Send this with Content-Type: {accepted[0]}.")
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Send the body without Content-Encoding.")


async def read_body(request: Request, state: ServiceState, *, max_message_bytes: int | None = None) -> bytes:
    """Read the whole body, refusing it early when it announces or shows that it is too large.

    Args:
        request: whose body has not been read.
        state: for the limits.
        max_message_bytes: set when the body is one message; the limit on it.

    Raises:
        ApiError: request_too_large or message_too_large.
        ClientGoneError: the client hung up half-way.
    """
    announced = request.headers.get("content-length", "")
    size_bytes = int(announced) if announced.isascii() and announced.isdigit() else 0
    chunks: list[bytes] = []
    received_bytes = 0
    try:
        if max_message_bytes is not None:
            check_message_size(size_bytes, max_message_bytes)
        check_request_size(size_bytes, state.settings.max_request_bytes)
        async for chunk in request.stream():
            received_bytes += len(chunk)
            if max_message_bytes is not None:
                check_message_size(received_bytes, max_message_bytes)
            chunks.append(chunk)
    except ClientDisconnect:
        raise ClientGoneError from None
    return b"".join(chunks)


async def unless_gone(request: Request, work: Coroutine[Any, Any, Returned]) -> Returned:
    """Run work for a request whose body has been read; cancel it when the client hangs up.

    Raises:
        ClientGoneError: the client hung up.
    """
    task = asyncio.current_task()
    assert task is not None
    is_gone = False

    async def watch() -> None:
        nonlocal is_gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if is_gone:
            task.uncancel()
            raise ClientGoneError from None
        raise
    finally:
        watcher.cancel()
