"""Stand-ins with the shape of the real things: a classifier without torch, a clock turned by hand."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from classifier.errors import EmptyMessageError
from classifier.facts import Fact
from classifier.message import MailFields
from classifier.reasons import Explanation, Reason
from classifier.verdict import Thresholds, Verdict
from service.parsing.jobs import Reader

POISON = "poison"


@dataclass(frozen=True)
class FakePrepared:
    text: str
    tokens: int
    truncated: bool = False
    defects: tuple[str, ...] = ()


@dataclass(frozen=True)
class FakeScore:
    probability: float
    verdict: Verdict


@dataclass(frozen=True)
class FakeWeighed:
    text: str

    def explanation(self) -> Explanation:
        """The first word, whatever it is."""
        word = self.text.split()[0]
        start = self.text.index(word)
        reason = Reason(word, "body", start, start + len(word), 1.5)
        return Explanation([reason], {"body": self.text}, (Fact("fake", "This is a fake."),))


@dataclass
class FakeClassifier:
    """Says spam where it reads "spam", ham elsewhere, and fails on any batch with POISON in it."""

    name: str = "hamlet"
    version: str = "2026.11.22-fake"
    digest: str = "sha256:fake"
    thresholds: Thresholds = field(default_factory=lambda: Thresholds(0.2, 0.8))
    card: dict[str, Any] = field(default_factory=lambda: {"measures": {"auc": 0.99}})
    max_tokens: int = 512
    may_score: threading.Event = field(default_factory=threading.Event)
    reader: Reader | None = None

    def __post_init__(self) -> None:
        self.may_score.set()

    def prepare(self, mail: bytes | MailFields) -> FakePrepared:
        if isinstance(mail, MailFields):
            text = f"{mail.subject or ''} {mail.text or ''} {mail.html or ''}"
        else:
            text = mail.decode("utf-8", "replace")
        if not text.strip():
            raise EmptyMessageError("The message has no header and no body.")
        return FakePrepared(text, max(len(text.split()), 1))

    def score(self, prepared: Sequence[FakePrepared]) -> list[FakeScore]:
        self.may_score.wait(10)
        if any(POISON in one.text for one in prepared):
            raise RuntimeError(prepared[0].text)
        return [FakeScore(0.9, Verdict.SPAM) if "spam" in one.text else FakeScore(0.1, Verdict.HAM) for one in prepared]

    def prepare_to_explain(self, mail: bytes | MailFields) -> FakePrepared:
        return self.prepare(mail)

    def weigh(self, prepared: Sequence[FakePrepared]) -> list[FakeWeighed]:
        return [FakeWeighed(one.text) for one in prepared]

    def warm_up(self) -> None: ...

    def self_test(self) -> None: ...

    def use_cuda(self) -> bool:
        return False

    def use_bfloat16(self) -> bool:
        return False


class FakeClock:
    """Stands still until told to advance."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._ticked = asyncio.Event()

    def now(self) -> float:
        return self._now

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        until = self._now + seconds
        while self._now < until and not event.is_set():
            tick, changed = asyncio.create_task(self._ticked.wait()), asyncio.create_task(event.wait())
            try:
                await asyncio.wait((tick, changed), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (tick, changed):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    async def advance(self, seconds: float) -> None:
        self._now += seconds
        ticked, self._ticked = self._ticked, asyncio.Event()
        ticked.set()
        await settle()


async def settle() -> None:
    """Let everything that can run in the event loop run."""
    for _ in range(30):
        await asyncio.sleep(0)


@dataclass
class FakeObserver:
    """Remembers what it is told."""

    batches: list[tuple[int, int, int, float]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    dropped: list[tuple[str, int]] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)

    def batch_scored(self, messages: int, tokens: int, padded_tokens: int, seconds: float) -> None:
        self.batches.append((messages, tokens, padded_tokens, seconds))

    def message_waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def messages_dropped(self, reason: str, count: int) -> None:
        self.dropped.append((reason, count))

    def request_rejected(self, reason: str) -> None:
        self.rejected.append(reason)


class FakeModel:
    """A `score` for the batcher that records its batches and can be held, made to fail, or made to miscount."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.during: Callable[[list[str]], Any] = lambda batch: [text.upper() for text in batch]

    async def score(self, batch: list[str]) -> list[str]:
        self.batches.append(batch)
        await self.gate.wait()
        return list(self.during(batch))


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop run until something holds; other threads may be needed for it, so this cannot be an event."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - other threads may be needed
            await asyncio.sleep(0)
