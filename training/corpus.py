"""The prepared corpus: normalised texts, labels, clusters, parts and token ids on disk, read message by message.

Texts and ids lie one after another in two flat files with an index, mapped into memory, so that a corpus larger than
memory can be prepared and fitted. What is kept in memory is some hundred bytes a message.
"""

import datetime
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from training.languages import NOT_SURE
from training.split import Part

_UINT16_IDS = 1 << 16


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """All that is known of a message but its text."""

    id: str
    is_spam: bool
    source: str
    date: datetime.date | None
    language: str = NOT_SURE  # see training.languages

    @property
    def corpus(self) -> str:
        return self.source.partition(":")[0]


class TextWriter:
    """Appends texts to a spool."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "texts.bin").open("wb")
        self._index = folder / "texts.npy"
        self._ends: list[int] = [0]

    def __enter__(self) -> "TextWriter":
        return self

    def add(self, text: str) -> None:
        """Append one text."""
        content = text.encode("utf-8")
        self._file.write(content)
        self._ends.append(self._ends[-1] + len(content))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        np.save(self._index, np.array(self._ends, np.int64))


class Texts(Sequence[str]):
    """Reads a spool of texts."""

    def __init__(self, folder: Path) -> None:
        self._ends = np.load(folder / "texts.npy")
        path = folder / "texts.bin"
        self._bytes = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: int) -> str:  # type: ignore[override]  # slices of a spool have no use
        return self._bytes[self._ends[place] : self._ends[place + 1]].tobytes().decode("utf-8")

    def __iter__(self) -> Iterator[str]:
        return (self[place] for place in range(len(self)))


class TokenIds:
    """Token ids of all messages; ids are stored in two bytes where the vocabulary allows."""

    def __init__(self, folder: Path) -> None:
        self._ends = np.load(folder / "ids.npy")
        self._ids = np.load(folder / "ids.bin.npy", mmap_mode="r")

    @staticmethod
    def write(folder: Path, messages: Iterator[Sequence[int]], vocabulary_size: int) -> None:
        """Write the ids of all messages."""
        kind = np.uint16 if vocabulary_size <= _UINT16_IDS else np.uint32
        pieces, ends = [], [0]
        for token_ids in messages:
            pieces.append(np.array(token_ids, kind))
            ends.append(ends[-1] + len(token_ids))
        np.save(folder / "ids.bin.npy", np.concatenate(pieces) if pieces else np.zeros(0, kind))
        np.save(folder / "ids.npy", np.array(ends, np.int64))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: int) -> NDArray[np.int64]:
        return np.asarray(self._ids[self._ends[place] : self._ends[place + 1]], np.int64)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each message."""
        lengths: NDArray[np.int64] = np.diff(self._ends)
        return lengths


@dataclass(slots=True)
class Corpus:
    """Messages with their clusters and parts; texts and ids stay on disk."""

    folder: Path
    messages: list[MessageInfo]
    clusters: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    parts: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))

    @property
    def is_spam(self) -> NDArray[np.bool_]:
        return np.array([message.is_spam for message in self.messages], np.bool_)

    @property
    def corpora(self) -> NDArray[np.str_]:
        return np.array([message.corpus for message in self.messages])

    def all_places(self) -> NDArray[np.int64]:
        """Where all messages stand."""
        return np.arange(len(self.messages), dtype=np.int64)

    def places(self, part: Part) -> NDArray[np.int64]:
        """Where the messages of a part stand."""
        return np.flatnonzero(self.parts == part)

    def ids_sha256(self, part: Part) -> str:
        """Return the hash that tells which messages a part has, in whatever order."""
        messages = [self.messages[place] for place in self.places(part).tolist()]
        names = "\n".join(sorted(f"{message.source}\0{message.id}" for message in messages))
        return hashlib.sha256(names.encode("utf-8", "surrogatepass")).hexdigest()

    def texts(self) -> Texts:
        return Texts(self.folder)

    def token_ids(self) -> TokenIds:
        return TokenIds(self.folder)

    def save(self) -> None:
        """Write everything but texts and ids."""
        with (self.folder / "messages.jsonl").open("w", encoding="utf-8") as file:
            for message in self.messages:
                date = message.date.isoformat() if message.date else None
                line = [message.id, message.is_spam, message.source, date, message.language]
                file.write(json.dumps(line) + "\n")
        np.savez(self.folder / "clusters.npz", clusters=self.clusters, parts=self.parts)

    @classmethod
    def load(cls, folder: Path) -> "Corpus":
        """Read what `save` wrote."""
        messages = []
        with (folder / "messages.jsonl").open(encoding="utf-8") as file:
            for line in file:
                mail_id, is_spam, source, date, language = json.loads(line)
                day = datetime.date.fromisoformat(date) if date else None
                messages.append(MessageInfo(mail_id, is_spam, source, day, language))
        arrays = np.load(folder / "clusters.npz")
        return cls(folder, messages, arrays["clusters"], arrays["parts"])
