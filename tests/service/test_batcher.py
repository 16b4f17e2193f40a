"""What the batcher promises, on a clock that stands still unless told otherwise."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from service.batcher import Batcher
from service.batcher_contract import (
    BatcherError,
    BatcherLimits,
    ExpiredError,
    Outcome,
    OverloadedError,
    PredictionFailedError,
    WorkerDeadError,
)
from tests.service.fakes import FakeClock, FakeModel, FakeObserver, settle

LATER = 1e9
Results = list[Outcome[str] | BatcherError]


class Bench:
    """A batcher on a bench, with everything around it in reach."""

    def __init__(self, **limits: Any) -> None:
        self.model, self.clock, self.observer = FakeModel(), FakeClock(), FakeObserver()
        self.batcher: Batcher[str, str] = Batcher(self.model.score, BatcherLimits(**limits), self.observer, self.clock)
        self.batcher.start()

    async def request(self, *texts: str, tokens: int = 1, deadline: float = LATER) -> Results:
        with self.batcher.reserve(len(texts), deadline) as reservation:
            return await reservation.score([(text, tokens) for text in texts])

    async def begin(self, *texts: str, tokens: int = 1, deadline: float = LATER) -> asyncio.Task[Results]:
        task = asyncio.create_task(self.request(*texts, tokens=tokens, deadline=deadline))
        await settle()
        return task

    async def hold(self) -> asyncio.Task[Results]:
        """Keep the model busy with one message until `gate` is set."""
        self.model.gate.clear()
        return await self.begin("holds the model")


MakeBench = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def make_bench() -> AsyncIterator[MakeBench]:
    made: list[Bench] = []

    async def make(**limits: Any) -> Bench:
        made.append(Bench(**limits))
        return made[-1]

    yield make
    for bench in made:
        await bench.batcher.stop()


def outputs(results: Results) -> list[Any]:
    return [result.output if isinstance(result, Outcome) else type(result) for result in results]


async def test_a_lone_message_does_not_wait(make_bench: MakeBench) -> None:
    """With nothing else to do, a message is scored at once: the clock has not moved."""
    bench = await make_bench()
    assert outputs(await bench.request("a")) == ["A"]
    assert bench.observer.waits == [0.0]


async def test_messages_that_arrive_while_the_model_is_busy_share_a_batch(make_bench: MakeBench) -> None:
    """Batches form by themselves under load, across requests, and each request gets its own answers in order."""
    bench = await make_bench()
    tasks = [await bench.hold(), await bench.begin("a", "b"), await bench.begin("c")]
    bench.model.gate.set()
    assert [outputs(await task) for task in tasks[1:]] == [["A", "B"], ["C"]]
    assert bench.model.batches == [["holds the model"], ["a", "b", "c"]]


async def test_the_oldest_message_is_always_in_the_next_batch(make_bench: MakeBench) -> None:
    """A long message cannot be overtaken for ever by short ones that fit together better."""
    bench = await make_bench(max_batch_tokens=10, max_batch_messages=4)
    tasks = [await bench.hold(), await bench.begin("long", tokens=100)]
    tasks += [await bench.begin(text, tokens=2) for text in "abcde"]
    bench.model.gate.set()
    await asyncio.gather(*tasks)
    assert bench.model.batches[1:] == [["long"], ["a", "b", "c", "d"], ["e"]]


async def test_messages_of_like_length_are_taken_together(make_bench: MakeBench) -> None:
    """The look-ahead fills a batch with the messages closest in length to the oldest, within the padded tokens."""
    bench = await make_bench(max_batch_tokens=20, max_batch_messages=8)
    tasks = [await bench.hold()]
    for text, tokens in [("a", 5), ("b", 50), ("c", 4), ("d", 40), ("e", 5), ("f", 3)]:
        tasks.append(await bench.begin(text, tokens=tokens))
    bench.model.gate.set()
    await asyncio.gather(*tasks)
    assert bench.model.batches[1:] == [["a", "c", "e", "f"], ["b"], ["d"]]


async def test_the_wait_for_company_counts_from_the_first_message(make_bench: MakeBench) -> None:
    """With batch_wait_s set, later messages do not push back the first one's departure."""
    bench = await make_bench(batch_wait_s=0.010)
    first = await bench.begin("a")
    await bench.clock.advance(0.008)
    second = await bench.begin("b")
    assert bench.model.batches == []
    await bench.clock.advance(0.003)
    assert bench.model.batches == [["a", "b"]]
    assert outputs(await first) + outputs(await second) == ["A", "B"]


