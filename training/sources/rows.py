"""One row of a table, or one JSON object, to a labelled message.

- label: spam / ham / 1 / 0 / true / false
- the mail: raw_b64, raw_base64 or raw (text or bytes), or some of subject, from, to, reply_to, text, html
- optional: id, source, date (year-month-day), and of the service's feedback export: reporter, created_at
"""

import base64
import binascii
import re
from collections.abc import Mapping

from classifier.message import MailFields
from training.sources.dates import date_of_mail, parse_iso_date
from training.sources.mail import Label, LabelledMail

Row = Mapping[str, object]

LABELS: dict[str, Label] = {
    "spam": "spam", "1": "spam", "1.0": "spam", "true": "spam",
    "ham": "ham", "0": "ham", "0.0": "ham", "false": "ham",
}  # fmt: skip
_RAW_BASE64 = ("raw_b64", "raw_base64")
_SENDER = ("from", "sender")
_TEXT = ("text", "body", "message")
MAIL_COLUMNS = frozenset({*_RAW_BASE64, "raw", *_SENDER, *_TEXT, "subject", "html"})
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
KNOWN_COLUMNS = MAIL_COLUMNS | {"id", "label", "source", "date", "reporter", "created_at", "to", "reply_to"}


class BadRowError(ValueError):
    """A row that cannot be used; the text says why, for the report."""


def mail_from_row(row: Row, *, default_id: str, default_source: str, label: Label | None) -> LabelledMail:
    """Build the message of a row; `label` is used when the row has none.

    Raises:
        BadRowError: no label, or an unknown one, or no mail in it.
    """
    row = _flat(row)
    mail = _mail(row)
    date = parse_iso_date(row.get("date") or row.get("created_at"))
    if date is None and isinstance(mail, bytes):
        date = date_of_mail(mail)
    return LabelledMail(
        id=_text(row, ("id",)) or default_id,
        label=_label(row, label),
        source=_text(row, ("source",)) or _reporter(row) or default_source,
        date=date,
        mail=mail,
    )


def mail_of_row(row: Row) -> bytes | MailFields:
    """Return the mail of a row alone, label or not.

    Raises:
        BadRowError: there is no mail in it.
    """
    return _mail(_flat(row))


def _flat(row: Row) -> Row:
    fields = row.get("fields")
    return {**row, **fields} if isinstance(fields, Mapping) else row


def _reporter(row: Row) -> str:
    reporter = _text(row, ("reporter",))
    return f"feedback:{reporter}" if reporter else ""


def _label(row: Row, default: Label | None) -> Label:
    value = row.get("label")
    spelling = "" if value is None else str(value).strip().lower()
    if not spelling and default:
        return default
    if spelling not in LABELS:
        raise BadRowError(f"label is {str(value)[:30]!r}, need spam, ham, 1, 0, true or false")
    return LABELS[spelling]


def _mail(row: Row) -> bytes | MailFields:
    if encoded := _text(row, _RAW_BASE64):
        try:
            raw = base64.b64decode("".join(encoded.split()), validate=True)
        except (binascii.Error, ValueError):
            raise BadRowError("raw_b64 is not base64") from None
    else:
        raw = _bytes(row.get("raw"))
    if raw.strip():
        return raw
    fields = MailFields(
        subject=_readable(row, ("subject",)),
        sender=_readable(row, _SENDER),
        to=_readable(row, ("to",)),
        reply_to=_readable(row, ("reply_to",)),
        text=_readable(row, _TEXT),
        html=_readable(row, ("html",)),
    )
    if not any(part and part.strip() for part in (fields.subject, fields.text, fields.html)):
        raise BadRowError("no mail in it, need raw_b64, or a subject, text or html")
    return fields


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return str(value or "").encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadRowError("raw is neither bytes nor text; write it as raw_b64") from None


def _text(row: Row, names: tuple[str, ...]) -> str:
    """Return the first of these columns that has a text in it, or an empty one."""
    for name in names:
        value = row.get(name)
        if isinstance(value, bool | int | float | str) and value != "":
            return str(value)
        if isinstance(value, bytes) and value:
            return value.decode("utf-8", "surrogateescape")
        if isinstance(value, list) and value:
            return ", ".join(str(item) for item in value)
    return ""


def _readable(row: Row, names: tuple[str, ...]) -> str | None:
    # Bytes that were no UTF-8, and half pairs in JSON escapes, are lone surrogates here; no tokenizer takes those.
    known = any(row.get(name) is not None for name in names)
    return _LONE_SURROGATE.sub("\ufffd", _text(row, names)) if known else None
