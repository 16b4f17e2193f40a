"""The worker's side of the process that parses mail: starts it, gives it jobs, and replaces it when it dies.

Of the time that a mail takes, parsing is a third, all of it under the interpreter lock that the event loop and the
model's thread need too. A process has a lock of its own; and a mail that kills a parser kills that process alone.
"""

import asyncio
import contextlib
import logging
import pickle
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from classifier.message import MailFields
from service.parsing.jobs import HELLO, LENGTH, SLOTS, Answer, Job, Reader, unpack

log = logging.getLogger(__name__)

# So many jobs lie ready in the socket: enough that the process need not wait; the others can still be withdrawn.
AHEAD = 4
# One that did not get ready is tried again after this; threads do the work meanwhile.
RETRY_S = 10.0
START_TIMEOUT_S = 30.0
LOOK_EVERY_S = 1.0
# A job that was under way when the process died is given to the next one, once: it may have been no fault of its mail.
MOST_DEATHS = 2


class ParseProcessDiedError(Exception):
    """The process died over this job, twice."""


class NoParseProcessError(Exception):
    """There is none now; parse in a thread."""


@dataclass(eq=False, slots=True)
class _Given:
    """A job, and who waits for it."""

    reader: Reader
    mails: Sequence[bytes | MailFields]
    answers: asyncio.Future[list[Answer]]
    deaths: int = 0


class ParseProcess:
    """Prepares mails in another process, in the order in which they are given."""

    def __init__(self, stall_s: float) -> None:
        """Take how long a job may keep the process busy, in seconds, before it is killed."""
        self._stall_s = stall_s
        self._keeping: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._ready = False
        self._can_wait = False  # for a process: there is one, or one that was ready is being replaced
        self._waiting: deque[_Given] = deque()
        self._under_way: deque[_Given] = deque()
        self._since = 0.0  # when the first of those began, or the process was started
        self._readers: list[Reader] = []  # in the process, by their slot
        self._next_slot = 0

    async def prepare(self, reader: Reader, mails: Sequence[bytes | MailFields]) -> list[Answer]:
        """Return an answer for each mail, in order. The first call starts the process, and does not wait for it.

        Raises:
            NoParseProcessError: it has not started yet, or cannot be started.
            ParseProcessDiedError: these mails, or one of them, killed it.
        """
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep(), name="keep parse process")
        if not self._can_wait:
            raise NoParseProcessError
        given = _Given(reader, mails, asyncio.get_running_loop().create_future())
        self._waiting.append(given)
        self._give()
        return await given.answers

    async def stop(self) -> None:
        """End the process; whoever still waits for it is cancelled."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        for given in (*self._under_way, *self._waiting):
            given.answers.cancel()

    def _give(self) -> None:
        """Send what waits, as far as the process is to have it."""
        while self._ready and self._waiting and len(self._under_way) < AHEAD:
            given = self._waiting.popleft()
            if given.answers.done():  # whoever waited has gone
                continue
            if not self._under_way:
                self._since = time.monotonic()
            self._under_way.append(given)
            slot, is_known = self._slot(given.reader)
            frame = pickle.dumps(Job(given.mails, slot, None if is_known else given.reader), pickle.HIGHEST_PROTOCOL)
            assert self._transport is not None
            self._transport.write(LENGTH.pack(len(frame)) + frame)

    def _slot(self, reader: Reader) -> tuple[int, bool]:
        """Return the slot of a reader, and whether the process has it there already."""
        for slot, known in enumerate(self._readers):
            if known is reader:
                return slot, True
        slot, self._next_slot = self._next_slot, (self._next_slot + 1) % SLOTS
        self._readers[slot : slot + 1] = [reader]
        return slot, False

    def _take(self, frame: bytes) -> None:
        """Take what the process sent."""
        self._since = time.monotonic()
        if self._ready:
            answers = unpack(frame)
            given = self._under_way.popleft()
            if not given.answers.done():
                given.answers.set_result(answers)
        else:
            assert frame == HELLO, frame
            self._ready = self._can_wait = True
        self._give()

    async def _keep(self) -> None:
        """Keep a process running until this is cancelled."""
        while True:
            try:
                why = await self._run_one()
            except Exception as error:  # no more processes, no more memory, or a bug of ours
                why = f"{error!r}"
            was_ready, self._ready = self._ready, False
            self._let_go(can_wait=was_ready)
            if was_ready:
                log.error("the process that parses mail ended with %s; another takes its place", why)
            else:
                log.error(
                    "no process parses mail, threads do it: the start ended with %s; tried again in %g s", why, RETRY_S
                )
                await asyncio.sleep(RETRY_S)

    async def _run_one(self) -> str:
        """Run a process to its end; return how it ended, in words."""
        self._readers, self._next_slot = [], 0
        self._since = time.monotonic()
        ours, theirs = socket.socketpair()
        with theirs:
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_unix_connection(lambda: _Frames(self._take), sock=ours)
            try:
                descriptor = theirs.fileno()
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "service.parsing.child",
                    str(descriptor),
                    pass_fds=(descriptor,),
                    start_new_session=True,  # Ctrl-C is for the worker
                )
                theirs.close()
                try:
                    return await self._ended(process)
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
            finally:
                self._transport.abort()

    async def _ended(self, process: asyncio.subprocess.Process) -> str:
        """Return, in words, how the process ended; kill it when it is busy for too long."""
        ending = asyncio.create_task(process.wait())
        try:
            while not ending.done():
                await asyncio.wait((ending,), timeout=LOOK_EVERY_S)
                busy_s = time.monotonic() - self._since if self._under_way or not self._ready else 0.0
                if busy_s > (self._stall_s if self._ready else START_TIMEOUT_S):
                    log.error("killing the process that parses mail: it has been busy for %.0f s", busy_s)
                    process.kill()
                    self._since = time.monotonic()
            code = ending.result()
            return signal.Signals(-code).name if code < 0 else f"exit code {code}"
        finally:
            ending.cancel()

    def _let_go(self, *, can_wait: bool) -> None:
        """Keep what a process that has ended leaves for the next one, where there will be one, and fail the rest."""
        self._can_wait = can_wait
        if self._under_way:
            self._under_way[0].deaths += 1
        left = [*self._under_way, *self._waiting]
        self._under_way.clear()
        self._waiting.clear()
        for given in left:
            if given.answers.done():
                continue
            if given.deaths >= MOST_DEATHS:
                given.answers.set_exception(ParseProcessDiedError())
            elif can_wait:
                self._waiting.append(given)
            else:
                given.answers.set_exception(NoParseProcessError())


class _Frames(asyncio.Protocol):
    """Cuts a stream into frames."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._left = bytearray()

    def data_received(self, data: bytes) -> None:
        self._left += data
        start = 0
        while len(self._left) - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._left, start)
            end = start + LENGTH.size + length
            if len(self._left) < end:
                break
            self._take(bytes(self._left[start + LENGTH.size : end]))
            start = end
        del self._left[:start]
