"""Feedback as the job takes it: from the journal to messages that may be learned from.

The whole journal is read each time, and nothing of it is kept when the job ends: so what was forgotten cannot come
back, whatever earlier runs had.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.errors import MessageError
from classifier.message import read_mail
from classifier.text import message_text
from training.errors import RetrainError
from training.progress import progress
from training.sources import LabelledMail, SourceReport, read_sources

# Sources of feedback are called feedback:reporter, after the name of this file.
FILE_NAME = "feedback.jsonl"


@dataclass(frozen=True, slots=True)
class Rules:
    """What feedback has to be like."""

    # Rows that may be bad before the whole export is refused, as a share.
    most_bad: float = 0.02
    # In a cluster of near copies, labels of the smaller side; above this share all of them are left out, below it those
    # of the smaller side.
    most_conflicting: float = 0.25
    # A reporter weighs no more than all others together, but at least as much as so many messages.
    least_cap: int = 50
    # Newest messages of one reporter that are read.
    most_of_reporter: int = 5_000


@dataclass(frozen=True, slots=True)
class Feedback:
    """One message that a user said something of, the label it has now."""

    id: str
    is_spam: bool
    source: str
    text: str

    @property
    def reporter(self) -> str:
        """Who said it; empty where nobody is named."""
        return self.source.partition(":")[2]

    @property
    def key(self) -> str:
        """By which the same text is known again, whatever its entry in the journal."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(slots=True)
class Sieved:
    """What became of the journal's messages, for the page."""

    exported: int = 0
    forgotten: int = 0
    bad: int = 0
    bad_places: list[str] = field(default_factory=list)
    over_volume: Counter[str] = field(default_factory=Counter)  # by reporter
    conflicting: int = 0
    capped: dict[str, float] = field(default_factory=dict)  # by reporter: what one of their messages weighs


@dataclass(frozen=True, slots=True)
class Journal:
    """What was written to the file, and how it is told whether anything changed since."""

    sieved: Sieved
    newest: str  # of all times in it
    at_newest: str  # `hash_of_ids` of what has that time


def write_journal(lines: Iterable[bytes], path: Path) -> Journal:
    """Write the messages that stand in the journal now: no ids that were forgotten, nothing that was taken back.

    The lines may be one export, or several that follow one another.
    """
    kept: dict[str, int] = {}  # the number of the line, by id
    times: dict[str, str] = {}
    sieved = Sieved()
    everything = path.with_suffix(".all")
    with everything.open("wb") as spool:
        for number, line in enumerate(lines):
            spool.write(line if line.endswith(b"\n") else line + b"\n")
            row = _object(line)
            name = str(row.get("id", f"line {number}"))
            times[name] = max(str(row.get("created_at", "")), str(row.get("forgotten_at", "")))
            kept.pop(str(row.get("supersedes")), None)
            if "forgotten_at" in row:
                sieved.forgotten += 1
                kept.pop(name, None)
            else:
                kept[name] = number
    wanted = set(kept.values())
    with everything.open("rb") as spool, path.open("wb") as file:
        file.writelines(line for number, line in enumerate(spool) if number in wanted and line.strip())
    everything.unlink()
    sieved.exported = len(kept)
    newest = max(times.values(), default="")
    return Journal(sieved, newest, hash_of_ids(name for name, time in times.items() if time == newest))


def hash_of_ids(ids: Iterable[str]) -> str:
    """Return by what it is told whether these are the same entries, without keeping their ids."""
    return hashlib.sha256("\n".join(sorted(ids)).encode("utf-8", "surrogatepass")).hexdigest()


def read_feedback(path: Path, rules: Rules, sieved: Sieved) -> list[Feedback]:
    """Return the messages of a file that `write_journal` wrote, in order of arrival; count what is left out.

    Raises:
        DataError: too many rows cannot be used.
    """
    if not path.stat().st_size:
        return []
    report = SourceReport()
    mails = read_sources([path], report=report, max_bad_share=rules.most_bad)
    found = list(_with_text(progress(mails, "reading feedback", sieved.exported), report))
    sieved.bad, sieved.bad_places = report.bad, report.bad_places
    seen: Counter[str] = Counter()
    kept: list[Feedback] = []
    for one in reversed(found):
        seen[one.reporter] += 1
        if seen[one.reporter] > rules.most_of_reporter:
            sieved.over_volume[one.reporter] += 1
        else:
            kept.append(one)
    return kept[::-1]


def agreeing(
    feedback: Sequence[Feedback], clusters_N: NDArray[np.int64], rules: Rules, sieved: Sieved
) -> NDArray[np.bool_]:
    """Return which messages have a label that their near copies do not contradict, bool (N,)."""
    is_spam = np.array([one.is_spam for one in feedback], np.bool_)
    size = np.bincount(clusters_N)
    spam_share = (np.bincount(clusters_N, is_spam) / np.maximum(size, 1))[clusters_N]
    smaller = np.minimum(spam_share, 1 - spam_share)
    on_smaller_side = np.where(is_spam, spam_share <= 0.5, spam_share >= 0.5)
    left_out = (smaller > rules.most_conflicting) | ((smaller > 0) & on_smaller_side)
    sieved.conflicting = int(left_out.sum())
    return ~left_out


def reporter_weights(feedback: Sequence[Feedback], rules: Rules, sieved: Sieved) -> NDArray[np.float64]:
    """Return what each message weighs so that no reporter outweighs all others together; a sole one is not capped."""
    counts = Counter(one.reporter for one in feedback)
    weights = dict.fromkeys(counts, 1.0)
    if len(counts) > 1:
        for reporter, count in counts.items():
            cap = max(rules.least_cap, len(feedback) - count)
            if count > cap:
                weights[reporter] = sieved.capped[reporter] = cap / count
    return np.array([weights[one.reporter] for one in feedback], np.float64)


def fingerprint(feedback: Iterable[Feedback]) -> str:
    """Return a hash of everything that learning takes from feedback."""
    digest = hashlib.sha256()
    for one in feedback:
        digest.update(f"{one.key}{one.is_spam}{one.source}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def lines_of_file(path: Path) -> Iterator[bytes]:
    """Yield the lines of an export that lies in a file.

    Raises:
        RetrainError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise RetrainError(f"cannot read the feedback in {path}: {error.strerror}") from error


def _object(line: bytes) -> dict[str, object]:
    """The object of a line, or an empty one: what is wrong with it is found and counted when it is read."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _with_text(mails: Iterable[LabelledMail], report: SourceReport) -> Iterator[Feedback]:
    for mail in mails:
        try:
            text = message_text(read_mail(mail.mail))
        except MessageError as error:
            report.add_bad(mail.id, str(error))
            continue
        if text:
            yield Feedback(mail.id, mail.label == "spam", mail.source, text)
        else:
            report.add_bad(mail.id, "says nothing")
