"""Parquet, read in batches so that the file may be larger than memory."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet

from training.errors import DataError
from training.sources.rows import KNOWN_COLUMNS, MAIL_COLUMNS, Row

_BATCH_ROWS = 256


def parquet_rows(path: Path) -> Iterator[tuple[str, Row | str]]:
    """Yield the place ("file:row", from 1) and the known columns of each row.

    Raises:
        DataError: no Parquet, damaged, or without a column that holds mail.
    """
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            columns = {str(name): str(name).lower() for name in table.schema_arrow.names}
            if not MAIL_COLUMNS & set(columns.values()):
                raise DataError(
                    f"{path} has the columns {', '.join(columns)[:200]}; it needs label and some of raw_b64, raw, "
                    "subject, from, text, html."
                )
            wanted = [name for name, lower in columns.items() if lower in KNOWN_COLUMNS]
            number = 0
            for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", {columns[name]: value for name, value in row.items()}
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}); write it again.") from error
