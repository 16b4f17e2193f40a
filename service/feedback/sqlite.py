"""The journal in a SQLite file: no set-up, several processes, every commit on disk, deleted bytes gone.

- WAL: readers and the one writer do not wait for each other. `synchronous=FULL`: a commit returns after fsync.
- `secure_delete` overwrites what is deleted, but not the copies that rebalancing leaves in the gaps of a page: of some
  2,700 deleted messages one could still be read in the file (SQLite 3.40). VACUUM leaves nothing of them
  (sqlite.org/lang_vacuum.html); then the log is cut to nothing.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from service.feedback.errors import FeedbackUnavailableError

RETRY_S = 0.02


class SqliteDatabase:
    """See service.feedback.database.Database."""

    def __init__(self, path: Path, *, connections: int, timeout_s: float) -> None:
        self.path = path
        self._timeout_s = timeout_s
        # Writers of one process queue here, in order; SQLite itself would let them poll for their turn.
        self._writer = threading.Lock()
        self._purger = threading.Lock()
        self._engine = self._make_engine(connections)

    def _make_engine(self, connections: int) -> Engine:
        engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=self._timeout_s,
            hide_parameters=True,  # they are people's mail, and errors get into logs
            connect_args={"timeout": self._timeout_s},
        )

        @event.listens_for(engine, "connect")
        def connected(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None  # transactions begin below, not where the driver thinks fit
            for pragma in ("synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get("writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    @property
    def driver_errors(self) -> tuple[type[Exception], ...]:
        """What sqlite3 raises."""
        return (sqlite3.Error,)

    def prepare(self) -> None:
        """Make the file, for its owner alone, and turn WAL on; the file remembers that."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        until = time.monotonic() + self._timeout_s
        with self._driver() as connection:
            while True:
                try:
                    connection.execute("PRAGMA journal_mode=WAL")
                    return
                except sqlite3.OperationalError as error:
                    # Processes that start together: this statement does not wait for its turn by itself.
                    if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > until:
                        raise
                    time.sleep(RETRY_S)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in the one transaction that writes."""
        if not self._writer.acquire(timeout=self._timeout_s):
            raise FeedbackUnavailableError(
                f"The feedback database was busy for {self._timeout_s:g} s; send this again."
            )
        try:
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                yield connection
        finally:
            self._writer.release()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that sees one state."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def note_erased(self, connection: Connection) -> None:
        """Count up the number that SQLite keeps for applications in the head of the file; 0 is nothing to purge."""
        erased = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version = {(erased + 1) % 2**31 or 1}")

    def purge(self) -> None:
        """Rewrite the file without its gaps and empty the log; callers that waited find it done.

        Raises:
            FeedbackUnavailableError: others were reading the log all the time; `purge` has to be called again.
        """
        with self._purger, self._driver() as connection:
            (erased,) = connection.execute("PRAGMA user_version").fetchone()
            if not erased:
                return
            with self._writer:
                connection.execute("VACUUM")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise FeedbackUnavailableError(
                    "The message is deleted, but others read the feedback database and its bytes are still in the "
                    "log; it is tried again within the hour."
                )
            connection.execute("BEGIN IMMEDIATE")
            try:
                if connection.execute("PRAGMA user_version").fetchone() == (erased,):
                    connection.execute("PRAGMA user_version = 0")
            finally:
                connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _driver(self) -> Iterator[Any]:
        """Yield a connection without a transaction, which is how PRAGMA and VACUUM have to run."""
        connection = self._engine.raw_connection()
        try:
            yield connection.driver_connection
        finally:
            connection.close()
