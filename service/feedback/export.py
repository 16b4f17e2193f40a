"""The journal as NDJSON, page by page, so that neither side ever holds more than a page of it.

What was there when the export began is what it has, whatever is added meanwhile; what is forgotten meanwhile is not
in the pages that follow.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, func, select

from service.feedback.journal import SHOWN
from service.feedback.report import StoredMessage
from service.feedback.tables import entries, messages

PAGE_ENTRIES = 200
PAGE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an export has.

    Attributes:
        since: nothing said, or forgotten, before this moment.
        history: also labels that a later entry took back.
        forgotten: also the ids of entries that were forgotten, with the time.
    """

    since: datetime | None = None
    history: bool = False
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Positions of the journal: above the first, up to and with the last."""

    above: int
    last: int


def whole_range(connection: Connection) -> Range:
    """Return what there is to go through."""
    return Range(0, connection.scalar(select(func.max(entries.c.position))) or 0)


def next_page(connection: Connection, wanted: Wanted, left: Range) -> tuple[bytes, Range | None]:
    """Return the next lines, and what is left after them; None when that is nothing.

    A page has at most PAGE_ENTRIES lines and PAGE_BYTES of messages, or one message that is larger.
    """
    query = (
        select(entries.c.position, entries.c.message_id, entries.c.forgotten_at, *SHOWN, messages.c.size_bytes)
        .join(messages, messages.c.id == entries.c.message_id, isouter=True)
        .where(entries.c.position > left.above, entries.c.position <= left.last, *_conditions(wanted, left))
        .order_by(entries.c.position)
        .limit(PAGE_ENTRIES)
    )
    rows = connection.execute(query).mappings().all()
    taken: list[RowMapping] = []
    size_bytes = 0
    for row in rows:
        size_bytes += row["size_bytes"] or 0
        if taken and size_bytes > PAGE_BYTES:
            break
        taken.append(row)
    message_ids = {row["message_id"] for row in taken if row["message_id"] is not None}
    contents = {
        row.id: StoredMessage(row.form, row.content)
        for row in connection.execute(
            select(messages.c.id, messages.c.form, messages.c.content).where(messages.c.id.in_(message_ids))
        )
    }
    lines = b"".join(orjson.dumps(_line(row, contents), option=orjson.OPT_APPEND_NEWLINE) for row in taken)
    done = len(taken) == len(rows) < PAGE_ENTRIES
    return lines, None if done else Range(taken[-1]["position"], left.last)


def _conditions(wanted: Wanted, left: Range) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.since is not None:
        said = entries.c.created_at >= wanted.since
        conditions.append(said | (entries.c.forgotten_at >= wanted.since) if wanted.forgotten else said)
    if not wanted.forgotten:
        conditions.append(entries.c.forgotten_at.is_(None))
    if not wanted.history:
        later = entries.alias("later")
        taken_back = select(later.c.id).where(
            later.c.message_id == entries.c.message_id,
            later.c.position > entries.c.position,
            later.c.position <= left.last,
        )
        conditions.append(~taken_back.exists())
    return conditions


def _line(row: RowMapping, contents: dict[int, StoredMessage]) -> dict[str, Any]:
    if row["forgotten_at"] is not None:
        return {"id": row["id"], "forgotten_at": row["forgotten_at"]}
    return {str(column.name): row[column] for column in SHOWN} | contents[row["message_id"]].as_json()
