"""What the journal asks of a database, and which one a URL means."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, make_url

from service.feedback.postgres import PostgresDatabase
from service.feedback.sqlite import SqliteDatabase
from service.feedback.urls import POSTGRES


class Database(Protocol):
    """A database with the journal in it. Everything here blocks, so it runs in the threads of the store."""

    @property
    def driver_errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises where SQLAlchemy does not stand between."""

    def prepare(self) -> None:
        """Make what has to be there before the first connection."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Yield a connection in a transaction that no other writer runs beside, in this process or another.

        It is committed, and on disk, once the `with` is left without an error.
        """

    def reading(self) -> AbstractContextManager[Connection]:
        """Yield a connection in a transaction that sees one state and keeps nobody waiting."""

    def note_erased(self, connection: Connection) -> None:
        """Remember, in the transaction that deletes, that `purge` has work to do even after a crash."""

    def purge(self) -> None:
        """Remove what deleted rows have left in the files of the database; returns at once if there is nothing."""

    def close(self) -> None:
        """Close the connections."""


def open_database(url: str | None, *, connections: int, timeout_s: float) -> Database:
    """Return the database of a URL, not connected yet.

    Args:
        url: one that `check_database_url` lets pass; None is the file of `default_path`.
        connections: at most so many at one time.
        timeout_s: for connecting, for a statement, and for waiting on others.
    """
    if url is None:
        return SqliteDatabase(default_path(), connections=connections, timeout_s=timeout_s)
    parsed = make_url(url)
    if parsed.drivername in POSTGRES:
        return PostgresDatabase(parsed, connections=connections, timeout_s=timeout_s)
    return SqliteDatabase(Path(parsed.database or ""), connections=connections, timeout_s=timeout_s)


def default_path() -> Path:
    """Return where the journal is without a setting: a file in the home folder of whoever runs the service."""
    return Path.home() / ".local" / "state" / "hamlet" / "feedback.db"
