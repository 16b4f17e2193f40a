"""The job from end to end on a small model and a made-up mailbox: what it decides, and what it leaves behind."""

import json
import shutil
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from classifier.artifact import active_folder, load_artifact
from classifier.message import read_mail
from classifier.pipeline import SpamClassifier
from classifier.text import message_text
from classifier.verdict import Verdict
from tests.retraining.mailbox import entries, entry, mail, write
from tests.retraining.process import SETTINGS
from training.cli import main
from training.errors import RetrainError
from training.retrain.decision import Outcome
from training.retrain.feedback import Feedback
from training.retrain.gate import Limits
from training.retrain.job import Job, RetrainConfig, retrain
from training.retrain.lock import locked

FEEDBACK = 240
# What is learned from so little mail, from nothing, does depend on each label.
LIMITS = Limits(poisoned_recall_margin=0.3, poisoned_ham_margin=0.3)


def run(models: Path, rows: list[dict[str, Any]], limits: Limits = LIMITS, **more: Any) -> Outcome:
    file = write(rows, models.parent / "feedback.jsonl")
    config = RetrainConfig(limits=limits)
    return retrain(Job(models=models, out=models.parent / "job", file=file, config=config, **more))


def decision(models: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((models.parent / "job" / "decision.json").read_text())
    return found


def active(models: Path) -> str:
    return active_folder(models).name


def test_feedback_makes_a_version_that_knows_it(models: Path) -> None:
    """A champion that knows nothing is replaced by one that tells the mailbox's spam from its ham; then it rests."""
    before = active(models)
    assert run(models, entries(FEEDBACK)) is Outcome.PROMOTED
    classifier = SpamClassifier.load(active_folder(models))
    classifier.self_test()
    verdicts = [
        classifier.score([classifier.prepare(mail(label, 10_000 + number))])[0].verdict
        for number in range(30)
        for label in ("spam", "ham")
    ]
    assert verdicts[::2].count(Verdict.HAM) <= 3
    assert verdicts[1::2].count(Verdict.SPAM) == 0
    retrained = classifier.card["retrained"]
    assert (retrained["origin"], retrained["instead_of"]) == (before, before)
    found = decision(models)
    assert found["outcome"] == "promoted"
    assert all(check["passed"] for check in found["checks"])
    page = (models.parent / "job" / "decision.html").read_text()
    assert "A new version was put into service" in page
    assert "of the spam was caught, now" in page
    assert run(models, entries(FEEDBACK)) is Outcome.NOTHING_TO_DO
    assert {path.name for path in (models.parent / "job").iterdir()} == {"decision.html", "decision.json", "state.json"}


def test_what_judged_one_run_is_learned_in_the_next(models: Path) -> None:
    """No correction is held back for good."""
    assert run(models, entries(FEEDBACK)) is Outcome.PROMOTED
    first = load_artifact(active_folder(models)).card["retrained"]["feedback"]
    assert run(models, entries(FEEDBACK + 200)) is Outcome.PROMOTED
    second = load_artifact(active_folder(models)).card["retrained"]["feedback"]
    assert sum(first.values()) < FEEDBACK
    assert sum(second.values()) > FEEDBACK


def test_what_was_forgotten_leaves_no_trace(models: Path, tmp_path: Path) -> None:
    """After users took back half of their feedback neither ids nor hashes of it are left, and what is learned then has
    the weights of what is learned where that half never was."""
    # What it learns is not judged here: of so little mail one of the 48 ham that judge is lost.
    limits = replace(LIMITS, ham_loss_budget=0.01)
    rows = entries(2 * FEEDBACK)
    kept, forgotten = rows[:FEEDBACK], rows[FEEDBACK:]
    fresh = Path(shutil.copytree(models, tmp_path / "fresh" / "models"))
    assert run(models, rows, limits) is Outcome.PROMOTED
    gone = [{"id": row["id"], "forgotten_at": "2026-11-22T00:00:00+00:00"} for row in forgotten]
    left = [*kept, *gone, *entries(200, first=5_000)]
    assert run(models, left, limits) is Outcome.PROMOTED
    state = json.loads((tmp_path / "job" / "state.json").read_text())
    files = [path for path in (*tmp_path.glob("job/**/*"), *models.glob("*/card.json")) if path.is_file()]
    assert not any(row["id"] in path.read_text() for row in forgotten for path in files)
    keys = {Feedback("", True, "", message_text(read_mail(b64decode(row["raw_base64"])))).key for row in forgotten}
    assert len(keys) == len(forgotten)
    assert not keys & {key for learned in state["learned"].values() for key in learned}

    assert main(["rollback", "--models", str(models), "--to", active(fresh)]) == 0
    assert run(models, [*left, *entries(10, first=7_000)], limits) is Outcome.PROMOTED
    assert run(fresh, [*kept, *entries(200, first=5_000), *entries(10, first=7_000)], limits) is Outcome.PROMOTED
    weights = [(active_folder(folder) / "model.safetensors").read_bytes() for folder in (models, fresh)]
    assert weights[0] == weights[1]


def test_when_all_is_forgotten_the_fitted_version_serves_again(models: Path) -> None:
    """Nothing that was learned from feedback stays in service."""
    before = active(models)
    rows = entries(FEEDBACK)
    assert run(models, rows) is Outcome.PROMOTED
    assert run(models, [{"id": row["id"], "forgotten_at": "2026-11-22T00:00:00Z"} for row in rows]) is Outcome.PROMOTED
    assert active(models) == before
    assert "was forgotten" in decision(models)["reason"]
    assert run(models, []) is Outcome.NOTHING_TO_DO


def test_a_champion_that_knows_what_was_forgotten_goes_even_without_a_better_one(models: Path) -> None:
    """Where what is left is too little to judge by, the fitted version serves again."""
    before = active(models)
    rows = entries(FEEDBACK)
    assert run(models, rows) is Outcome.PROMOTED
    assert run(models, rows[:40]) is Outcome.PROMOTED
    assert active(models) == before
    found = decision(models)
    assert "has learned from feedback that was forgotten since" in found["reason"]
    assert "--base" in found["reason"]
    assert run(models, rows[:40]) is Outcome.NOTHING_TO_DO


def test_labels_that_contradict_the_mailbox_are_kept_out(models: Path) -> None:
    """When what users say of the same kind of mail turns round, the new version would lose mail: the old one stays."""
    assert run(models, entries(FEEDBACK)) is Outcome.PROMOTED
    before = active(models)
    turned = entries(400)
    for number, row in enumerate(turned[FEEDBACK:]):
        if number < 110:  # the newest, which judge, are right
            row["label"] = {"spam": "ham", "ham": "spam"}[row["label"]]
    assert run(models, turned) is Outcome.KEPT
    assert active(models) == before
    found = decision(models)
    assert found["outcome"] == "kept"
    assert not all(check["passed"] for check in found["checks"])
    assert "STOPPED IT" in (models.parent / "job" / "decision.html").read_text()
    assert run(models, turned) is Outcome.NOTHING_TO_DO


def test_one_class_alone_teaches_nothing(models: Path) -> None:
    """Without old mail, a mailbox that only ever reports spam is told why it waits."""
    assert run(models, [row for row in entries(FEEDBACK) if row["label"] == "spam"]) is Outcome.KEPT
    assert "one class alone" in decision(models)["reason"]


def test_too_little_feedback_without_old_mail_changes_nothing(models: Path) -> None:
    """Ten messages of each class cannot judge; the reason says what to give."""
    assert run(models, entries(80)) is Outcome.KEPT
    assert "--base" in decision(models)["reason"]


def test_with_old_mail_a_few_corrections_are_enough(models: Path) -> None:
    """The old mail judges too."""
    base = write([row | {"source": "old"} for row in entries(600, first=2_000)], models.parent / "old.jsonl")
    assert run(models, entries(20), base=[str(base)]) is Outcome.PROMOTED
    counts = {tuple(row[:3]): row[3] for row in decision(models)["messages"]}
    assert counts["old mail", "judged by", "spam"] >= 20
    assert run(models, entries(22), base=[str(base)], at_least=5) is Outcome.NOTHING_TO_DO


def test_a_version_that_was_rolled_back_is_not_promoted_again(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a person took out of service comes back only by a person, or as another one."""
    before = active(models)
    assert run(models, entries(FEEDBACK)) is Outcome.PROMOTED
    assert main(["rollback", "--models", str(models)]) == 0
    assert active(models) == before
    assert f"{before} is in service again" in capsys.readouterr().err
    assert run(models, entries(FEEDBACK)) is Outcome.KEPT
    assert "rolled back by hand" in decision(models)["reason"]
    assert run(models, entries(FEEDBACK + 40)) is Outcome.PROMOTED
    assert main(["rollback", "--models", str(models), "--to", "2020.01.01-abc"]) == 1
    assert main(["rollback", "--models", str(models), "--to", before]) == 0
    assert main(["rollback", "--models", str(models)]) == 1
    assert "say --to VERSION" in capsys.readouterr().err


def test_old_versions_go(models: Path) -> None:
    """Those that were adapted, for they know what may have been forgotten; the fitted one stays."""
    before = active(models)
    for count in (240, 480, 720):
        assert run(models, entries(count), keep=1) is Outcome.PROMOTED
    versions = {path.name for path in models.glob("[0-9]*")}
    assert len(versions) == 3
    assert {before, active(models)} < versions


def test_the_exit_status_says_what_came_of_it(models: Path, tmp_path: Path) -> None:
    """0 promoted, 3 kept, 4 nothing to do, 1 a mistake."""
    file = write(entries(FEEDBACK), tmp_path / "feedback.jsonl")
    command = ["retrain", "--models", str(models), "--out", str(tmp_path / "job"), "--settings", str(SETTINGS)]
    write(entries(40), tmp_path / "few.jsonl")
    assert main([*command, "--feedback", str(tmp_path / "few.jsonl")]) == 3
    assert main([*command, "--feedback", str(file)]) == 0
    assert main([*command, "--feedback", str(file)]) == 4
    assert main(command) == 1
    assert main([*command, "--feedback", str(tmp_path / "nowhere")]) == 1
    assert main([*command, "--service", "localhost"]) == 1


def test_a_second_job_says_so_and_does_nothing(models: Path) -> None:
    """One at a time on one folder of models, whatever folder the job itself works in."""
    with locked(models), pytest.raises(RetrainError, match=r"another job is at work on .*process \d+"):
        run(models, entries(FEEDBACK))
    assert run(models, entries(FEEDBACK)) is Outcome.PROMOTED


def test_a_champion_without_its_origin_is_an_error(models: Path) -> None:
    """To adapt what was adapted already would keep what was forgotten."""
    before = active(models)
    assert run(models, entries(FEEDBACK)) is Outcome.PROMOTED
    (models / before).rename(models.parent / "elsewhere")
    with pytest.raises(RetrainError, match=f"adapted from {before}, which is not in"):
        run(models, entries(FEEDBACK + 40))


def test_the_golden_messages_stop_a_candidate(models: Path) -> None:
    """A version that calls a golden ham spam is not put into service."""
    origin = load_artifact(active_folder(models))
    golden = origin.golden[0]
    assert golden.spam_probability != 0.5
    label = "ham" if golden.spam_probability > 0.5 else "spam"
    rows = entries(FEEDBACK)
    rows += [entry(b64decode(golden.raw_base64) + b"%d" % number, label, 900 + number) for number in range(60)]
    assert run(models, rows) is Outcome.KEPT
    assert any(not check["passed"] and check["name"] == "golden messages" for check in decision(models)["checks"])
