"""Time as the batcher sees it, so that tests can turn the clock by hand."""

import asyncio
import contextlib
import time
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock and the one way of waiting on it."""

    def now(self) -> float:
        """Return seconds since some fixed moment."""

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Return when the event is set, or when so many seconds have passed."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Return seconds of time.monotonic()."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Return when the event is set, or when so many seconds have passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
