"""What is done with a block of an archive: the same block gives the same bytes in every process."""

import contextlib
import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from classifier.allocator import keep_freed_memory
from classifier.errors import ConfigError, MessageError
from classifier.message import read_mail
from classifier.text import message_text
from training.archive.reading import ArchivedMail


class Worker(Protocol):
    """Turns a block into the content of a part."""

    def __call__(self, block: Sequence[ArchivedMail]) -> bytes: ...


class Work(Hashable, Protocol):
    """Makes workers; is sent to other processes, each of which makes one."""

    @property
    def suffix(self) -> str:
        """Of the files that parts are written to."""

    def worker(self) -> Worker: ...


@dataclass(frozen=True)
class ScoreWork:
    """Scores of a model, which has to be in the same folder on every machine."""

    model: str
    digest: str
    suffix: str = ".parquet"

    def worker(self) -> Worker:
        """Load the model.

        Raises:
            ConfigError: another model is in that folder here.
        """
        import torch

        from classifier.pipeline import SpamClassifier

        keep_freed_memory()
        torch.set_num_threads(1)  # one process a core
        classifier = SpamClassifier.load(Path(self.model))
        if classifier.digest != self.digest:
            raise ConfigError(f"{self.model} is {classifier.digest} on this machine, and {self.digest} where it began")
        return _Scorer(classifier)


class _Scorer:
    def __init__(self, classifier: Any) -> None:
        self._classifier = classifier

    def __call__(self, block: Sequence[ArchivedMail]) -> bytes:
        """Return a Parquet table: one row a message, in order."""
        rows: list[dict[str, Any]] = []
        prepared, places = [], []
        for place, mail in enumerate(block):
            row = {"file": mail.file, "number": mail.number, "id": mail.id, "error": mail.error}
            rows.append({**row, "spam_probability": None, "verdict": None, "tokens": None})
            if mail.mail is None:
                continue
            try:
                prepared.append(self._classifier.prepare(mail.mail))
                places.append(place)
            except MessageError as error:
                rows[place]["error"] = str(error)
        for place, one, score in zip(places, prepared, self._classifier.score(prepared), strict=True):
            rows[place] |= {
                "spam_probability": score.probability,
                "verdict": score.verdict.value,
                "tokens": len(one.token_ids),
            }
        return parquet(rows)


def parquet(rows: list[dict[str, Any]]) -> bytes:
    """Return the rows of a part of scores as a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema(
        [
            ("file", pyarrow.string()),
            ("number", pyarrow.int64()),
            ("id", pyarrow.string()),
            ("spam_probability", pyarrow.float64()),
            ("verdict", pyarrow.string()),
            ("tokens", pyarrow.int32()),
            ("error", pyarrow.string()),
        ]
    )
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), sink, compression="zstd")
    return sink.getvalue()


@dataclass(frozen=True)
class SignWork:
    """Signatures by which near copies are found."""

    suffix: str = ".npz"

    def worker(self) -> Worker:
        """Make a worker."""
        return _Signer()


class _Signer:
    def __init__(self) -> None:
        from training.deduplicate import Deduplicator

        self._new = Deduplicator

    def __call__(self, block: Sequence[ArchivedMail]) -> bytes:
        """Return the keys and signatures of the messages, and where each of them is."""
        from training.deduplicate import readable

        signed = self._new()
        for mail in block:
            text = ""
            if mail.mail is not None:
                with contextlib.suppress(MessageError):  # with nothing to read in it
                    text = readable(message_text(read_mail(mail.mail)))
            signed.add(text)
        keys_N, rows_S, signatures_SK = signed.signatures()
        sink = io.BytesIO()
        np.savez(
            sink,
            keys=keys_N,
            rows=rows_S,
            signatures=signatures_SK,
            files=np.array([mail.file for mail in block]),
            numbers=np.array([mail.number for mail in block], np.int64),
        )
        return sink.getvalue()
