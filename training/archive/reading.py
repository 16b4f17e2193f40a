"""The mail of an archive, without labels, in blocks that are the same whoever reads them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.message import MailFields
from training.archive.places import is_remote, local_copy, stored_files
from training.errors import DataError
from training.sources import SourceReport, expand
from training.sources.expand import kind_by_name
from training.sources.maildir import maildir_messages
from training.sources.mbox import mbox_messages
from training.sources.read import ROWS
from training.sources.rows import BadRowError, mail_of_row

# A block is what is in memory of an archive at one time, in each process, and what is done again after a kill.
BLOCK_MESSAGES = 1_000
BLOCK_BYTES = 16 << 20
_FILES_TOGETHER = 1_000  # of single messages


@dataclass(frozen=True, slots=True)
class Source:
    """A file of messages, a Maildir, or some files of one message each."""

    kind: str
    names: tuple[str, ...]
    size: int
    state: str


@dataclass(frozen=True, slots=True)
class ArchivedMail:
    """One message of an archive, or why it is none."""

    file: str
    number: int  # in its file, from 1
    id: str | None  # as the record says
    mail: bytes | MailFields | None
    error: str | None = None

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        if isinstance(self.mail, bytes):
            return len(self.mail)
        return 0 if self.mail is None else len(self.mail.text or "") + len(self.mail.html or "")


def find_sources(paths: Sequence[str]) -> tuple[list[Source], list[str]]:
    """Return what the paths hold, in the order given and then of names, and notes of what is left out.

    Raises:
        DataError: a path is missing, or holds no mail.
    """
    sources: list[Source] = []
    report = SourceReport()
    for path in paths:
        singles: list[tuple[str, int, str]] = []
        for kind, name, size, state in _remote(path, report) if is_remote(path) else _local(Path(path), report):
            if kind == "eml":
                singles.append((name, size, state))
            else:
                sources.append(Source(kind, (name,), size, state))
        for start in range(0, len(singles), _FILES_TOGETHER):
            names, sizes, states = zip(*singles[start : start + _FILES_TOGETHER], strict=True)
            sources.append(Source("eml", names, sum(sizes), max(states)))
    return sources, report.notes


def _local(root: Path, report: SourceReport) -> Iterator[tuple[str, str, int, str]]:
    if not root.exists():
        raise DataError(f"{root} does not exist; give a file or a folder of mail.")
    for file in expand(root, report):
        status = file.path.stat()
        yield file.kind, str(file.path), status.st_size, str(status.st_mtime_ns)


def _remote(url: str, report: SourceReport) -> Iterator[tuple[str, str, int, str]]:
    found = False
    for file in stored_files(url):
        in_maildir = file.name.rpartition("/")[0].rpartition("/")[2] in ("cur", "new")
        kind = "eml" if in_maildir else kind_by_name(Path(file.name))
        if kind:
            found = True
            yield kind, file.name, file.size, file.state
        else:
            report.notes.append(f"{file.name}: skipped, its name tells of no mail")
    if not found:
        raise DataError(f"{url} holds no mail: names have to end with .jsonl, .parquet, .mbox, .csv or .eml")


def blocks(source: Source) -> Iterator[list[ArchivedMail]]:
    """Yield the messages of a source in blocks, cut by number and bytes alone."""
    block: list[ArchivedMail] = []
    size = 0
    for mail in _mails(source):
        block.append(mail)
        size += mail.size
        if len(block) == BLOCK_MESSAGES or size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _mails(source: Source) -> Iterator[ArchivedMail]:
    for name in source.names:
        with local_copy(name) as path:
            if source.kind in ROWS:
                yield from _table(source.kind, path, name)
            elif source.kind == "mbox":
                for number, (_, raw) in enumerate(mbox_messages(path), start=1):
                    yield _message(name, number, raw)
            elif source.kind == "maildir":
                for place, raw, _ in maildir_messages(path, None):
                    yield _message(place, 1, raw)
            else:
                yield _message(name, 1, path.read_bytes())


def _table(kind: str, path: Path, name: str) -> Iterator[ArchivedMail]:
    for number, (_, row) in enumerate(ROWS[kind](path), start=1):
        if isinstance(row, str):
            yield ArchivedMail(name, number, None, None, row)
            continue
        own = row.get("id")
        mail_id = None if own is None else str(own)
        try:
            yield ArchivedMail(name, number, mail_id, mail_of_row(row))
        except BadRowError as error:
            yield ArchivedMail(name, number, mail_id, None, str(error))


def _message(name: str, number: int, raw: bytes) -> ArchivedMail:
    if not raw.strip():
        return ArchivedMail(name, number, None, None, "the message is empty")
    return ArchivedMail(name, number, None, raw)
