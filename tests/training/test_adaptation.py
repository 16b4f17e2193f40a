"""The curve of adaptation: both filters learn the same mail, and what follows is theirs to judge."""

from dataclasses import replace
from pathlib import Path

import pytest

from classifier.artifact import save_artifact
from classifier.pipeline import SpamClassifier
from tests.classifier.models import small_artifact
from tests.conftest import MAIL
from tests.retraining.mailbox import entries, write
from tests.training.test_peers import needs_bogofilter
from tests.training.test_report import _Reader, findings
from training import adaptation
from training.adapt import AdaptConfig
from training.config import TrainingConfig
from training.errors import DataError
from training.prepare import prepare
from training.report import page

BASE = [str(MAIL / "spam"), str(MAIL / "ham")]


@needs_bogofilter
def test_both_learn_a_mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 200 made-up messages an untrained model tells the next ones apart, and so does bogofilter; the report shows
    it."""
    monkeypatch.setattr(adaptation, "POINTS", (0, 100, 200))
    model = save_artifact(small_artifact(), tmp_path / "models", "2026.11.01")
    tokenizer = SpamClassifier.load(model).tokenizer
    old, _ = prepare(BASE, TrainingConfig(), tmp_path / "prepared", tokenizer=tokenizer)
    mailbox = [str(write([row | {"source": "new"} for row in entries(400)], tmp_path / "mailbox.jsonl"))]
    found = adaptation.measure_adaptation(model, old, BASE, mailbox, tmp_path / "out", AdaptConfig())
    assert [point["messages"] for point in found["points"]] == [0, 100, 200]
    assert [point["tested"] for point in found["points"]] == [400, 300, 200]
    for name, (learned, areas) in adaptation.curves(found).items():
        assert learned.tolist() == [0, 100, 200]
        assert areas[0] > (15 if name == "hamlet" else areas[-1])
        assert areas[-1] < 5
    text = page(replace(findings(), adaptation=found))
    assert _Reader(text).open == []
    assert "A new mailbox" in text
    assert adaptation.table(found).count("\n") == 4
    with pytest.raises(DataError, match="are too few"):
        adaptation.measure_adaptation(model, old, BASE, BASE, tmp_path / "small", AdaptConfig())
