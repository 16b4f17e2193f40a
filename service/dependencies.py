"""What routes are given: the state, the deadline, the body.

All of it is `async def`: FastAPI runs a plain function in a pool of threads, where it would wait behind the parsing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
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


@contextlib.asynccontextmanager
async def within(deadline: float, state: ServiceState, sentence: str = TOO_LATE) -> AsyncIterator[None]:
    """Cancel what is inside when the deadline passes and raise deadline_exceeded with a sentence."""
    try:
        async with asyncio.timeout(max(deadline - state.clock.now(), 0)) as limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise ApiError(ErrorCode.DEADLINE_EXCEEDED, sentence) from None


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
    task = asyncio.create_task(work)
    watcher = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((task, watcher), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError
        return task.result()
    finally:
        for one in (task, watcher):
            one.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
