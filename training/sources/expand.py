"""A path to the files of labelled mail in it, each with its format."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from classifier.mailboxes import is_maildir
from training.errors import DataError
from training.sources.mail import SourceReport
from training.sources.mbox import mbox_messages
from training.sources.opened import COMPRESSED, kind_of_name, opened

_KINDS = {
    "jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv", "tsv": "csv", "parquet": "parquet", "mbox": "mbox", "eml": "eml",
}  # fmt: skip
# Below these a file is mail only by its name: a Python file or a note may well begin like a header.
_NOT_MAIL = frozenset({"md", "py", "txt", "json", "toml", "html", "pdf", "zip", "tar", "tgz", "sh"})
_KNOWN = f"known are {', '.join(_KINDS)}, Maildir and folders of mail"
_HEADER_LINE = re.compile(rb"[!-9;-~]{2,60}:[ \t\r\n]")


class SourceFile(NamedTuple):
    """One file, or one Maildir, and how to read it: jsonl, csv, parquet, mbox, eml or maildir."""

    path: Path
    kind: str


def expand(root: Path, report: SourceReport) -> Iterator[SourceFile]:
    """Yield the files of a path in the order of their names; what is skipped in a folder is noted in the report.

    Raises:
        DataError: a file given by name is of no known format, or a folder holds none.
    """
    if root.is_dir():
        found = False
        for file in _walk(root, report):
            found = True
            yield file
        if not found:
            raise DataError(f"{root} holds no labelled mail; {_KNOWN}.")
    elif kind := _kind(root):
        yield SourceFile(root, kind)
    else:
        raise DataError(f"{root} is of no known format; {_KNOWN}.")


def _walk(folder: Path, report: SourceReport) -> Iterator[SourceFile]:
    if is_maildir(folder):
        yield SourceFile(folder, "maildir")
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, report)
        elif path.is_file() and (kind := _kind(path)):
            yield SourceFile(path, kind)
        else:
            report.notes.append(f"{path}: skipped, no labelled mail")


def kind_by_name(path: Path) -> str | None:
    """Return the kind of a file whose name tells it, None for any other."""
    kind = _KINDS.get(kind_of_name(path))
    packed = path.suffix.lower() in COMPRESSED
    return None if packed and kind in {"parquet", "eml"} else kind


def _kind(path: Path) -> str | None:
    named = kind_of_name(path)
    if named in _KINDS:
        return kind_by_name(path)
    if named in _NOT_MAIL or path.name.startswith("."):
        return None
    with opened(path) as file:
        first = file.readline(1_000)
    if first.startswith(b"From "):
        return "mbox" if _has_second_message(path) else "eml"
    return "eml" if _HEADER_LINE.match(first) and path.suffix.lower() not in COMPRESSED else None


def _has_second_message(path: Path) -> bool:
    messages = mbox_messages(path)
    return next(messages, None) is not None and next(messages, None) is not None
