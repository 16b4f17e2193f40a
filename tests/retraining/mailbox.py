"""A made-up mailbox, as the service exports it: small mail of two kinds that hardly share a word."""

import base64
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_KINDS = {
    "spam": "prize winner claim casino bonus jackpot lottery pills discount unlock offer investment crypto doubled",
    "ham": "meeting minutes agenda invoice draft review holiday lunch project schedule garden parents train ticket",
}
_FILLER = "the a of to and in for is on with we you it this that be at from as are have will one can next week"


def mail(label: str, number: int) -> bytes:
    """Return a mail of a kind; each number is another one, none a near copy of another."""
    chance = random.Random(f"{label} {number}")
    words = [chance.choice((_KINDS[label] if chance.random() < 0.4 else _FILLER).split()) for _ in range(30)]
    words += ["".join(chance.choices("bcdfghjklmnp", k=1) + chance.choices("aeiou", k=5)) for _ in range(20)]
    chance.shuffle(words)
    subject = " ".join(words[:4])
    return f"From: {words[5]}@example.org\nSubject: {subject}\n\n{' '.join(words)}\n".encode()


def entry(raw: bytes, label: str, number: int, reporter: str = "ann", **more: Any) -> dict[str, Any]:
    """Return a line of the export."""
    minute = f"2026-11-20T{number // 60 % 24:02}:{number % 60:02}:00+00:00"
    encoded = base64.b64encode(raw).decode()
    row = {"id": f"{number:032x}", "label": label, "reporter": reporter, "created_at": minute, "raw_base64": encoded}
    return row | more


def entries(count: int, first: int = 0, reporters: Sequence[str] = ("ann", "bob")) -> list[dict[str, Any]]:
    """Return so many lines, spam and ham in turn, from each reporter as many."""
    rows = []
    for number in range(first, first + count):
        label = ("spam", "ham")[number % 2]
        rows.append(entry(mail(label, number), label, number, reporters[number // 2 % len(reporters)]))
    return rows


def write(rows: Iterable[dict[str, Any]], path: Path) -> Path:
    """Write an export."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