async def test_a_full_batch_does_not_wait_for_company(make_bench: MakeBench) -> None:
    """As soon as a batch is full the wait ends."""
    bench = await make_bench(batch_wait_s=60.0, max_batch_messages=2)
    assert outputs(await bench.request("a", "b")) == ["A", "B"]


async def test_a_poison_message_does_not_fail_its_neighbours(make_bench: MakeBench) -> None:
    """When one message breaks a batch, the others still get their scores."""
    bench = await make_bench()

    def fail_on_poison(batch: list[str]) -> list[str]:
        if "poison" in batch:
            raise RuntimeError("boom")
        return [text.upper() for text in batch]

    bench.model.during = fail_on_poison
    results = await bench.request("a", "b", "poison", "c", "d")
    assert outputs(results) == ["A", "B", PredictionFailedError, "C", "D"]
    assert outputs(await bench.request("e")) == ["E"]


async def test_too_few_scores_are_never_handed_out(make_bench: MakeBench) -> None:
    """A model that returns the wrong number of scores fails the messages rather than mixing up their answers."""
    bench = await make_bench()
    bench.model.during = lambda batch: batch[1:]
    assert outputs(await bench.request("a", "b")) == [PredictionFailedError, PredictionFailedError]
    bench.model.during = lambda batch: batch if len(batch) == 1 else batch[1:]
    assert outputs(await bench.request("a", "b", "c")) == ["a", "b", "c"]


async def test_a_cancelled_client_does_not_disturb_its_batch_mates(make_bench: MakeBench) -> None:
    """A request cancelled while its batch runs costs the others nothing."""
    bench = await make_bench()
    held = await bench.hold()
    gone, stays = await bench.begin("gone"), await bench.begin("stays")
    bench.model.gate.set()
    bench.model.gate = asyncio.Event()
    await held
    await settle()
    assert bench.model.batches[-1] == ["gone", "stays"]
    gone.cancel()
    await settle()
    bench.model.gate.set()
    assert outputs(await stays) == ["STAYS"]
    assert bench.batcher.messages_in_flight == 0


async def test_no_work_is_done_for_a_client_that_has_gone(make_bench: MakeBench) -> None:
    """Cancelled while queued, a message leaves the queue at once, is counted, and never reaches the model."""
    bench = await make_bench()
    held, gone = await bench.hold(), await bench.begin("gone", "too", tokens=7)
    assert (bench.batcher.queued_messages, bench.batcher.queued_tokens) == (2, 14)
    gone.cancel()
    await settle()
    assert (bench.batcher.queued_messages, bench.batcher.queued_tokens) == (0, 0)
    bench.model.gate.set()
    await held
    assert bench.model.batches == [["holds the model"]]
    assert bench.observer.dropped == [("cancelled", 2)]


async def test_a_message_past_its_deadline_is_not_scored(make_bench: MakeBench) -> None:
    """What expires in the queue is dropped, counted, and its request is told."""
    bench = await make_bench()
    held = await bench.hold()
    late = await bench.begin("late", deadline=bench.clock.now() + 1)
    await bench.clock.advance(2)
    bench.model.gate.set()
    with pytest.raises(ExpiredError):
        await late
    await held
    assert bench.model.batches == [["holds the model"]]
    assert bench.observer.dropped == [("deadline", 1)]


async def test_admission_is_all_or_nothing(make_bench: MakeBench) -> None:
    """A request with one message too many takes no room at all, and a smaller one still gets in."""
    bench = await make_bench(max_messages_in_flight=4)
    held = await bench.hold()
    with pytest.raises(OverloadedError) as refused:
        await bench.request("a", "b", "c", "d")
    assert refused.value.reason == "messages"
    assert refused.value.retry_after_s >= 1
    assert bench.batcher.messages_in_flight == 1
    fits = await bench.begin("a", "b", "c")
    bench.model.gate.set()
    assert outputs(await fits) == ["A", "B", "C"]
    await held
    assert bench.observer.rejected == ["messages"]


async def test_queued_tokens_are_limited(make_bench: MakeBench) -> None:
    """Few but long messages are refused too, before any of them is queued."""
    bench = await make_bench(max_queued_tokens=100, max_batch_tokens=50)
    tasks = [await bench.hold(), await bench.begin("a", tokens=90)]
    with pytest.raises(OverloadedError) as refused:
        await bench.request("b", "c", tokens=8)
    assert refused.value.reason == "tokens"
    assert bench.batcher.queued_tokens == 90
    bench.model.gate.set()
    await asyncio.gather(*tasks)


