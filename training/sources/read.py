"""Reads labelled mail from files and folders, whatever their format, one message at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from training.errors import DataError
from training.sources.csv_table import csv_rows
from training.sources.dates import date_of_mail
from training.sources.expand import SourceFile, expand
from training.sources.jsonl import jsonl_rows
from training.sources.labels import label_of_path, split_prefix
from training.sources.mail import Label, LabelledMail, SourceReport
from training.sources.maildir import maildir_messages
from training.sources.mbox import mbox_messages
from training.sources.opened import stem_of_name
from training.sources.parquet import parquet_rows
from training.sources.rows import BadRowError, mail_from_row

# What yields the rows of a table, by kind.
ROWS = {"jsonl": jsonl_rows, "csv": csv_rows, "parquet": parquet_rows}
_EARLYROWS = 1_000  # so many rows tell whether a source is hopeless, without reading the rest


def read_sources(
    paths: Sequence[Path | str],
    *,
    report: SourceReport,
    max_bad_share: float = 0.02,
    label: Label | None = None,
) -> Iterator[LabelledMail]:
    """Yield the messages of every path, in the order given; folders in the order of their file names.

    Args:
        paths: files, or folders of them; `spam=PATH` and `ham=PATH` give the label of mail that has none of its own.
        report: is filled while reading.
        max_bad_share: how many of all rows may be bad, 0 to 1.
        label: the label of mail for which neither the record nor the path tells one.

    Raises:
        DataError: a path is missing, unreadable or of no known format, holds no good row, or too many rows are bad.
    """
    for argument in paths:
        given, root = split_prefix(argument)
        if not root.exists():
            raise DataError(f"{root} does not exist; give a file or a folder of labelled mail.")
        for file in expand(root, report):
            before = (report.read, report.bad)
            yield from _read_file(file, root, given, label, report, max_bad_share)
            if report.read == before[0] and report.bad > before[1]:
                raise DataError(f"{file.path} has no row that can be used. {_first_places(report)}")
    _check_share(report, max_bad_share)


def _read_file(
    file: SourceFile, root: Path, given: Label | None, default: Label | None, report: SourceReport, max_bad_share: float
) -> Iterator[LabelledMail]:
    mails = _table(file, root, given or default) if file.kind in ROWS else _messages(file, root, given, default)
    for number, (place, mail) in enumerate(mails, start=1):
        if isinstance(mail, str):
            report.add_bad(place, mail)
        else:
            report.read += 1
            yield mail
        if number % _EARLYROWS == 0:
            _check_share(report, max_bad_share)


def _table(file: SourceFile, root: Path, label: Label | None) -> Iterator[tuple[str, LabelledMail | str]]:
    label = label or label_of_path(file.path, root)
    name = stem_of_name(file.path)
    for number, (place, row) in enumerate(ROWS[file.kind](file.path), start=1):
        if isinstance(row, str):
            yield place, row
            continue
        try:
            yield place, mail_from_row(row, default_id=f"{name}#{number}", default_source=name, label=label)
        except BadRowError as error:
            yield place, str(error)


def _messages(
    file: SourceFile, root: Path, given: Label | None, default: Label | None
) -> Iterator[tuple[str, LabelledMail | str]]:
    path_label = given or label_of_path(file.path, root) or default
    for place, raw, label in _raw_messages(file, path_label):
        if label is None:
            raise DataError(
                f"Nothing tells whether {place} is spam or ham; give spam={root} or ham={root}, or put the mail in "
                "folders named spam and ham."
            )
        if not raw.strip():
            yield place, "the message is empty"
            continue
        mail_id = place.removeprefix(f"{root}/") if root.is_dir() else place.removeprefix(f"{root.parent}/")
        yield place, LabelledMail(mail_id, label, _source(file.path, root), date_of_mail(raw), raw)


def _raw_messages(file: SourceFile, label: Label | None) -> Iterator[tuple[str, bytes, Label | None]]:
    if file.kind == "maildir":
        yield from maildir_messages(file.path, label)
    elif file.kind == "mbox":
        for place, raw in mbox_messages(file.path):
            yield place, raw, label
    else:
        yield str(file.path), file.path.read_bytes(), label


def _source(path: Path, root: Path) -> str:
    # A folder named only spam or ham is half of the corpus around it: both halves get one corpus name.
    top = root.resolve()
    if top.is_dir() and top.name.lower() in {"spam", "ham"}:
        return f"{top.parent.name}:{top.name}"
    corpus = top.name if top.is_dir() else stem_of_name(top)
    inner = path.relative_to(root).parent.as_posix() if path != root else "."
    return corpus if inner == "." else f"{corpus}:{inner}"


def _check_share(report: SourceReport, max_bad_share: float) -> None:
    if report.bad_share > max_bad_share:
        raise DataError(
            f"{report.bad} of {report.read + report.bad} rows are bad, {max_bad_share:.1%} are allowed; mend them or "
            f"raise the limit. {_first_places(report)}"
        )


def _first_places(report: SourceReport) -> str:
    return "The first: " + "; ".join(report.bad_places[:5])
