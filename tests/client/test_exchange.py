"""When a request is sent again, without a network and without waiting: the steps are taken by hand."""

import email.utils
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from service.client.calls import Calls
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
from service.client.exchange import Lost, Pause, Reply, Retry, Send, Session, Steps, exchange, retry_after_s

DROPPED = Lost("The connection failed.", late=False)


def refusal(status: int, code: str = "x", **headers: str) -> Reply:
    lower = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Reply(status, lower, json.dumps({"error": {"code": code, "message": "Not now."}}).encode())


@dataclass
class World:
    """Answers sends, and lets pauses pass at once."""

    answer: Callable[[Send], Reply | Lost]
    now: float = 100.0
    took_s: float = 0.0
    chance: float = 0.5
    sent: list[Send] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def session(self, **retry: Any) -> Session:
        return Session(Retry(**retry), 30.0, {}, clock=lambda: self.now, chance=lambda: self.chance)

    def run(self, steps: Steps[Any]) -> Any:
        reply: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as done:
                return done.value
            if isinstance(step, Pause):
                self.pauses.append(step.seconds)
                self.now += step.seconds
                reply = None
            else:
                self.sent.append(step)
                self.now += self.took_s
                reply = self.answer(step)


def in_turn(*answers: Reply | Lost) -> Callable[[Send], Reply | Lost]:
    left = list(answers)
    return lambda _send: left.pop(0) if len(left) > 1 else left[0]


def ask(world: World, timeout_s: float = 30.0, **retry: Any) -> Any:
    session = world.session(**retry)
    return world.run(exchange(session, "GET", "/x", deadline=session.deadline(timeout_s)))


OK = Reply(200, {}, b"{}")


def test_pauses_double_with_full_jitter_up_to_a_longest() -> None:
    """Half the range each time, where chance is one half."""
    world = World(in_turn(*[DROPPED] * 5, OK))
    assert ask(world, first_s=1.0, longest_s=4.0) == OK
    assert world.pauses == [0.5, 1.0, 2.0, 2.0, 2.0]


def test_retry_after_is_honoured_and_spread() -> None:
    """Never earlier than what was asked for, and not all at the same moment after it."""
    for value in ("3", email.utils.formatdate(time.time() + 3, usegmt=True)):
        world = World(in_turn(refusal(429, Retry_After=value), OK), chance=0.9)
        assert ask(world, first_s=1.0) == OK
        assert 1.9 < world.pauses[0] - 0.9 < 3.1  # a date has whole seconds


@pytest.mark.parametrize("value", ["", "soon", "-5", "1e9", "Wed, 99 Nov 2026 99:00:00 GMT", "\u0663"])
def test_a_retry_after_that_cannot_be_read_is_none(value: str) -> None:
    """Then the pause is that of the attempt."""
    assert retry_after_s(refusal(503, Retry_After=value)) == 0.0


def test_a_pause_beyond_the_deadline_is_not_made() -> None:
    """To wait for what cannot come in time helps nobody: the error comes at once."""
    world = World(in_turn(refusal(429, "overloaded", Retry_After="3600")))
    with pytest.raises(OverloadedError, match="Not now"):
        ask(world)
    assert (len(world.sent), world.pauses) == (1, [])


def test_the_service_is_told_what_is_left_of_the_time() -> None:
    """Each attempt has less of it, and never more than the call as a whole."""
    world = World(in_turn(DROPPED, DROPPED, OK), took_s=4.0)
    ask(world, timeout_s=10.0, first_s=0.0, longest_s=0.0)
    assert [send.headers["X-Request-Timeout-Ms"] for send in world.sent] == ["10000", "6000", "2000"]
    assert [send.seconds for send in world.sent] == [10.0, 6.0, 2.0]


def test_it_gives_up_after_so_many_attempts() -> None:
    """With what the last one ended with."""
    world = World(in_turn(DROPPED, DROPPED, refusal(503, "draining")))
    with pytest.raises(UnavailableError, match=r"Not now\. \(attempt 3\)") as raised:
        ask(world, attempts=3)
    assert (len(world.sent), raised.value.code, raised.value.status) == (3, "draining", 503)


