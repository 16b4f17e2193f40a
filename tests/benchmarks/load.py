"""The client: sends requests from a process of its own, and notes when each was due, when it was answered, and how.

Closed loop: each client sends the next request when the last is answered; shows what a server can do.
Open loop: requests come when they come (Poisson), answered or not; shows what users wait. A request's latency counts
from when it was due, so that a client held up by a slow server does not flatter it.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import ParamSpec, TypeVar

import numpy as np
import uvloop
from numpy.typing import NDArray

from tests.benchmarks.connections import Connections, post
from tests.benchmarks.mail import SEED
from tests.benchmarks.running import cpu_s

JSON = {"Content-Type": "application/json"}
RAW = {"Content-Type": "message/rfc822"}
NO_ANSWER = 0  # in place of a status: the connection was refused or broken
TIMEOUT_S = 120.0

Given = ParamSpec("Given")
Returned = TypeVar("Returned")


@dataclass(frozen=True, slots=True)
class Work:
    """Requests that are sent in turn, from the first again after the last."""

    url: str
    bodies: Sequence[bytes]
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    messages: int = 1  # in each body


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast messages were handled. CPU time tells on a busy machine too what each costs."""

    per_second: float
    cpu_s: float  # of one message, in all processes that handle them


@dataclass(slots=True)
class Replies:
    """What came back, an entry a request. Times in seconds of time.monotonic, which all processes share."""

    body: list[int] = field(default_factory=list)  # which of the bodies was sent
    due_s: list[float] = field(default_factory=list)
    sent_s: list[float] = field(default_factory=list)
    done_s: list[float] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    retry_after: list[str] = field(default_factory=list)  # as the header had it, else ""
    text: list[bytes] = field(default_factory=list)  # empty unless kept
    started_s: float = 0.0
    ended_s: float = 0.0  # when the last request was due; answers may come later
    cpu_s: float = 0.0  # of the client
    warm_up_requests: int = 0  # answered before; not among the entries

    def latency_s(self, *statuses: int) -> NDArray[np.float64]:
        """Return due to done of each request that got one of these statuses; of all without any."""
        latency_N: NDArray[np.float64] = np.array(self.done_s) - np.array(self.due_s)
        return latency_N[np.isin(self.status, statuses)] if statuses else latency_N

    def quantile_s(self, share: float, *statuses: int) -> float:
        """Return the latency that this share of the requests with these statuses keeps; NaN where there are none."""
        latency_N = self.latency_s(*statuses)
        return float(np.quantile(latency_N, share)) if len(latency_N) else float("nan")

    def lag_s(self, share: float) -> float:
        """Return how late this share of the requests was sent, at most: a client that cannot keep up shows here."""
        return float(np.quantile(np.array(self.sent_s) - np.array(self.due_s), share))

    def count(self, status: int) -> int:
        """Return how many requests got this status."""
        return self.status.count(status)

    def per_second(self, status: int = 200) -> float:
        """Return answers of this status a second; one that was under way at the end counts by its share before it."""
        sent_N, done_N = (np.array(times)[np.isin(self.status, [status])] for times in (self.sent_s, self.done_s))
        before_N = np.clip((self.ended_s - sent_N) / np.maximum(done_N - sent_N, 1e-9), 0, 1)
        return float(np.sum(before_N)) / (self.ended_s - self.started_s)

    @property
    def cpu_share(self) -> float:
        """What the client took of one core."""
        return self.cpu_s / (max(self.done_s, default=self.ended_s) - self.started_s)


