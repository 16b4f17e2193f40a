"""One request until it is answered, without sending anything itself: what to send and how long to wait is yielded.

Both clients run these steps, each with its own kind of input and output (service.client.clients).
"""

import json
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

from service.client.errors import (
    BadAnswerError,
    ClientError,
    ConnectionFailedError,
    DeadlineError,
    NotFoundError,
    OverloadedError,
    RequestRefusedError,
    ServerError,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
)

Returned = TypeVar("Returned")

_MAY_BE_DONE = (502, 504)  # the service may have done it all the same
_MAX_SECONDS = 1e6  # of a Retry-After, and of a deadline that is told to the service


@dataclass(frozen=True, slots=True)
class Send:
    """Send this and answer with a Reply, or with Lost; take no longer than `seconds`."""

    method: str
    path: str
    content: bytes | None
    headers: Mapping[str, str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]  # names in any case: the Mapping does not tell them apart
    body: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole answer came."""

    why: str
    late: bool  # whether it was the time that ran out


Steps = Generator[Send | Pause, Reply | Lost | None, Returned]


@dataclass(frozen=True, slots=True)
class Retry:
    """When to ask again: after a connection that failed, 429, 502, 503 and 504, with full jitter.

    The pause before attempt n + 1 is anywhere between 0 and min(longest_s, first_s x 2^(n-1)), so that many clients
    that failed together do not come back together; after a Retry-After it is that much later.
    """

    attempts: int = 8
    first_s: float = 0.2
    longest_s: float = 10.0

    def pause_s(self, attempt: int, retry_after_s: float, chance: float) -> float:
        """Return the pause after an attempt (the first is 1); `chance` is in [0, 1)."""
        return retry_after_s + chance * min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, 60))


@dataclass(frozen=True, slots=True)
class Session:
    """What all requests of a client share."""

    retry: Retry
    timeout_s: float
    headers: Mapping[str, str]
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = field(default=random.SystemRandom().random)

    def deadline(self, timeout_s: float | None) -> float:
        """Return when a call that begins now is given up, on the clock."""
        return self.clock() + (self.timeout_s if timeout_s is None else timeout_s)


def exchange(
    session: Session,
    method: str,
    path: str,
    *,
    deadline: float,
    content: bytes | None = None,
    accept: Callable[[int, bool], bool] = lambda status, repeated: False,
) -> Steps[Reply]:
    """Send a request, and again where that may help, until it is answered or its time is up.

    Every request may be repeated: scoring changes nothing, to learn or to forget twice is the same as once.

    Args:
        session: of the client.
        method: of HTTP.
        path: with its query.
        deadline: on the clock of the session.
        content: JSON, if there is a body.
        accept: whether a status that is no success is an answer all the same; told whether it came to a repetition
            of a request that may have been done.

    Raises:
        ClientError: what the last attempt ended with.
    """
    headers = {**session.headers, **({} if content is None else {"Content-Type": "application/json"})}
    attempt = 0
    may_be_done = False
    failure: ClientError | None = None
    while True:
        left_s = deadline - session.clock()
        if left_s <= 0:
            raise failure or DeadlineError("The time was up before anything was sent.")
        attempt += 1
        timeout_ms = max(int(min(left_s, _MAX_SECONDS) * 1000), 1)
        reply = yield Send(method, path, content, {**headers, "X-Request-Timeout-Ms": str(timeout_ms)}, left_s)
        assert reply is not None, "a Send is answered"
        if isinstance(reply, Reply) and (200 <= reply.status < 300 or accept(reply.status, may_be_done)):
            return reply
        failure = error_of(reply, attempt)
        pause_s = session.retry.pause_s(attempt, retry_after_s(reply), session.chance())
        out_of_time = session.clock() + pause_s >= deadline
        if not may_help(reply) or attempt >= session.retry.attempts or out_of_time:
            raise failure
        may_be_done = may_be_done or isinstance(reply, Lost) or reply.status in _MAY_BE_DONE
        yield Pause(pause_s)


def may_help(reply: Reply | Lost) -> bool:
    """Return whether the same request may get another answer soon."""
    return isinstance(reply, Lost) or reply.status in (429, 502, 503, 504)


def retry_after_s(reply: Reply | Lost) -> float:
    """Return what Retry-After asks for, in seconds or as a date; 0.0 where it asks for nothing that can be read."""
    value = reply.headers.get("retry-after", "").strip() if isinstance(reply, Reply) else ""
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), _MAX_SECONDS)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), _MAX_SECONDS)


def error_of(reply: Reply | Lost, attempt: int) -> ClientError:
    """Return what an answer that is no success means; the sentence is the service's own where it gave one."""
    tried = f" (attempt {attempt})" if attempt > 1 else ""
    if isinstance(reply, Lost):
        kind: type[ClientError] = DeadlineError if reply.late else ConnectionFailedError
        return kind(f"{reply.why}{tried}")
    code, sentence = _said(reply)
    return _kind(reply.status)(f"{sentence}{tried}", code=code, status=reply.status)


def _kind(status: int) -> type[ClientError]:
    kinds: dict[int, type[ClientError]] = {
        401: UnauthorizedError,
        403: UnauthorizedError,
        404: NotFoundError,
        413: TooLargeError,
        429: OverloadedError,
        502: UnavailableError,
        503: UnavailableError,
        504: DeadlineError,
    }
    if status in kinds:
        return kinds[status]
    if status >= 500:
        return ServerError
    return RequestRefusedError if status >= 400 else BadAnswerError


def _said(reply: Reply) -> tuple[str | None, str]:
    """Return the code and the sentence of a refusal."""
    try:
        error = json.loads(reply.body)["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, f"The answer has status {reply.status} and does not say why; is it of this service?"
