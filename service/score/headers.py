"""A mail with its verdict in its header, every other byte as it was."""

import re

from service.mail_fields import VERDICT_FIELD, verdict_field
from service.score.judges import Judged, NotJudged

_END_OF_HEADER = re.compile(rb"^\r?\n", re.MULTILINE)
# The fields that are written here, wherever somebody else has put them before, with their continuation lines.
_OURS = re.compile(rb"^x-(?:spam|hamlet)[ \t]*:[^\n]*\n?(?:[ \t][^\n]*\n?)*", re.IGNORECASE | re.MULTILINE)
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # what may stand in a header without being quoted


def with_verdict(mail: bytes, answer: Judged | NotJudged) -> bytes:
    """Return a mail with X-Spam and X-Hamlet on top, below an mbox From line, and without those that came with it.

    Args:
        mail: as it was received or stored; its line ends, whichever they are, are kept.
        answer: what is said of it. Without a verdict there is no X-Spam, and X-Hamlet says why.
    """
    top = mail.find(b"\n") + 1 if mail.startswith(b"From ") else 0
    end_of_header = _END_OF_HEADER.search(mail, top)
    body = end_of_header.start() if end_of_header else len(mail)
    line_end = "\r\n" if re.match(rb"[^\n]*\r\n", mail[top:] or mail) else "\n"
    fields = "".join(f"{name}: {value}{line_end}" for name, value in _fields(answer))
    return b"".join([mail[:top], fields.encode("ascii"), _OURS.sub(b"", mail[top:body]), mail[body:]])


def _fields(answer: Judged | NotJudged) -> list[tuple[str, str]]:
    if isinstance(answer, NotJudged):
        return [(VERDICT_FIELD, f"none; reason={_token(answer.code)}")]
    said = verdict_field(answer.verdict, answer.spam_probability, _token(answer.model))
    return [("X-Spam", "Yes" if answer.verdict == "spam" else "No"), (VERDICT_FIELD, said)]


def _token(value: str) -> str:
    return value if _TOKEN.fullmatch(value) else "unknown"
