"""The hash of a source, for the data manifest in a model's card."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of the names and hashes of all files below a folder, in hex.

    Files are read in pieces, so their size does not matter. A folder's hash depends on relative names and contents
    alone, so a copy in another place has the same one.
    """
    if path.is_dir():
        lines = sorted(
            f"{file.relative_to(path).as_posix()}\0{_hash_file(file)}\n" for file in path.rglob("*") if file.is_file()
        )
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    return _hash_file(path)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
