"""What is done with the tables, each function inside a transaction that its caller holds."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from service.feedback.report import Report
from service.feedback.tables import entries, messages

# What a person may look at: everything about an entry but its message.
SHOWN = (
    entries.c.id,
    entries.c.label,
    entries.c.reporter,
    entries.c.reason,
    entries.c.request_id,
    entries.c.created_at,
    entries.c.supersedes,
    entries.c.model_version,
    entries.c.spam_probability,
)
_EMPTY: dict[str, Any] = {
    "message_id": None,
    "label": None,
    "reporter": None,
    "reason": None,
    "request_id": None,
    "model_version": None,
    "spam_probability": None,
}


class Outcome(StrEnum):
    """What a report came to."""

    LEARNED = "learned"
    ALREADY_LEARNED = "already_learned"
    RELABELLED = "relabelled"


@dataclass(frozen=True, slots=True)
class Learned:
    """The entry that stands for a report, which is an older one if nothing new was said."""

    id: str
    label: str
    outcome: Outcome


def learn(connection: Connection, report: Report) -> Learned:
    """Add an entry, unless the last one on the same message says the same. Needs a writing transaction."""
    digest = report.message.digest
    message_id = connection.scalar(select(messages.c.id).where(messages.c.digest == digest))
    last = None
    if message_id is None:
        new = {
            "digest": digest,
            "form": report.message.form,
            "content": report.message.content,
            "size_bytes": len(report.message.content),
        }
        message_id = connection.scalar(insert(messages).values(new).returning(messages.c.id))
    else:
        of_message = select(entries.c.id, entries.c.label).where(entries.c.message_id == message_id)
        last = connection.execute(of_message.order_by(entries.c.position.desc()).limit(1)).one()
    if last is not None and last.label == report.label:
        return Learned(last.id, last.label, Outcome.ALREADY_LEARNED)
    entry = {
        "id": uuid.uuid4().hex,
        "created_at": moment(connection),
        "supersedes": last.id if last is not None else None,
        "message_id": message_id,
        "label": report.label,
        "reporter": report.reporter,
        "reason": report.reason,
        "request_id": report.request_id,
        "model_version": report.model_version,
        "spam_probability": report.spam_probability,
    }
    connection.execute(insert(entries).values(entry))
    return Learned(entry["id"], report.label, Outcome.LEARNED if last is None else Outcome.RELABELLED)


def moment(connection: Connection) -> datetime:
    """Return the time for what is written now, in UTC; never before what is written already, whoever's clock it was.

    So whoever has read everything up to a moment, and asks for what came from then on, misses nothing.
    """
    moments = [datetime.now(UTC)]
    for column in (entries.c.created_at, entries.c.forgotten_at):
        written: datetime | None = connection.scalar(select(func.max(column)))
        moments += [written] if written is not None else []
    return max(moments)


def forget(connection: Connection, entry_id: str) -> str | None:
    """Delete the message of an entry and empty all entries on it. Needs a writing transaction.

    Returns:
        The label of the entry; None when there is no such entry, or it is forgotten already.
    """
    found = connection.execute(
        select(entries.c.message_id, entries.c.label).where(entries.c.id == entry_id, entries.c.forgotten_at.is_(None))
    ).one_or_none()
    if found is None:
        return None
    _erase(connection, [found.message_id])
    return str(found.label)


def expire(connection: Connection, until: datetime, limit: int) -> int:
    """Forget messages of which nothing was said since a moment, oldest first. Needs a writing transaction.

    Returns:
        How many messages went, at most `limit`; fewer when no more are left.
    """
    newer = entries.alias("newer")
    said_again = select(newer.c.id).where(newer.c.message_id == entries.c.message_id, newer.c.created_at >= until)
    old = (
        select(entries.c.message_id)
        .where(entries.c.created_at < until, entries.c.message_id.is_not(None), ~said_again.exists())
        .distinct()
        .limit(limit)
    )
    found = list(connection.scalars(old))
    if found:
        _erase(connection, found)
    return len(found)


def drop_traces(connection: Connection, until: datetime) -> int:
    """Delete the emptied entries of messages that were forgotten before a moment; return how many."""
    return connection.execute(delete(entries).where(entries.c.forgotten_at < until)).rowcount


def latest(connection: Connection, *, limit: int, before: str | None) -> Sequence[RowMapping] | None:
    """Return entries, newest first, without their messages; None when there is no entry `before`."""
    query = select(*SHOWN, messages.c.size_bytes).join(messages, messages.c.id == entries.c.message_id)
    if before is not None:
        position = connection.scalar(select(entries.c.position).where(entries.c.id == before))
        if position is None:
            return None
        query = query.where(entries.c.position < position)
    return connection.execute(query.order_by(entries.c.position.desc()).limit(limit)).mappings().all()


def _erase(connection: Connection, message_ids: list[int]) -> None:
    connection.execute(
        update(entries)
        .where(entries.c.message_id.in_(message_ids))
        .values({**_EMPTY, "forgotten_at": moment(connection)})
    )
    connection.execute(delete(messages).where(messages.c.id.in_(message_ids)))
