"""What the filter would have done with a mailbox's old mail, for its owner to look at before they switch.

Where a message lies now is what is compared with: in a folder for junk, or elsewhere. Neither is taken for the truth: a
message that would change places is one that the old filter, the new one, or the owner has wrong.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from classifier.errors import MessageError
from classifier.message import read_mail
from classifier.pipeline import SpamClassifier
from classifier.verdict import Verdict
from training.progress import progress
from training.report import html_page, html_table
from training.sources import Label, LabelledMail, SourceReport, read_sources

FILE_NAME = "replay"
_CHUNK = 128
_SHOWN = 200
_LIES: dict[Label, str] = {"ham": "inbox and other folders", "spam": "junk"}
_VERDICTS = (Verdict.HAM, Verdict.UNSURE, Verdict.SPAM)
# Thresholds that an owner might ask about.
_THRESHOLDS = (0.5, 0.9, 0.95, 0.99, 0.995, 0.999)


@dataclass(frozen=True, slots=True)
class Replayed:
    """One message: where it lies, and what would have been said of it."""

    id: str
    folder: str
    month: str  # year-month; empty where the date is not known
    lies: Label
    verdict: Verdict
    probability: float
    subject: str

    @property
    def changes(self) -> bool:
        """Whether it would lie elsewhere; what is unsure is left where it is."""
        return self.verdict is not Verdict.UNSURE and self.verdict.value != self.lies


@dataclass(slots=True)
class Replay:
    """What came of it."""

    model: str
    spam_from: float
    messages: list[Replayed]
    unread: int
    unread_places: list[str]
    messages_per_second: float

    def count(self, lies: Label, verdict: Verdict) -> int:
        """How many that lie there would be called so."""
        return sum(one.lies == lies and one.verdict is verdict for one in self.messages)


def replay(classifier: SpamClassifier, paths: Sequence[str], label: Label) -> Replay:
    """Score all mail of a mailbox, read message by message.

    Args:
        label: where mail lies of which neither folder nor record tells.

    Raises:
        DataError: the mailbox cannot be read.
    """
    report = SourceReport()
    started = time.monotonic()
    mails = progress(read_sources(paths, report=report, label=label), "reading and scoring mail")
    messages = [one for chunk in _chunks(mails) for one in _scored(classifier, chunk, report)]
    speed = len(messages) / max(1e-9, time.monotonic() - started)
    spam_from = classifier.thresholds.spam_from
    return Replay(classifier.version, spam_from, messages, report.bad, report.bad_places, speed)


def write_replay(found: Replay, folder: Path, *, show_content: bool) -> Path:
    """Write the page and its numbers; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{FILE_NAME}.html"
    sections = (_summary, _by_folder, _by_month, _thresholds)
    parts = [part for section in sections for part in section(found)]
    page.write_text(html_page("what would have changed", [*parts, *_changes(found, show_content)]), encoding="utf-8")
    rows = [asdict(one) | {"subject": one.subject if show_content else None} for one in found.messages]
    values = {"model": found.model, "spam_from": found.spam_from, "unread": found.unread, "messages": rows}
    (folder / f"{FILE_NAME}.json").write_text(json.dumps(values, indent=1, ensure_ascii=False), encoding="utf-8")
    return page


def sentences(found: Replay) -> list[str]:
    """Return in words what would have changed."""
    lines = []
    for lies, where in _LIES.items():
        ham, unsure, spam = (found.count(lies, verdict) for verdict in _VERDICTS)
        total = ham + unsure + spam
        if not total:
            continue
        moved, stays = (spam, ham) if lies == "ham" else (ham, spam)
        what = "would have gone to junk" if lies == "ham" else "would have been delivered"
        lines.append(
            f"Of {total:,} messages in {where}, {moved:,} ({moved / total:.2%}) {what}, and {stays:,} "
            f"({stays / total:.2%}) would lie where they do. Of {unsure:,} ({unsure / total:.2%}) it would have been "
            "unsure."
        )
    return lines


