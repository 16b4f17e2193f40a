"""Many small requests in, few large batches out. Knows neither torch nor the web.

A request reserves room for all of its messages at once (or none), submits them when they are prepared, and
awaits the outcomes. One task takes batches off the queue and hands them to `score`, one at a time; while a batch
runs the next one gathers. Everything happens in one event loop, so admission needs no lock.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from types import TracebackType
from typing import Generic, Self, TypeVar

from service.batcher_contract import (
    BatcherError,
    BatcherLimits,
    BatcherObserver,
    ExpiredError,
    Outcome,
    OverloadedError,
    PredictionFailedError,
    Waiting,
    WorkerDeadError,
)
from service.clock import Clock, SystemClock
from service.fit_time import TimeEstimate
from service.pace import Pace
from service.selection import select_batch

Payload = TypeVar("Payload")
Output = TypeVar("Output")

MAX_RETRY_AFTER_S = 60
# Of the time to its deadline a request may be expected to take this share: mail of unusual length waits up to twice as
# long as the mean.
USABLE_SHARE = 0.4


class Batcher(Generic[Payload, Output]):
    """Admission, queue and the loop that feeds the model."""

    def __init__(
        self,
        score: Callable[[list[Payload]], Awaitable[Sequence[Output]]],
        limits: BatcherLimits,
        observer: BatcherObserver,
        clock: Clock | None = None,
    ) -> None:
        self.limits = limits
        self.estimate = TimeEstimate()
        self.messages_in_flight = 0
        self.queued_tokens = 0
        self._pace = Pace()
        self._score = score
        self._observer = observer
        self._clock: Clock = clock or SystemClock()
        self._queue: dict[Waiting[Payload, Output], None] = {}  # ordered, and any entry leaves in O(1)
        self._changed = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._running: list[Waiting[Payload, Output]] = []
        self._running_since = 0.0
        self._running_estimate_s = 0.0
        self._death: str | None = None

    @property
    def queued_messages(self) -> int:
        """Messages that wait for a batch."""
        return len(self._queue)

    @property
    def alive(self) -> bool:
        """Whether batches are being taken off the queue."""
        return self._loop_task is not None and not self._loop_task.done() and self._death is None

    @property
    def batch_running_s(self) -> float:
        """How long the current batch has been with the model; 0.0 when there is none."""
        return self._clock.now() - self._running_since if self._running else 0.0

    def start(self) -> None:
        """Begin to take batches; call inside the event loop."""
        assert self._loop_task is None, "start() twice"
        self._loop_task = asyncio.create_task(self._serve(), name="batcher")

    async def stop(self) -> None:
        """End the loop and fail what still waits."""
        self._die("the service is shutting down")
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)

    def predicted_wait_s(self) -> float:
        """Return the expected seconds until everything in flight is scored."""
        return max(self._pace.seconds(self.messages_in_flight), self._queue_s(0))

    def _queue_s(self, extra_tokens: int) -> float:
        """The expected seconds until everything queued, and `extra_tokens` more, is scored."""
        tokens = self.queued_tokens + extra_tokens
        batches = max(
            math.ceil(tokens / self.limits.max_batch_tokens),
            math.ceil(len(self._queue) / self.limits.max_batch_messages),
        )
        left_of_running_s = max(self._running_estimate_s - self.batch_running_s, 0.0) if self._running else 0.0
        return left_of_running_s + self.estimate.seconds(tokens, batches)

    def retry_after_s(self) -> int:
        """Return whole seconds, 1 to 60, after which there should be room."""
        return min(max(math.ceil(self.predicted_wait_s()), 1), MAX_RETRY_AFTER_S)

    def reserve(self, messages: int, deadline: float) -> "Reservation[Payload, Output]":
        """Take room for all messages of a request, or raise OverloadedError; use it in a `with`.

        Args:
            messages: how many.
            deadline: on the batcher's clock, in seconds.
        """
        self.check_room(messages, deadline)
        if not self.messages_in_flight:
            self._pace.begin(self._clock.now())
        self.messages_in_flight += messages
        return Reservation(self, messages, deadline)

    def check_room(self, messages: int, deadline: float) -> None:
        """Raise what `reserve` would raise now, and take nothing: to refuse a request before its body is read."""
        if self._death is not None:
            raise WorkerDeadError(f"Nothing can be scored: {self._death}.")
        # A request alone is always let in, however large: refusing it would be refusing it for ever.
        if not self.messages_in_flight:
            return
        if self.messages_in_flight + messages > self.limits.max_messages_in_flight:
            raise self._overloaded("messages", f"{self.messages_in_flight} messages are in flight already")
        self._check_wait(self._queue_s(0), deadline)
        self._check_wait(self._pace.seconds(self.messages_in_flight + messages), deadline, USABLE_SHARE)

    def _check_wait(self, wait_s: float, deadline: float, usable_share: float = 1.0) -> None:
        if wait_s > usable_share * (deadline - self._clock.now()):
            raise self._overloaded("deadline", f"The queue needs about {wait_s:.1f} s, which is past the deadline")

    def _overloaded(self, reason: str, what: str) -> OverloadedError:
        self._observer.request_rejected(reason)
        retry_after_s = self.retry_after_s()
        return OverloadedError(reason, f"{what}; send this again in {retry_after_s} s.", retry_after_s)

    def _submit(self, messages: Sequence[tuple[Payload, int]], deadline: float) -> list[Waiting[Payload, Output]]:
        if self._death is not None:
            raise WorkerDeadError(f"Nothing can be scored: {self._death}.")
        tokens = sum(count for _, count in messages)
        if self._queue and self.queued_tokens + tokens > self.limits.max_queued_tokens:
            raise self._overloaded("tokens", f"{self.queued_tokens} tokens are queued already")
        if self._queue or self._running:
            self._check_wait(self._queue_s(tokens), deadline)
        now = self._clock.now()
        loop = asyncio.get_running_loop()
        waiting = [Waiting(payload, count, deadline, now, loop.create_future()) for payload, count in messages]
        self._queue.update(dict.fromkeys(waiting))
        self.queued_tokens += tokens
        self._changed.set()
        return waiting

    def _release(self, messages: int, waiting: Sequence[Waiting[Payload, Output]], deadline: float) -> None:
        self.messages_in_flight -= messages
        left = [one for one in waiting if one in self._queue]
        for one in left:
            self._remove(one)
        for one in waiting:
            if not one.future.cancel() and not one.future.cancelled():
                one.future.exception()  # seen, so that asyncio does not report it as lost
        if left:
            expired = self._clock.now() >= deadline
            self._observer.messages_dropped("deadline" if expired else "cancelled", len(left))

    def _remove(self, one: Waiting[Payload, Output]) -> None:
        del self._queue[one]
        self.queued_tokens -= one.tokens

    async def _serve(self) -> None:
        try:
            while True:
                await self._wait_for_messages()
                batch = self._take_batch()
                if not batch:
                    continue
                self._running = batch
                await self._score_or_bisect(batch)
                self._running = []
        except asyncio.CancelledError:
            self._die("the service is shutting down")
            raise
        except WorkerDeadError as error:
            self._die(str(error).rstrip("."))
        except Exception as error:  # a bug of ours: nobody may be left hanging for it
            self._die(f"the batcher failed with {type(error).__name__}")
            raise

    async def _wait_for_messages(self) -> None:
        """Return when a batch is due: at once, or `batch_wait_s` after the oldest message unless it fills before."""
        while True:
            self._changed.clear()
            if self._queue:
                oldest = next(iter(self._queue))
                left_s = oldest.submitted_at + self.limits.batch_wait_s - self._clock.now()
                full = (
                    len(self._queue) >= self.limits.max_batch_messages
                    or self.queued_tokens >= self.limits.max_batch_tokens
                )
                if left_s <= 0 or full:
                    return
                await self._clock.wait(self._changed, left_s)
            else:
                await self._changed.wait()

    def _take_batch(self) -> list[Waiting[Payload, Output]]:
        now = self._clock.now()
        window = self.limits.lookahead_batches * self.limits.max_batch_messages
        ahead: list[Waiting[Payload, Output]] = []
        for one in list(islice(self._queue, window)):
            if one.future.cancelled():
                self._remove(one)
                self._observer.messages_dropped("cancelled", 1)
            elif now >= one.deadline:
                self._remove(one)
                one.future.set_exception(ExpiredError("The deadline passed while the message was queued."))
                self._observer.messages_dropped("deadline", 1)
            else:
                ahead.append(one)
        if not ahead:
            return []
        chosen = select_batch(
            [one.tokens for one in ahead],
            max_tokens=self.limits.max_batch_tokens,
            max_messages=self.limits.max_batch_messages,
        )
        batch = [ahead[position] for position in chosen]
        for one in batch:
            self._remove(one)
            self._observer.message_waited(now - one.submitted_at)
        return batch

    async def _score_or_bisect(self, batch: list[Waiting[Payload, Output]]) -> None:
        """Score a batch; when it fails, score its halves, so that a poison message fails alone."""
        started = self._running_since = self._clock.now()
        tokens = sum(one.tokens for one in batch)
        padded_tokens = max(one.tokens for one in batch) * len(batch)
        self._running_estimate_s = self.estimate.seconds(tokens, 1)
        try:
            outputs = await self._score([one.payload for one in batch])
            if len(outputs) != len(batch):
                raise PredictionFailedError(f"The model gave {len(outputs)} scores for {len(batch)} messages.")
        except WorkerDeadError:
            raise
        except Exception as error:
            if len(batch) > 1:
                half = len(batch) // 2
                await self._score_or_bisect(batch[:half])
                await self._score_or_bisect(batch[half:])
            elif not batch[0].future.done():
                failure = PredictionFailedError("The model failed on this message; its neighbours are not affected.")
                failure.__cause__ = error
                batch[0].future.set_exception(failure)
            return
        seconds = self._clock.now() - started
        self._pace.scored(len(batch), self._clock.now())
        self.estimate.observe(tokens, seconds)
        self._observer.batch_scored(len(batch), tokens, padded_tokens, seconds)
        for one, output in zip(batch, outputs, strict=True):
            if not one.future.done():
                one.future.set_result(Outcome(output, started - one.submitted_at, seconds))

    def _die(self, why: str) -> None:
        if self._death is None:
            self._death = why
        waiting = [*self._running, *self._queue]
        self._running = []
        self._queue.clear()
        self.queued_tokens = 0
        for one in waiting:
            if not one.future.done():
                one.future.set_exception(WorkerDeadError(f"Nothing can be scored: {self._death}."))


class Reservation(Generic[Payload, Output]):
    """Room for the messages of one request; leaving the `with` withdraws what is not scored yet."""

    def __init__(self, batcher: Batcher[Payload, Output], messages: int, deadline: float) -> None:
        self._batcher = batcher
        self._messages = messages
        self._deadline = deadline
        self._waiting: list[Waiting[Payload, Output]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._batcher._release(self._messages, self._waiting, self._deadline)

    async def score(self, messages: Sequence[tuple[Payload, int]]) -> list[Outcome[Output] | BatcherError]:
        """Queue prepared messages, given with their tokens, and return an outcome or an error for each, in order.

        Raises:
            OverloadedError: too many tokens are queued, or the wait would pass the deadline; none was queued.
            WorkerDeadError: the inference worker has died.
        """
        assert len(messages) <= self._messages, "more messages than were reserved"
        self._waiting = self._batcher._submit(messages, self._deadline)
        outcomes: list[Outcome[Output] | BatcherError] = []
        for one in self._waiting:
            try:
                outcomes.append(await one.future)
            except PredictionFailedError as failure:
                outcomes.append(failure)
        return outcomes
