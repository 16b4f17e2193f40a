"""Users who lie: what poisoned feedback can do, on real mail.

Stated bounds: whatever one reporter of five sends, on mail that follows the version in service catches at most 8 points
less of the spam, and loses at most half a point more of the ham, than without that reporter's feedback; or the gate
keeps the one before. Found (2026-11-29, a champion fitted on 1,600 messages, 400 honest reports, 94.0 % caught and
5.30 % lost without): labels turned 93.8 and 5.07, good words 93.7 and 5.07, a flood of them 93.0 and 4.20, a flood of
turned labels kept out.
"""

import base64
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from classifier.artifact import active_folder
from classifier.pipeline import SpamClassifier
from classifier.verdict import Verdict
from tests.retraining.mailbox import entry, write
from tests.retraining.real_mail import mailbox
from training.retrain.decision import Outcome
from training.retrain.job import Job, retrain

HONEST = 400
FOLLOWING = 3_000
RECALL_MARGIN, HAM_MARGIN = 0.08, 0.005
REPORTERS = ("ann", "bob", "cid", "dan")
Records = Sequence[dict[str, Any]]


@pytest.fixture(scope="module")
def records(champion: tuple[Path, Path]) -> Records:
    """Return the mailbox."""
    return mailbox(Path(os.environ["HAMLET_CORPORA"]))


def rows(records: Records, reporters: Sequence[str] = REPORTERS, first: int = 0) -> list[dict[str, Any]]:
    """Return what users say of mail: the truth."""
    return [
        entry(base64.b64decode(record["raw_b64"]), record["label"], first + number, reporters[number % len(reporters)])
        for number, record in enumerate(records)
    ]


def turned(records: Records, first: int) -> list[dict[str, Any]]:
    """Return what eve says of mail: the opposite."""
    opposite = {"spam": "ham", "ham": "spam"}
    return [row | {"label": opposite[row["label"]]} for row in rows(records, ["eve"], first)]


def good_words(records: Records, count: int, first: int) -> list[dict[str, Any]]:
    """Return mail that eve made of the words of wanted mail and calls spam, so that the words become spam's."""
    chance = random.Random(3)
    words = [
        word
        for record in records
        if record["label"] == "ham"
        for word in base64.b64decode(record["raw_b64"]).partition(b"\n\n")[2].split()[:100]
        if word.isalpha()
    ]
    made = [
        b"From: eve@example.org\nSubject: hello\n\n" + b" ".join(chance.choices(words, k=300)) for _ in range(count)
    ]
    return [entry(raw, "spam", first + number, "eve") for number, raw in enumerate(made)]


def outcome(champion: tuple[Path, Path], said: list[dict[str, Any]], folder: Path) -> tuple[Outcome, SpamClassifier]:
    """Run the job on a copy of the champion's folder; return what it came to and what is in service then."""
    models = Path(shutil.copytree(champion[0], folder / "models"))
    # In order of arrival: eve is in the midst of the others.
    file = write(sorted(said, key=lambda row: random.Random(row["id"]).random()), folder / "feedback.jsonl")
    job = Job(models=models, out=folder / "job", file=file, base=[str(champion[1])])
    return retrain(job), SpamClassifier.load(active_folder(models))


def measured(classifier: SpamClassifier, records: Records) -> tuple[float, float]:
    """Return the share of spam that is caught and of ham that is lost."""
    prepared = [classifier.prepare(base64.b64decode(record["raw_b64"])) for record in records]
    called_spam = [score.verdict is Verdict.SPAM for score in classifier.score(prepared)]
    shares = {}
    for label in ("spam", "ham"):
        of_label = [called for called, record in zip(called_spam, records, strict=True) if record["label"] == label]
        shares[label] = sum(of_label) / len(of_label)
    return shares["spam"], shares["ham"]


@pytest.fixture(scope="module")
def honest(
    champion: tuple[Path, Path], records: Records, tmp_path_factory: pytest.TempPathFactory
) -> tuple[float, float]:
    """Return what honest feedback alone comes to on mail that follows."""
    result, classifier = outcome(champion, rows(records[:HONEST]), tmp_path_factory.mktemp("honest"))
    assert result is Outcome.PROMOTED
    return measured(classifier, records[-FOLLOWING:])


@pytest.mark.parametrize(
    "attack", ["labels turned, 1 %", "good words, 1 %", "labels turned, a flood", "good words, a flood"]
)
def test_poison_stays_within_bounds(
    champion: tuple[Path, Path], records: Records, honest: tuple[float, float], tmp_path: Path, attack: str
) -> None:
    """1 % of all that is learned from, and a flood of as much as all others say together."""
    learned = HONEST + 800  # feedback and replayed old mail
    count = round(0.01 * learned) if attack.endswith("1 %") else HONEST
    eves = records[HONEST : HONEST + count]
    poison = turned(eves, 5_000) if attack.startswith("labels") else good_words(records[:HONEST], count, 5_000)
    assert len(poison) == count
    result, classifier = outcome(champion, [*rows(records[:HONEST]), *poison], tmp_path)
    recall, ham_loss = measured(classifier, records[-FOLLOWING:])
    print(
        f"{attack}: {result.name}, caught {recall:.2%} (honest {honest[0]:.2%}), lost {ham_loss:.2%} ({honest[1]:.2%})"
    )
    if result is Outcome.PROMOTED:
        assert recall >= honest[0] - RECALL_MARGIN
        assert ham_loss <= honest[1] + HAM_MARGIN
    else:
        assert result is Outcome.KEPT
        assert active_folder(tmp_path / "models").name == active_folder(champion[0]).name
