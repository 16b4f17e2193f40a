"""mbox: messages one after another, each behind a line `From sender date`."""

import re
from collections.abc import Iterator
from pathlib import Path

from training.sources.opened import opened

# "From " begins ordinary sentences, too, so the line has to end like a date: a time, perhaps a zone, a year.
_FROM_LINE = re.compile(rb"From .*\d\d:\d\d(:\d\d)?( [A-Z]{3,4})?( [+-]\d{4})? \d{4}( [+-]\d{4})?\s*$")
_QUOTED_FROM = re.compile(rb">+From ")


def mbox_messages(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the place (the number of its From line) and the bytes of each message, From quoting undone (mboxrd)."""
    with opened(path) as lines:
        message: list[bytes] = []
        begin, after_empty_line = 1, True
        for number, line in enumerate(lines, start=1):
            if after_empty_line and _FROM_LINE.match(line):
                if message:
                    yield f"{path}:{begin}", _joined(message)
                message, begin = [], number
            else:
                message.append(line[1:] if _QUOTED_FROM.match(line) else line)
            after_empty_line = not line.strip()
        if message:
            yield f"{path}:{begin}", _joined(message)


def _joined(lines: list[bytes]) -> bytes:
    # The empty line before the next From line belongs to the mbox, not to the message.
    if len(lines) > 1 and not lines[-1].strip():
        lines.pop()
    return b"".join(lines)
