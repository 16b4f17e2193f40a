"""The mail that everything is measured on: real and raw, the same on every run."""

import base64
import json
import lzma
import os
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import mail_files

SEED = 1


@dataclass(frozen=True, slots=True)
class LabelledMail:
    """One mail as it came off the wire, and whether it is spam."""

    raw: bytes
    spam: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """Mails in an order that mixes where they are from."""

    mails: list[LabelledMail]
    origin: str

    @property
    def raws(self) -> list[bytes]:
        """The bytes alone."""
        return [mail.raw for mail in self.mails]

    def __str__(self) -> str:
        kilobytes = statistics.median(len(mail.raw) for mail in self.mails) / 1000
        return f"{len(self.mails)} mails, median {kilobytes:.1f} kB, of {self.origin}"


def sample_mail(count: int, seed: int = SEED) -> Sample:
    """Draw raw mails, every corpus of HAMLET_CORPORA by its size; of tests/mail where that is not set.

    Where there are fewer, they come more than once.

    Raises:
        FileNotFoundError: HAMLET_CORPORA is set, and no raw mail is there.
    """
    folder = os.environ.get("HAMLET_CORPORA")
    corpora = _corpora(Path(folder)) if folder else {"tests/mail": _mail_of_the_tests()}
    if not corpora:
        raise FileNotFoundError(
            f"HAMLET_CORPORA is {folder}, where no *.jsonl.xz holds raw mail: set it to a folder that has some"
        )
    chance = random.Random(seed)
    for mails in corpora.values():
        chance.shuffle(mails)
    every = [mail for mails in corpora.values() for mail in mails]
    drawn = [every[place * len(every) // count] for place in range(count)]
    chance.shuffle(drawn)
    return Sample(drawn, ", ".join(corpora))


def json_body(raws: Sequence[bytes]) -> bytes:
    """Return the body of POST /v1/predict for these mails."""
    return json.dumps({"messages": [{"raw_base64": base64.b64encode(raw).decode()} for raw in raws]}).encode()


def json_bodies(raws: Sequence[bytes], messages: int) -> list[bytes]:
    """Return bodies of so many mails each; mails that fill no body are left out."""
    return [json_body(raws[start : start + messages]) for start in range(0, len(raws) - messages + 1, messages)]


def mixed_mail(raws: Sequence[bytes], seed: int = SEED) -> Iterator[bytes]:
    """Yield mails of 10 bytes to 10 MiB without end, made of real ones.

    97.9 % have up to 64 KiB (mails cut anywhere), 2 % up to 1 MiB and 0.1 % up to 10 MiB (mails one behind another as
    one text, or real bytes as an attachment), the sizes of each kind even on a logarithmic scale.
    """
    chance = random.Random(seed)
    pool = b"\n".join(raws)
    while True:
        kind = chance.random()
        if kind < 0.979:
            size = _log_uniform(chance, 10, 64 * 1024)
            raw = chance.choice(raws)
            yield raw[:size]
            continue
        low, high = (64 * 1024, 1024**2) if kind < 0.999 else (1024**2, 10 * 1024**2)
        size = _log_uniform(chance, low, high)
        start = chance.randrange(len(pool))
        yield sized_mail(pool, start, size, attached=chance.random() < 0.5)


def sized_mail(pool: bytes, start: int, size: int, *, attached: bool) -> bytes:
    """Return a mail of `size` bytes: those of `pool` from `start` on as its text, or in base64 as its attachment."""
    subject = b"From: ann@example.org\nSubject: what you asked for\nMIME-Version: 1.0\n"
    if attached:
        head = subject + (
            b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain\n\nSee the attachment.\n'
            b"--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n"
        )
        tail = b"\n--b--\n"
        body = base64.encodebytes(_cycled(pool, start, size))
    else:
        head, tail, body = subject + b"Content-Type: text/plain; charset=utf-8\n\n", b"", _cycled(pool, start, size)
    return (head + body[: max(size - len(head) - len(tail), 0)] + tail)[:size]


def _cycled(pool: bytes, start: int, size: int) -> bytes:
    parts = [pool[start : start + size]]
    while (left := size - sum(map(len, parts))) > 0:
        parts.append(pool[:left])
    return b"".join(parts)


def _log_uniform(chance: random.Random, low: int, high: int) -> int:
    return min(int(low * (high / low) ** chance.random()), high)


def _corpora(folder: Path) -> dict[str, list[LabelledMail]]:
    found: dict[str, list[LabelledMail]] = {}
    for path in sorted(folder.glob("*.jsonl.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            records = (json.loads(line) for line in lines)
            first: dict[str, str] = next(records, {})
            if "raw_b64" in first:
                found[path.name.partition(".")[0]] = [
                    LabelledMail(base64.b64decode(record["raw_b64"]), record["label"] == "spam")
                    for record in (first, *records)
                ]
    return found


def _mail_of_the_tests() -> list[LabelledMail]:
    return [
        LabelledMail(path.read_bytes(), spam=kind == "spam") for kind in ("spam", "ham") for path in mail_files(kind)
    ]