def _chunks(mails: Iterable[LabelledMail]) -> Iterator[list[LabelledMail]]:
    chunk: list[LabelledMail] = []
    for mail in mails:
        chunk.append(mail)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _scored(classifier: SpamClassifier, mails: Sequence[LabelledMail], report: SourceReport) -> Iterator[Replayed]:
    prepared, read = [], []
    for mail in mails:
        try:
            message = read_mail(mail.mail)
            prepared.append(classifier.prepare(mail.mail))
        except MessageError as error:
            report.add_bad(mail.id, str(error))
            continue
        read.append((mail, message.subject or ""))
    for (mail, subject), score in zip(read, classifier.score(prepared), strict=True):
        month = mail.date.strftime("%Y-%m") if mail.date else ""
        yield Replayed(mail.id, mail.source, month, mail.label, score.verdict, score.probability, subject)


def _summary(found: Replay) -> Iterable[str]:
    yield "<h1>What the filter would have done with this mailbox</h1>"
    yield f'<p class="note">Model {escape(found.model)}; nothing was changed or learned.</p>'
    for sentence in sentences(found):
        yield f"<p><strong>{escape(sentence)}</strong></p>"
    yield (
        "<p>Where a message lies now is not always where it belongs: look at those below that would change places. "
        "What is right among them is what you gain; report the others as feedback, and the filter learns them.</p>"
    )
    yield (
        f'<p class="note">{len(found.messages):,} messages at {found.messages_per_second:,.0f} a second, reading '
        f"included; {found.unread:,} could not be read{': ' if found.unread else ''}"
        f"{escape('; '.join(found.unread_places[:5]))}.</p>"
    )


def _by_folder(found: Replay) -> Iterable[str]:
    yield "<h2>By folder</h2>"
    yield _table("folder", found.messages, [one.folder for one in found.messages])


def _by_month(found: Replay) -> Iterable[str]:
    yield "<h2>By month</h2>"
    yield _table("month", found.messages, [one.month or "not dated" for one in found.messages])


def _table(heading: str, messages: Sequence[Replayed], groups: Sequence[str]) -> str:
    counts = Counter((group, one.verdict) for group, one in zip(groups, messages, strict=True))
    changed = Counter(group for group, one in zip(groups, messages, strict=True) if one.changes)
    rows = [
        [group, *(f"{counts[group, verdict]:,}" for verdict in _VERDICTS), f"{changed[group]:,}"]
        for group in sorted(set(groups))
    ]
    return html_table([heading, "ham", "unsure", "spam", "would change places"], rows)


def _thresholds(found: Replay) -> Iterable[str]:
    yield "<h2>At other thresholds</h2>"
    yield (
        f"<p>The model says spam from {found.spam_from:.4f} on. A higher threshold moves less of what lies in the "
        "inbox, and catches less.</p>"
    )
    rows = []
    for threshold in sorted({*_THRESHOLDS, round(found.spam_from, 4)}):
        cells = []
        for lies in _LIES:
            scores = [one.probability for one in found.messages if one.lies == lies]
            called = sum(score >= threshold for score in scores)
            cells.append(f"{called:,} of {len(scores):,}" if scores else "-")
        rows.append([f"{threshold:.4f}", *cells])
    yield html_table(["spam from", *(f"called spam of {where}" for where in _LIES.values())], rows)


def _changes(found: Replay, show_content: bool) -> Iterable[str]:
    for lies, heading in (("ham", "Would have gone to junk"), ("spam", "Would have been delivered")):
        changed = [one for one in found.messages if one.changes and one.lies == lies]
        if not changed:
            continue
        changed.sort(key=lambda one: one.probability, reverse=lies == "ham")
        yield f"<h2>{heading}: {len(changed):,}</h2>"
        if len(changed) > _SHOWN:
            yield f'<p class="note">The {_SHOWN} that it would have been surest of; all are in {FILE_NAME}.json.</p>'
        rows = [
            [one.id, f"{one.probability:.4f}", *([one.subject] if show_content else [])] for one in changed[:_SHOWN]
        ]
        yield html_table(["message", "probability of spam", *(["subject"] if show_content else [])], rows)
    if not show_content:
        yield '<p class="note">Subjects are shown with --show-content: private mail.</p>'
