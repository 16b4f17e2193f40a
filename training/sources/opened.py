"""Opening a file that may be compressed."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from training.errors import DataError

COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, unpacking .gz, .xz and .bz2 while reading.

    Raises:
        DataError: the compressed data are damaged or cut off.
    """
    opener = COMPRESSED.get(path.suffix.lower())
    try:
        with opener(path, "rb") if opener else path.open("rb") as file:
            yield file
    except (lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is damaged or cut off ({error}); fetch or copy it again.") from error


def kind_of_name(path: Path) -> str:
    """Return the file name's suffix that tells the format, in lower case: "jsonl" of `mail.JSONL.xz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1].removeprefix(".") if suffixes else ""


def stem_of_name(path: Path) -> str:
    """Return the file name without the format's and the compression's suffixes."""
    name = path.name
    for suffix in reversed(path.suffixes):
        if suffix.lower() in COMPRESSED or suffix.lower().removeprefix(".") == kind_of_name(path):
            name = name.removesuffix(suffix)
    return name
