"""The journal as the rest of the service sees it: asynchronous, bounded, and never in the way of predictions."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError

from service.feedback import journal
from service.feedback.causes import cause_of, unavailable
from service.feedback.database import Database
from service.feedback.errors import FeedbackUnavailableError
from service.feedback.export import Range, Wanted, next_page, whole_range
from service.feedback.migrate import migrate
from service.feedback.report import Report

log = logging.getLogger(__name__)

Returned = TypeVar("Returned")

MAINTENANCE_S = 3600.0
EXPIRE_AT_ONCE = 500  # messages in one transaction, so that others get their turn between


class FeedbackStore:
    """The one journal of a service.

    Args:
        database: where it is.
        connections: threads of the store, one for each connection.
        timeout_s: the longest that learning, looking or a page of an export takes.
        retention_days: messages of which nothing was said for so long are forgotten.
        maintenance_s: time between two rounds of that.
    """

    def __init__(
        self,
        database: Database,
        *,
        connections: int,
        timeout_s: float,
        retention_days: int,
        maintenance_s: float = MAINTENANCE_S,
    ) -> None:
        self._database = database
        self._failures: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, *database.driver_errors)
        self._timeout_s = timeout_s
        self._retention = timedelta(days=retention_days)
        self._maintenance_s = maintenance_s
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="feedback")
        self._migrated = False
        self._migrating = threading.Lock()
        self._maintenance: asyncio.Task[None] | None = None
        self.problem: str | None = None

    def start(self) -> None:
        """Bring the tables up to date, forget what is too old, and do both again and again."""
        self._maintenance = asyncio.create_task(self._maintain(), name="feedback maintenance")

    async def stop(self) -> None:
        """Wait for the jobs that run, which the limits on time end, and close the connections."""
        if self._maintenance is not None:
            self._maintenance.cancel()
            await asyncio.gather(self._maintenance, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._database.close()

    async def learn(self, report: Report) -> journal.Learned:
        """Add a report to the journal; once this returns it is on disk.

        Raises:
            FeedbackUnavailableError: it is not known to be on disk; saying it again is harmless.
        """
        return await self._run(partial(self._learn, report))

    async def forget(self, entry_id: str) -> str | None:
        """Forget the message of an entry, and remove its bytes from the files of the database.

        Returns:
            The label of the entry; None when there is no such entry.

        Raises:
            FeedbackUnavailableError: the message may still be there, or its bytes.
        """
        label = await self._run(partial(self._forget, entry_id))
        # In a large file this takes its time, and then it is better waited for than given up.
        await self._run(self._database.purge, bounded=False)
        return label

    async def latest(self, *, limit: int, before: str | None) -> Sequence[RowMapping] | None:
        """Return entries without their messages, newest first; None when there is no entry `before`.

        Raises:
            FeedbackUnavailableError: the database does not answer.
        """
        return await self._run(partial(self._latest, limit, before))

    async def export(self, wanted: Wanted) -> AsyncIterator[bytes]:
        """Return the journal as pages of NDJSON; the first one is read before this returns.

        Raises:
            FeedbackUnavailableError: the database does not answer; also from between two pages.
        """
        lines, left = await self._run(partial(self._first_page, wanted))
        return self._pages(wanted, lines, left)

    async def _pages(self, wanted: Wanted, lines: bytes, left: Range | None) -> AsyncIterator[bytes]:
        yield lines
        while left is not None:
            lines, left = await self._run(partial(self._page, wanted, left))
            yield lines

    async def _run(self, job: Callable[[], Returned], *, bounded: bool = True) -> Returned:
        limit_s = self._timeout_s if bounded else None
        try:
            async with asyncio.timeout(limit_s):
                returned = await asyncio.get_running_loop().run_in_executor(self._threads, partial(self._do, job))
        except TimeoutError:
            self.problem = f"The feedback database did not answer within {limit_s} s; send this again."
            raise FeedbackUnavailableError(self.problem) from None
        except FeedbackUnavailableError as error:
            self.problem = str(error)
            raise
        self.problem = None
        return returned

    def _do(self, job: Callable[[], Returned]) -> Returned:
        """Do a job in one of the threads, on tables that are up to date."""
        try:
            self._migrate_once()
            return job()
        except self._failures as error:
            self._migrated = False  # whoever repairs a database may have to begin with an empty one
            problem = unavailable(error)
            log.error("feedback database: %s", problem, exc_info=error, extra={"fields": {"cause": cause_of(error)}})
            raise problem from error

    def _migrate_once(self) -> None:
        if self._migrated:
            return
        with self._migrating:
            if self._migrated:
                return
            self._database.prepare()
            with self._database.writing() as connection:
                done = migrate(connection)
            self._migrated = True
        if done:
            log.info("feedback database migrated", extra={"fields": {"revisions": done}})

    def _learn(self, report: Report) -> journal.Learned:
        with self._database.writing() as connection:
            return journal.learn(connection, report)

    def _forget(self, entry_id: str) -> str | None:
        with self._database.writing() as connection:
            label = journal.forget(connection, entry_id)
            if label is not None:
                self._database.note_erased(connection)
            return label

    def _latest(self, limit: int, before: str | None) -> Sequence[RowMapping] | None:
        with self._database.reading() as connection:
            return journal.latest(connection, limit=limit, before=before)

    def _first_page(self, wanted: Wanted) -> tuple[bytes, Range | None]:
        with self._database.reading() as connection:
            return next_page(connection, wanted, whole_range(connection))

    def _page(self, wanted: Wanted, left: Range) -> tuple[bytes, Range | None]:
        with self._database.reading() as connection:
            return next_page(connection, wanted, left)

    async def _maintain(self) -> None:
        while True:
            try:
                await self._tidy()
            except FeedbackUnavailableError as error:
                log.warning("feedback is not tidied now: %s", error)
            except Exception as error:
                log.error("feedback could not be tidied", exc_info=error)
            await asyncio.sleep(self._maintenance_s)

    async def _tidy(self) -> None:
        """Forget what is too old, and finish what a crash or a failure left undone."""
        until = datetime.now(UTC) - self._retention
        expired = 0
        while (count := await self._run(partial(self._expire, until), bounded=False)) > 0:
            expired += count
        await self._run(self._database.purge, bounded=False)
        if expired:
            log.info("feedback expired", extra={"fields": {"messages": expired}})

    def _expire(self, until: datetime) -> int:
        with self._database.writing() as connection:
            journal.drop_traces(connection, until)
            count = journal.expire(connection, until, limit=EXPIRE_AT_ONCE)
            if count:
                self._database.note_erased(connection)
            return count
