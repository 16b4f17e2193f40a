"""The journal in PostgreSQL: for several machines, and where backups are somebody's task already."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL

# Of the journal of one schema; a transaction holds it to its end, so commits come in the order of positions.
_ONE_WRITER = text("SELECT pg_advisory_xact_lock(hashtext('hamlet feedback'), hashtext(current_schema()))")


class PostgresDatabase:
    """See service.feedback.database.Database."""

    def __init__(self, url: URL, *, connections: int, timeout_s: float) -> None:
        self._timeout_ms = math.ceil(timeout_s * 1000)
        self._erased = 0
        self._engine = self._make_engine(url.set(drivername="postgresql+psycopg"), connections, timeout_s)

    def _make_engine(self, url: URL, connections: int, timeout_s: float) -> Engine:
        engine = create_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=timeout_s,
            pool_pre_ping=True,  # a connection that the server has closed is replaced before it is used
            hide_parameters=True,  # they are people's mail, and errors get into logs
            connect_args={
                "application_name": "hamlet",
                "connect_timeout": max(2, math.ceil(timeout_s)),  # libpq takes no less
                "tcp_user_timeout": self._timeout_ms,  # a server that is gone without a word
                "prepare_threshold": None,  # poolers between us and the server do not know prepared statements
            },
        )

        @event.listens_for(engine, "connect")
        def connected(connection: Any, _record: object) -> None:
            with connection.cursor() as cursor:
                for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
                    cursor.execute(f"SET {setting} = {self._timeout_ms}")
                # A server may be set to answer before the commit is on disk; we promise that it is.
                cursor.execute("SET synchronous_commit = on")
            connection.commit()

        return engine

    @property
    def driver_errors(self) -> tuple[type[Exception], ...]:
        """What psycopg raises."""
        return (self._engine.dialect.loaded_dbapi.Error,)

    def prepare(self) -> None:
        """Nothing: the database is made by whoever runs the server."""

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in the one transaction that writes."""
        with self._engine.begin() as connection:
            connection.execute(_ONE_WRITER)
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that sees one state."""
        with self._engine.connect() as connection, connection.begin():
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield connection

    def note_erased(self, connection: Connection) -> None:
        """Remember that there are dead rows; after a crash the server clears them by itself, only later."""
        self._erased += 1

    def purge(self) -> None:
        """Have the server clear the dead rows now; by itself it would wait for a fifth of the table to be dead."""
        erased = self._erased
        if not erased:
            return
        connection = self._engine.raw_connection()
        try:
            driver: Any = connection.driver_connection
            driver.autocommit = True
            driver.execute("SET statement_timeout = 0")
            driver.execute("VACUUM feedback_entries, feedback_messages")
        finally:
            connection.invalidate()  # its settings are not those of the others any more
            connection.close()
        if self._erased == erased:  # else somebody has deleted meanwhile, and comes here next
            self._erased = 0

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
