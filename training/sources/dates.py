"""When a message came: a date that can be believed, or none."""

import datetime
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime

# Internet mail in today's form is of 1982; the oldest corpora in use begin about 1993.
_FIRST_YEAR = 1990
_HEADER_BYTES = 65_536
_DATE_LETTERS = 100


def date_of_mail(raw: bytes) -> datetime.date | None:
    """Return the day of the topmost Received stamp, else of the Date header; None when neither can be believed.

    The stamp comes first because the receiving server writes it; senders of spam make up the Date header.
    """
    head = raw[:_HEADER_BYTES]
    for line_end in (b"\n\n", b"\r\n\r\n"):
        head = head.partition(line_end)[0]
    headers = BytesHeaderParser().parsebytes(head + b"\n\n")
    received = str(headers.get("Received", "")).rpartition(";")[2]
    return parse_mail_date(received) or parse_mail_date(str(headers.get("Date", "")))


def parse_mail_date(value: str) -> datetime.date | None:
    """Return the day that an RFC 5322 date names, or None when it is no date or an impossible one."""
    try:
        return plausible(parsedate_to_datetime(value.strip()[:_DATE_LETTERS]).date())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse_iso_date(value: object) -> datetime.date | None:
    """Return the day of a date, or of a text that begins with year-month-day; None for anything else."""
    if isinstance(value, datetime.datetime):
        return plausible(value.date())
    if isinstance(value, datetime.date):
        return plausible(value)
    try:
        return plausible(datetime.date.fromisoformat(str(value).strip()[:10]))
    except ValueError:
        return None


def plausible(date: datetime.date) -> datetime.date | None:
    """Return the date unless it is before e-mail or after tomorrow (time zones), then None."""
    tomorrow = datetime.date.today() + datetime.timedelta(days=1)
    return date if date.year >= _FIRST_YEAR and date <= tomorrow else None