def apart(function: Callable[Given, Returned], *args: Given.args, **named: Given.kwargs) -> Returned:
    """Call a function of a module in a fresh process and return what it returns."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *args, **named).result()


def closed_loop(work: Work, *, clients: int, seconds: float, warm_up_s: float = 1.0, keep: bool = False) -> Replies:
    """Let clients send requests one after the other for so long; call it `apart`.

    A client stops at the first request that gets no answer. With `keep` the bodies of the answers are kept.
    """
    warm_up = uvloop.run(_closed(work, clients, warm_up_s, keep=False)) if warm_up_s else Replies()
    replies = uvloop.run(_closed(work, clients, seconds, keep))
    replies.warm_up_requests = len(warm_up.status)
    return replies


def one_each(work: Work, *, clients: int) -> Replies:
    """Let each client send one request, all at once, and keep the answers; call it `apart`."""
    return uvloop.run(_closed(work, clients, TIMEOUT_S, keep=True, requests_each=1))


def open_loop(work: Work, *, per_second: float, seconds: float, keep: bool = False) -> Replies:
    """Send requests at random times, so many a second on average; call it `apart`."""
    return uvloop.run(_open(work, per_second, seconds, keep))


def closed_rate(work: Work, *, clients: int, seconds: float, process_id: int) -> tuple[Replies, Rate]:
    """Run a closed loop in a process of its own against a server; return the replies and the rate of messages.

    It is warmed up for as long as it is measured: caches of words and kernels fill in the first seconds.

    Raises:
        RuntimeError: a request was not answered with 200.
    """
    before_s = cpu_s(process_id)
    replies = apart(closed_loop, work, clients=clients, seconds=seconds, warm_up_s=seconds)
    require_all_200(replies)
    messages = (len(replies.status) + replies.warm_up_requests) * work.messages
    return replies, Rate(replies.per_second() * work.messages, (cpu_s(process_id) - before_s) / messages)


def require_all_200(replies: Replies) -> None:
    """Raise RuntimeError unless there are requests and each was answered with 200."""
    statuses = sorted(set(replies.status))
    if statuses != [200]:
        raise RuntimeError(f"expected 200 for every request, got {statuses}: look at the log of the server")


async def _closed(work: Work, clients: int, seconds: float, keep: bool, requests_each: int | None = None) -> Replies:
    replies, posts = Replies(), _posts(work)

    async def client(number: int) -> None:
        place = number * len(posts) // clients
        for _ in count() if requests_each is None else range(requests_each):
            if time.monotonic() >= replies.ended_s:
                return
            if await _ask(connections, posts, place % len(posts), time.monotonic(), replies, keep) == NO_ANSWER:
                return
            place += 1

    async with Connections(work.url, TIMEOUT_S) as connections:
        replies.started_s, cpu_s = time.monotonic(), time.process_time()
        replies.ended_s = replies.started_s + seconds
        await asyncio.gather(*map(client, range(clients)))
        replies.cpu_s = time.process_time() - cpu_s
    return replies


async def _open(work: Work, per_second: float, seconds: float, keep: bool) -> Replies:
    replies, posts = Replies(), _posts(work)
    gaps = np.random.default_rng(SEED).exponential(1 / per_second, round(per_second * seconds))
    async with Connections(work.url, TIMEOUT_S) as connections, asyncio.TaskGroup() as tasks:
        replies.started_s, cpu_s = time.monotonic(), time.process_time()
        for number, after_s in enumerate(np.cumsum(gaps).tolist()):
            due_s = replies.started_s + after_s
            if (left_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(left_s)
            tasks.create_task(_ask(connections, posts, number % len(posts), due_s, replies, keep))
        replies.ended_s = replies.started_s + float(np.sum(gaps))
    replies.cpu_s = time.process_time() - cpu_s
    return replies


def _posts(work: Work) -> list[bytes]:
    return [post(work.url, body, work.headers) for body in work.bodies]


async def _ask(
    connections: Connections, requests: Sequence[bytes], place: int, due_s: float, replies: Replies, keep: bool
) -> int:
    sent_s = time.monotonic()
    status, retry_after, text = NO_ANSWER, "", b""
    try:
        reply = await connections.send(requests[place])
        status, text = reply.status, reply.body
        retry_after = reply.headers.get(b"retry-after", b"").decode("latin-1")
    except OSError:
        status = NO_ANSWER
    replies.body.append(place)
    replies.due_s.append(due_s)
    replies.sent_s.append(sent_s)
    replies.done_s.append(time.monotonic())
    replies.status.append(status)
    replies.retry_after.append(retry_after)
    replies.text.append(text if keep else b"")
    return status
