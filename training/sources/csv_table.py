"""CSV and TSV with a heading line; bytes that are no UTF-8 are kept as lone surrogates."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import DataError
from training.sources.opened import opened
from training.sources.rows import KNOWN_COLUMNS, MAIL_COLUMNS, Row

if TYPE_CHECKING:
    import _csv

_FIELD_LETTERS = 1 << 28  # a field may be a whole message; the default of csv is 131,072


def csv_rows(path: Path) -> Iterator[tuple[str, Row | str]]:
    """Yield the place and the row of each record, or why the record is none.

    Raises:
        DataError: the heading names no column that holds mail.
    """
    csv.field_size_limit(_FIELD_LETTERS)
    with opened(path) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
        heading = text.readline()
        delimiter = max(",;\t", key=heading.count)
        names = [name.strip().lower() for name in next(csv.reader([heading], delimiter=delimiter), [])]
        if not MAIL_COLUMNS & set(names):
            raise DataError(
                f"{path} has the columns {', '.join(names)[:200] or '(none)'}; its first line should name label and "
                "some of raw_b64, raw, subject, from, text, html."
            )
        yield from _records(path, csv.reader(text, delimiter=delimiter), names)


def _records(path: Path, records: "_csv.Reader", names: list[str]) -> Iterator[tuple[str, Row | str]]:
    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"{path}:{records.line_num + 1}", f"no CSV ({error})"
            continue
        if not record:
            continue
        place = f"{path}:{records.line_num + 1}"
        if len(record) != len(names):
            yield place, f"{len(record)} fields, the heading has {len(names)}"
        else:
            yield place, {name: value for name, value in zip(names, record, strict=True) if name in KNOWN_COLUMNS}
