"""The mails in what a person names: a file, an mbox, a Maildir, a folder of any of them, or standard input."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from classifier.mailboxes import is_from_line, is_maildir, maildir_files, split_mbox

STDIN = "-"
# Larger files than this are no mail; what a folder holds is not read into memory whatever it is.
MAX_FILE_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FoundMail:
    """One mail: where it lies, its bytes or why it cannot be read, and how far into the files it ends."""

    place: str
    raw: bytes
    problem: str | None
    end_bytes: int  # of all files before it and itself


def files_in(path: Path) -> list[Path]:
    """Return the files of a path that may hold mail, in order: all of a Maildir, all but hidden ones of a folder."""
    if not path.is_dir():
        return [path]
    if is_maildir(path):
        folders = sorted(one for one in path.iterdir() if one.name.startswith(".") and one.is_dir() and is_maildir(one))
        return [file for folder in [path, *folders] for file in maildir_files(folder)]
    entries = sorted(one for one in path.iterdir() if not one.name.startswith("."))
    return [file for one in entries if one.is_dir() or one.is_file() for file in files_in(one)]


def size_of(files: list[Path]) -> int:
    """Return the bytes of files; those that cannot be looked at count nothing."""
    return sum(map(_size, files))


def found_mails(files: list[Path]) -> Iterator[FoundMail]:
    """Yield the mails of files, one after another; `-` is one mail on standard input, whatever it holds."""
    before = 0
    for path in files:
        size_bytes = 0 if str(path) == STDIN else _size(path)
        try:
            yield from _mails_of(path, before, size_bytes)
        except OSError as error:
            yield FoundMail(str(path), b"", f"It cannot be read: {error.strerror or error}.", before + size_bytes)
        before += size_bytes


def _mails_of(path: Path, before: int, size_bytes: int) -> Iterator[FoundMail]:
    if str(path) == STDIN:
        yield FoundMail(STDIN, sys.stdin.buffer.read(), None, 0)
        return
    with path.open("rb") as file:
        if is_from_line(file.readline(1000)):
            file.seek(0)
            end = before
            for message in split_mbox(file):
                end += len(message.from_line) + len(message.stored) + len(message.separator)
                yield FoundMail(f"{path}:{message.line_number}", message.raw, None, end)
            return
        file.seek(0)
        if size_bytes > MAX_FILE_BYTES:
            yield FoundMail(str(path), b"", "It is too large for a mail.", before + size_bytes)
        else:
            yield FoundMail(str(path), file.read(), None, before + size_bytes)


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
