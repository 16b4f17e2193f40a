"""Where mails lie on a disk: mbox files (one after another, each behind a line `From sender date`) and Maildir."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# "From " begins ordinary sentences, too, so the line has to end like a date: a time, perhaps a zone, a year.
_FROM_LINE = re.compile(rb"From .*\d\d:\d\d(:\d\d)?( [A-Z]{3,4})?( [+-]\d{4})? \d{4}( [+-]\d{4})?\s*$")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MboxMessage:
    """A message as an mbox keeps it; the three parts of all messages, one after another, are the file."""

    line_number: int  # of the From line; the first is 1
    from_line: bytes  # empty where a file begins without one
    stored: bytes  # lines of the message that begin with From have a > before them
    separator: bytes  # the empty line before the next From line

    @property
    def raw(self) -> bytes:
        """The message itself, From quoting undone (mboxrd)."""
        return _QUOTED_FROM.sub(rb"\1", self.stored)


def is_from_line(line: bytes) -> bool:
    """Whether a line after an empty one, or the first of a file, begins a message of an mbox."""
    return _FROM_LINE.match(line) is not None


def split_mbox(lines: Iterable[bytes]) -> Iterator[MboxMessage]:
    """Cut the lines of an mbox, line ends kept, into its messages."""
    stored: list[bytes] = []
    from_line, begin, after_empty_line = b"", 1, True
    for number, line in enumerate(lines, start=1):
        if after_empty_line and is_from_line(line):
            if stored or from_line:
                yield _message(begin, from_line, stored)
            stored, from_line, begin = [], line, number
        else:
            stored.append(line)
        after_empty_line = not line.strip()
    if stored or from_line:
        yield _message(begin, from_line, stored)


def is_maildir(folder: Path) -> bool:
    """Whether the folder has what makes it a Maildir: `cur` and `new`."""
    return (folder / "cur").is_dir() and (folder / "new").is_dir()


def maildir_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a Maildir itself, seen ones first; its folders (`.Junk`) are Maildirs of their own."""
    for part in ("cur", "new"):
        for file in sorted((folder / part).iterdir()):
            if file.is_file():
                yield file


def _message(begin: int, from_line: bytes, stored: list[bytes]) -> MboxMessage:
    separator = stored.pop() if len(stored) > 1 and not stored[-1].strip() else b""
    return MboxMessage(begin, from_line, b"".join(stored), separator)
