"""What the journal asks of a database, and which one a URL means."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError

from classifier.errors import ConfigError


class Database(Protocol):
    """A database with the journal in it. Everything here blocks, so it runs in the threads of the store."""

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
        url: `sqlite:///path` or `postgresql://user@host/name`; None is the file of `default_path`.
        connections: at most so many at one time.
        timeout_s: for connecting, for a statement, and for waiting on others.

    Raises:
        ConfigError: no such database, or its driver is not installed. The URL is not quoted, it may hold a password.
    """
    from service.feedback.sqlite import SqliteDatabase

    if url is None:
        return SqliteDatabase(default_path(), connections=connections, timeout_s=timeout_s)
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(
            "HAMLET_DATABASE_URL is no URL; write sqlite:///path or postgresql://user@host/name."
        ) from None
    kind = parsed.get_backend_name()
    if kind == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return SqliteDatabase(Path(parsed.database or ""), connections=connections, timeout_s=timeout_s)
    if kind in ("postgresql", "postgres"):
        from service.feedback.postgres import PostgresDatabase

        return PostgresDatabase(parsed, connections=connections, timeout_s=timeout_s)
    raise ConfigError(
        "HAMLET_DATABASE_URL must begin with sqlite:/// and the path of a file, or with postgresql://; "
        "nothing else keeps feedback on disk."
    )


def default_path() -> Path:
    """Return where the journal is without a setting: a file in the home folder of whoever runs the service."""
    return Path.home() / ".local" / "state" / "hamlet" / "feedback.db"
