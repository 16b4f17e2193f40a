"""Files of an archive and of its results, in folders or in object stores (fsspec: s3://, gs://)."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from classifier.store_urls import check_store_url
from training.errors import DataError


class StoredFile(NamedTuple):
    """One file: its path or URL, its size, and what changes when it is written anew."""

    name: str
    size: int
    state: str


def is_remote(name: str) -> bool:
    """Whether a path is the URL of something in an object store."""
    return "://" in name


def filesystem(url: str) -> Any:
    """Return what reads and writes a URL.

    Raises:
        ConfigError: see check_store_url.
    """
    check_store_url(url)
    import fsspec

    return fsspec.filesystem(url.partition("://")[0], use_listings_cache=False)


def stored_files(url: str) -> list[StoredFile]:
    """Return the objects at or below a URL, in the order of their names.

    Raises:
        DataError: there are none.
    """
    scheme = url.partition("://")[0]
    try:
        found = filesystem(url).find(url, detail=True)
    except FileNotFoundError:
        found = {}
    if not found:
        raise DataError(f"there is nothing at {url}")
    return [
        StoredFile(f"{scheme}://{name}", int(entry["size"]), str(entry.get("ETag") or entry.get("etag")))
        for name, entry in sorted(found.items())
    ]


@contextmanager
def local_copy(name: str) -> Iterator[Path]:
    """Yield a path under which a file can be read; what is in an object store is copied, and removed afterwards."""
    if not is_remote(name):
        yield Path(name)
        return
    with tempfile.TemporaryDirectory(prefix="hamlet-archive-") as folder:
        path = Path(folder) / name.rpartition("/")[2]
        filesystem(name).get_file(name, str(path))
        yield path


class Results:
    """A folder of results, here or in an object store, in which a file is there whole or not at all."""

    def __init__(self, folder: str) -> None:
        self.folder = folder.rstrip("/")
        self._remote = filesystem(folder) if is_remote(folder) else None

    def names(self, under: str) -> set[str]:
        """Return the names of the files in a folder of results; none when it is not there."""
        where = f"{self.folder}/{under}"
        if self._remote is None:
            return {name for name in os.listdir(where) if name[0] != "."} if os.path.isdir(where) else set()
        return {path.rpartition("/")[2] for path in self._remote.find(where)}

    def has(self, name: str) -> bool:
        where = f"{self.folder}/{name}"
        return bool(self._remote.exists(where)) if self._remote else os.path.exists(where)

    def read(self, name: str) -> bytes:
        where = f"{self.folder}/{name}"
        return bytes(self._remote.cat_file(where)) if self._remote else Path(where).read_bytes()

    def tidy(self, under: str) -> None:
        """Remove what was being written when a process was killed, once nobody writes there."""
        if self._remote is None:
            for path in Path(self.folder, under).glob(".*"):
                path.unlink(missing_ok=True)

    def write(self, name: str, content: bytes) -> None:
        """Write beside, sync, replace; an object store does that by itself."""
        if self._remote is not None:
            self._remote.pipe_file(f"{self.folder}/{name}", content)
            return
        path = Path(self.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}-{os.getpid()}")
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
