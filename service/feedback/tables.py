"""The two tables of the journal, as the migrations leave them.

Entries are added and never changed, with one exception: forgetting empties them. What then stands is that there was
an entry, so that whoever keeps a copy of the journal learns what to remove from it.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which knows no time zones, gives it back with its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite counts rows in its own 64-bit INTEGER only.
_Number = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

messages = Table(
    "feedback_messages",
    metadata,
    Column("id", _Number, primary_key=True),
    # SHA-256 of form and content: the same message is stored once, whatever is said of it.
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("form", String(8), nullable=False),  # raw: content is the message; fields: content is JSON
    Column("content", LargeBinary, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    sqlite_autoincrement=True,
)

entries = Table(
    "feedback_entries",
    metadata,
    # In the order of commits: nobody who has read up to a position ever misses one below it.
    Column("position", _Number, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("supersedes", String(32)),
    # What follows is empty once the message is forgotten.
    Column("message_id", _Number, ForeignKey("feedback_messages.id")),
    Column("label", String(4)),
    Column("reporter", Text),
    Column("reason", Text),
    Column("request_id", Text),
    Column("model_version", Text),
    Column("spam_probability", Float),
    Column("forgotten_at", UtcDateTime),
    Index("ix_feedback_entries_message_id", "message_id", "position"),
    Index("ix_feedback_entries_created_at", "created_at"),
    Index("ix_feedback_entries_forgotten_at", "forgotten_at"),
    sqlite_autoincrement=True,
)