@pytest.mark.parametrize(
    ("answer", "kind", "attempts"),
    [
        (refusal(401), UnauthorizedError, 1),
        (refusal(403), UnauthorizedError, 1),
        (refusal(404), NotFoundError, 1),
        (refusal(413), TooLargeError, 1),
        (refusal(422), RequestRefusedError, 1),
        (refusal(500), ServerError, 1),
        (Reply(302, {}, b""), BadAnswerError, 1),
        (refusal(429), OverloadedError, 3),
        (Reply(502, {}, b"<html>"), UnavailableError, 3),
        (refusal(503), UnavailableError, 3),
        (refusal(504), DeadlineError, 3),
        (DROPPED, ConnectionFailedError, 3),
        (Lost("Too late.", late=True), DeadlineError, 3),
    ],
)
def test_only_what_may_pass_is_asked_again(answer: Reply | Lost, kind: type[ClientError], attempts: int) -> None:
    """Each refusal is an error of its kind."""
    world = World(in_turn(answer))
    with pytest.raises(ClientError) as raised:
        ask(world, attempts=3)
    assert (type(raised.value), len(world.sent)) == (kind, attempts)


def test_to_forget_what_is_gone_is_success_only_where_an_answer_was_lost() -> None:
    """The first attempt may have done it; a 404 to the very first is a mistake."""
    for first, succeeds in ((DROPPED, True), (refusal(504), True), (refusal(503), False)):
        world = World(in_turn(first, refusal(404)))
        calls = Calls(world.session(), max_messages=10, max_bytes=1000)
        if succeeds:
            world.run(calls.forget("a/b", timeout_s=None))
            assert world.sent[0].path == "/v1/feedback/a%2Fb"
        else:
            with pytest.raises(NotFoundError):
                world.run(calls.forget("a/b", timeout_s=None))


def scores(send: Send) -> Reply:
    assert send.content is not None
    messages = json.loads(send.content)["messages"]
    results = [
        {"id": str(place), "verdict": "ham", "spam_probability": 0.1, "tokens": 1, "truncated": False, "defects": []}
        for place, _ in enumerate(messages)
    ]
    model = {"name": "hamlet", "version": "1", "digest": "sha256:"}
    return Reply(200, {}, json.dumps({"model": model, "results": results}).encode())


def test_a_proxy_that_takes_less_halves_the_batch_until_it_fits() -> None:
    """It need not say why; what is too large alone has the error, and the rest has scores."""

    def proxy(send: Send) -> Reply:
        assert send.content is not None
        return Reply(413, {}, b"<html>") if len(send.content) > 700 else scores(send)

    world = World(proxy)
    calls = Calls(world.session(), max_messages=100, max_bytes=10_000)
    (batch,) = calls.batches([b"x" * 30] * 20 + [b"x" * 1000] + [b"x" * 30] * 20)
    results = world.run(calls.predict(batch, explain=False, timeout_s=None))
    assert [place for place, one in enumerate(results) if isinstance(one, ClientError)] == [20]
    assert isinstance(results[20], TooLargeError)
    assert calls.max_bytes <= 1500


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"results": []}', b"[" * 100_000,
        b'{"model": {"name": "a", "version": "b", "digest": "c"}, "results": [{"id": "1"}]}',
        b'{"model": {"name": "a", "version": "b", "digest": "c"}, "results": [{"id": "0", "verdict": "ham", '
        b'"spam_probability": NaN, "tokens": 1, "truncated": false, "defects": []}]}',
    ],
)  # fmt: skip
def test_an_answer_of_something_else_is_an_error(body: bytes) -> None:
    """A success whose body is not that of the contract gives each mail an error, never another's score."""
    world = World(in_turn(Reply(200, {}, body)))
    calls = Calls(world.session(), max_messages=10, max_bytes=1000)
    (batch,) = calls.batches([b"x"])
    (result,) = world.run(calls.predict(batch, explain=False, timeout_s=None))
    assert isinstance(result, BadAnswerError)
