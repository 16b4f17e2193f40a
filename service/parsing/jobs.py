"""What a worker and the process that parses for it say to each other, in frames of `multiprocessing.connection`.

The process starts with HELLO. Then a Job, pickled, is answered by JSON with an answer for each of its mails, in order.
JSON, so that whatever a mail may make of the process that reads it, it can only send answers.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from classifier.encoding import PreparedMessage
from classifier.message import MailFields

HELLO = b"ready"
# A frame stands behind its length.
LENGTH = struct.Struct("!I")
# Around a swap requests of two versions come in turns.
SLOTS = 2


class Reader(Protocol):
    """What prepares the mails of one version; it can be pickled. See classifier.reader.MailReader."""

    def prepare(self, mail: bytes | MailFields) -> PreparedMessage:
        """Return what the network reads; raises MessageError."""


@dataclass(frozen=True, slots=True)
class Job:
    """Mails of one request."""

    mails: Sequence[bytes | MailFields]
    slot: int  # which of the readers that were given is to prepare them, 0 <= slot < SLOTS
    reader: Reader | None = None  # to be kept in the slot from now on


@dataclass(frozen=True, slots=True)
class Refused:
    """A mail that cannot be scored, for a reason that its sender is told."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A mail on which the code failed."""

    error: str


Answer = PreparedMessage | Refused | Failed


def pack(answers: Sequence[Answer]) -> bytes:
    """Return answers as the process sends them."""
    return orjson.dumps([_packed(answer) for answer in answers])


def unpack(frame: bytes) -> list[Answer]:
    """Return what `pack` was given."""
    return [_unpacked(*answer) for answer in orjson.loads(frame)]


def _packed(answer: Answer) -> tuple[object, ...]:
    if isinstance(answer, PreparedMessage):
        return (answer.token_ids, answer.truncated, answer.defects)
    return (answer.code, answer.sentence) if isinstance(answer, Refused) else (answer.error,)


def _unpacked(first: list[int] | str, second: bool | str = "", defects: Sequence[str] = ()) -> Answer:
    if isinstance(first, list):
        return PreparedMessage(first, bool(second), tuple(defects))
    return Refused(first, str(second)) if second else Failed(first)
