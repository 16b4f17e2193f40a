"""The clusters of an archive from the signatures of its parts, on disk: memory does not grow with the archive."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training.archive.run import Archive
from training.deduplicate import HASHES, clusters_on_disk
from training.progress import progress


def write_clusters(archive: Archive, scratch: Path, messages: int) -> int:
    """Write the cluster of each message to parts of `clusters/`; return how many clusters there are.

    Args:
        archive: one whose parts have signatures.
        scratch: room for about 280 bytes a message.
        messages: how many there are.
    """
    keys_N = np.memmap(scratch / "keys", np.uint64, "w+", shape=(max(1, messages),))[:messages]
    signed = 0
    with (scratch / "rows").open("wb") as rows, (scratch / "signatures").open("wb") as signatures:
        start = 0
        for _, part in progress(_parts(archive), "gathering signatures", len(archive.parts())):
            keys_N[start : start + len(part["keys"])] = part["keys"]
            (part["rows"] + start).astype(np.int64).tofile(rows)
            part["signatures"].astype(np.uint32).tofile(signatures)
            signed += len(part["rows"])
            start += len(part["keys"])
    assert start == messages, "parts and messages differ"
    rows_S = np.memmap(scratch / "rows", np.int64, "r", shape=(signed,)) if signed else np.zeros(0, np.int64)
    signatures_SK = (
        np.memmap(scratch / "signatures", np.uint32, "r", shape=(signed, HASHES))
        if signed
        else np.zeros((0, HASHES), np.uint32)
    )
    clusters_N, count = clusters_on_disk(keys_N, rows_S, signatures_SK, scratch)
    start = 0
    for name, part in _parts(archive):
        end = start + len(part["keys"])
        _write(archive, name.replace(".npz", ".parquet"), part, clusters_N[start:end])
        start = end
    return count


def _parts(archive: Archive) -> Iterator[tuple[str, Any]]:
    for name in archive.parts():
        with np.load(io.BytesIO(archive.results.read(f"parts/{name}"))) as part:
            yield name, {key: part[key] for key in part.files}


def _write(archive: Archive, name: str, part: Any, clusters_N: Any) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(
        {
            "file": pyarrow.array(part["files"].tolist(), pyarrow.string()),
            "number": pyarrow.array(part["numbers"]),
            "cluster": pyarrow.array(np.array(clusters_N, np.int64)),
        }
    )
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    archive.results.write(f"clusters/{name}", sink.getvalue())