async def test_a_request_larger_than_every_limit_is_served_when_it_is_alone(make_bench: MakeBench) -> None:
    """What could never fit is not refused for ever."""
    bench = await make_bench(max_messages_in_flight=2, max_queued_tokens=10, max_batch_tokens=10)
    assert outputs(await bench.request("a", "b", "c", tokens=50)) == ["A", "B", "C"]


async def test_a_wait_past_the_deadline_is_refused_at_once(make_bench: MakeBench) -> None:
    """When the queue needs longer than the request has, it is told so before any work, with when to come back."""
    bench = await make_bench(max_batch_tokens=100)
    for _ in range(3):
        bench.batcher.estimate.observe(100, 2.0)
    tasks = [await bench.hold()] + [await bench.begin("a", tokens=100) for _ in range(5)]
    with pytest.raises(OverloadedError) as refused:
        await bench.request("b", tokens=100, deadline=bench.clock.now() + 3)
    assert refused.value.reason == "deadline"
    assert refused.value.retry_after_s == 11  # five batches of 2 s, and what is left of the message that runs
    bench.model.gate.set()
    await asyncio.gather(*tasks)


async def test_padding_costs_no_time(make_bench: MakeBench) -> None:
    """The network reads messages of like length together: a batch of 1 and 99 tokens takes as long as one of 100."""
    bench = await make_bench()
    bench.model.gate.clear()
    with bench.batcher.reserve(2, LATER) as reservation:
        task = asyncio.create_task(reservation.score([("short", 1), ("long", 99)]))
        await settle()
        await bench.clock.advance(2)
        bench.model.gate.set()
        await task
    assert bench.batcher.estimate.seconds(100, 1) == pytest.approx(2)


async def test_messages_that_are_still_parsed_count_for_the_wait(make_bench: MakeBench) -> None:
    """A batch that takes no time after parsing that takes a second: the second message in flight waits two."""
    bench = await make_bench()
    for _ in range(2):
        with bench.batcher.reserve(1, LATER) as reservation:
            await bench.clock.advance(1)  # parsing
            await reservation.score([("a", 1)])
        await bench.clock.advance(100)  # idle, which counts for nothing
    with bench.batcher.reserve(1, LATER):
        assert bench.batcher.predicted_wait_s() == pytest.approx(1)
        with pytest.raises(OverloadedError) as refused:
            bench.batcher.reserve(1, bench.clock.now() + 2.5)
        assert (refused.value.reason, refused.value.retry_after_s) == ("deadline", 1)
        with bench.batcher.reserve(1, bench.clock.now() + 5.5):
            assert bench.batcher.predicted_wait_s() == pytest.approx(2)
    with bench.batcher.reserve(1, bench.clock.now() + 0.1):  # alone it is always let in
        pass


async def test_a_dead_worker_fails_its_waiters(make_bench: MakeBench) -> None:
    """Nobody hangs on a worker that is gone: the running batch, the queue and later requests all get an error."""
    bench = await make_bench()

    def die(batch: list[str]) -> list[str]:
        raise WorkerDeadError("The inference thread has died.")

    bench.model.during = die
    held, queued = await bench.hold(), await bench.begin("a", "b")
    bench.model.gate.set()
    for task in (held, queued):
        with pytest.raises(WorkerDeadError):
            await task
    with pytest.raises(WorkerDeadError):
        await bench.request("c")
    assert not bench.batcher.alive
    assert bench.batcher.messages_in_flight == 0


async def test_stopping_fails_what_still_waits(make_bench: MakeBench) -> None:
    """After stop() no request is left hanging."""
    bench = await make_bench()
    held, queued = await bench.hold(), await bench.begin("a")
    await bench.batcher.stop()
    for task in (held, queued):
        with pytest.raises(WorkerDeadError):
            await task


async def test_the_observer_hears_of_padding_and_waits(make_bench: MakeBench) -> None:
    """A batch reports its messages, its tokens, its padded tokens and its time."""
    bench = await make_bench()
    tasks = [await bench.hold(), await bench.begin("a", tokens=3), await bench.begin("b", tokens=5)]
    await bench.clock.advance(0.5)
    bench.model.gate.set()
    await asyncio.gather(*tasks)
    assert bench.observer.batches == [(1, 1, 1, 0.5), (2, 8, 10, 0.0)]
    assert bench.observer.waits == [0.0, 0.5, 0.5]


async def test_an_empty_submission_is_answered(make_bench: MakeBench) -> None:
    """A request of which no message could be prepared gets an empty list, not a wait."""
    bench = await make_bench()
    with bench.batcher.reserve(3, LATER) as reservation:
        assert await reservation.score([]) == []
