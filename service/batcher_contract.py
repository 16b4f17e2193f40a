"""What the batcher asks for and gives back: limits, outcomes, errors, and who watches it."""

import asyncio
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Payload = TypeVar("Payload")
Output = TypeVar("Output")


class BatcherError(Exception):
    """Base of what the batcher refuses or loses; its text is a sentence for a person."""


class OverloadedError(BatcherError):
    """No room now. `reason` is a short label, `retry_after_s` an estimate in whole seconds."""

    def __init__(self, reason: str, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


class ExpiredError(BatcherError):
    """The deadline passed before the message was scored."""


class PredictionFailedError(BatcherError):
    """The model failed on this message alone."""


class WorkerDeadError(BatcherError):
    """Nothing can be scored any more: the inference worker has died."""


@dataclass(frozen=True, slots=True)
class BatcherLimits:
    """What may wait and how batches are formed; see the settings of the same names."""

    max_messages_in_flight: int = 2048
    max_queued_tokens: int = 1_000_000
    max_batch_messages: int = 64
    max_batch_tokens: int = 49_152
    batch_wait_s: float = 0.0
    lookahead_batches: int = 4


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Output]):
    """One scored message and where its time went."""

    output: Output
    queue_s: float
    inference_s: float


class BatcherObserver(Protocol):
    """Who wants to know: the metrics."""

    def batch_scored(self, messages: int, tokens: int, padded_tokens: int, seconds: float) -> None:
        """A batch came back from the model."""

    def message_waited(self, seconds: float) -> None:
        """A message left the queue for a batch."""

    def messages_dropped(self, reason: str, count: int) -> None:
        """Messages left the queue unscored: `cancelled` or `deadline`."""

    def request_rejected(self, reason: str) -> None:
        """A request was refused: `messages`, `tokens` or `deadline`."""


@dataclass(eq=False, slots=True)
class Waiting(Generic[Payload, Output]):
    """A message in the queue; its future is what the request awaits."""

    payload: Payload
    tokens: int
    deadline: float
    submitted_at: float
    future: asyncio.Future[Outcome[Output]]
