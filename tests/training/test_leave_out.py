"""Leaving corpora out, on the tests' own mail dealt out to made-up corpora."""

import base64
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import mail_files
from tests.training.test_compare import TINY
from training.cli import main
from training.config import load_preset
from training.corpus import Corpus
from training.hold_out import without
from training.leave_out import held_out
from training.prepare import prepare
from training.split import Part


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpora: `both`, dealt spam and ham; `junk` of spam and `list` of ham, modern; `old` of ham, of 1999."""
    path = tmp_path_factory.mktemp("mail") / "mail.jsonl"
    spam, ham = mail_files("spam"), mail_files("ham")
    dealt = [(file, "spam", "both" if number % 2 else "junk", "2024-05-01") for number, file in enumerate(spam)]
    dealt += [(file, "ham", "both" if number % 2 else "list:a", "2024-05-01") for number, file in enumerate(ham)]
    dealt += [(file, "ham", "old", "1999-05-01") for file in ham[:22]]
    with path.open("w") as lines:
        for number, (file, label, source, date) in enumerate(dealt):
            raw = base64.b64encode(file.read_bytes()).decode()
            row = {"id": str(number), "label": label, "source": source, "date": date, "raw_b64": raw}
            lines.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("preset") / "tiny.toml"
    path.write_text(TINY)
    return str(path)


@pytest.fixture(scope="module")
def corpus(mail: Path, preset: str, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepare([str(mail)], load_preset(preset), tmp_path_factory.mktemp("prepared"))[0]


def test_what_is_held_out(corpus: Corpus) -> None:
    """A corpus of both classes by itself; modern spam with modern ham; ham of 1999 with nothing."""
    folds = held_out(corpus)
    assert list(folds) == ["both", "junk+list"]
    assert set(corpus.corpora[folds["junk+list"]]) == {"junk", "list"}


def test_no_copy_of_what_is_held_out_is_trained_on(corpus: Corpus, tmp_path: Path) -> None:
    """All that is held out is tested, and nothing else; copies of it under other names are left out of training."""
    for held in held_out(corpus).values():
        split = without(corpus, held, tmp_path)
        assert np.array_equal(split.places(Part.TEST), np.flatnonzero(held))
        learned = np.concatenate([split.places(Part.TRAIN), split.places(Part.VALIDATION)])
        assert len(learned)
        assert not set(split.clusters[learned].tolist()) & set(split.clusters[held].tolist())
        # `old` is made of ham that stands in `both` and `list` too.
        assert len(learned) < (~held).sum()


def test_leave_out_reports_each_and_takes_up_the_finished(
    mail: Path, preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command gives a line for what was held out; the tokenizer is learned without it; a second run keeps all."""
    command = ["leave-out", "--data", str(mail), "--out", str(tmp_path), "--preset", preset, "--rivals", "lstm,tfidf"]
    assert main([*command, "--only", "both"]) == 0
    assert main(command) == 0
    results = json.loads((tmp_path / "metrics.json").read_text())["held_out"]
    assert list(results) == ["both", "junk+list"]
    for name, result in results.items():
        assert result["near_copies_left_out"] > 0
        for of in result["contenders"].values():
            assert of["test"]["all"]["spam"] + of["test"]["all"]["ham"] == result["messages"]["test"]
            assert 0 <= of["test"]["all"]["ham_lost"]["low"] <= of["test"]["all"]["ham_lost"]["value"] <= 1
            at = of["test"]["all"]["at_allowances"]
            assert at[0] | {"nats": 0} == {"nats": 0} | {
                key: of["test"]["all"][key] for key in ("spam_caught", "ham_lost")
            }
            for share in ("spam_caught", "ham_lost"):
                assert all(a[share]["value"] >= b[share]["value"] for a, b in itertools.pairwise(at))
        assert (tmp_path / "without" / name / "tokenizer.json").read_bytes() != (
            tmp_path / "prepared" / "tokenizer.json"
        ).read_bytes()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("without/*/*/result.json")}
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("without/*/*/result.json")} == before
    printed = capsys.readouterr().out
    assert "| junk+list | 26 / 25 |" in printed
    assert "| at a threshold set on known mail | lstm | tfidf |" in printed
    assert "| lstm, nats above that threshold | 0 | 1 | 2 | 3 | 4 |" in printed


def test_a_name_that_cannot_be_held_out_is_refused(
    mail: Path, preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says which can."""
    command = ["leave-out", "--data", str(mail), "--out", str(tmp_path), "--preset", preset, "--rivals", "tfidf"]
    assert main([*command, "--only", "old"]) == 1
    assert "cannot hold out old; these can be: both, junk+list" in capsys.readouterr().err
