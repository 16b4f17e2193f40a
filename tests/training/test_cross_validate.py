"""Cross-validation of known mail, on the tests' own mail."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import MAIL
from tests.training.test_compare import TINY
from training.calibrate import calibrate
from training.cli import main
from training.config import load_preset
from training.corpus import Corpus
from training.cross_validate import dealt
from training.prepare import prepare
from training.split import Part

SOURCES = [str(MAIL / "spam"), str(MAIL / "ham")]
PRETRAINED = "\n[pretrain]\nepochs = 1\n"


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A preset that takes seconds, with a language model."""
    path = tmp_path_factory.mktemp("preset") / "tiny.toml"
    path.write_text(TINY + PRETRAINED)
    return str(path)


@pytest.fixture(scope="module")
def corpus(preset: str, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepare(SOURCES, load_preset(preset), tmp_path_factory.mktemp("prepared"))[0]


def test_every_message_but_those_to_validate_on_is_in_one_fold(corpus: Corpus) -> None:
    """No cluster is in two folds, both classes are in each, and another seed deals otherwise."""
    folds = dealt(corpus, 3, seed=1)
    assert list(folds) == ["1", "2", "3"]
    times_N = np.sum(list(folds.values()), axis=0)
    assert np.array_equal(times_N, (corpus.parts != Part.VALIDATION).astype(int))
    for held in folds.values():
        others = (corpus.parts != Part.VALIDATION) & ~held
        assert not set(corpus.clusters[held].tolist()) & set(corpus.clusters[others].tolist())
        assert corpus.is_spam[held].any()
        assert not corpus.is_spam[held].all()
    assert not np.array_equal(dealt(corpus, 3, seed=2)["1"], folds["1"])


def test_pooled_measures_are_those_of_all_folds_on_one_scale(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From one language model: fitted once, and none for a fold; what is pooled is calibrated in its own fold."""
    assert main(["pretrain", "--data", *SOURCES, "--out", str(tmp_path / "lm"), "--preset", preset]) == 0
    command = ["cross-validate", "--data", *SOURCES, "--out", str(tmp_path), "--preset", preset, "--folds", "2"]
    command += ["--rivals", "lstm,ngrams", "--pretrained", str(tmp_path / "lm")]
    capsys.readouterr()
    assert main(command) == 0
    results = json.loads((tmp_path / "metrics.json").read_text())
    assert not list(tmp_path.glob("without/**/pretrained.safetensors"))
    assert list(results["folds"]) == ["1", "2"]

    corpus = Corpus.load(tmp_path / "prepared")
    tested = (corpus.parts != Part.VALIDATION).sum()
    for name in ("lstm", "ngrams"):
        pooled = results["pooled"][name]["all"]
        assert pooled["spam"] + pooled["ham"] == tested
        log_odds, is_spam = [], []
        for number, fold in enumerate(dealt(corpus, 2, load_preset(preset).seed).values(), start=1):
            kept = np.load(tmp_path / "without" / str(number) / name / "scores.npz")
            known = corpus.parts[kept["places"]] == Part.VALIDATION
            scale = calibrate(kept["scores"][known], corpus.is_spam[kept["places"][known]])
            held = fold[kept["places"]]
            log_odds.append(scale.slope * kept["scores"][held] + scale.offset)
            is_spam.append(corpus.is_spam[kept["places"][held]])
        scores, spam = np.concatenate(log_odds), np.concatenate(is_spam)
        ordered = np.greater.outer(scores[spam], scores[~spam]) + 0.5 * np.equal.outer(scores[spam], scores[~spam])
        assert pooled["one_minus_roca_percent"]["value"] == pytest.approx(100 * (1 - ordered.mean()))

    printed = capsys.readouterr().out
    assert f"| all | {pooled['spam']:,} / {pooled['ham']:,} |" in printed
    assert "| fold 2 |" in printed
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("without/*/*/result.json")}
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("without/*/*/result.json")} == before


def test_folds_that_cannot_be_are_refused(preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a sentence, before anything is fitted."""
    command = ["cross-validate", "--data", *SOURCES, "--out", str(tmp_path), "--preset", preset]
    assert main([*command, "--folds", "1"]) == 1
    assert "--folds must be from 2 to" in capsys.readouterr().err
    assert main([*command, "--folds", "9999"]) == 1
    assert "got 9999: this mail has" in capsys.readouterr().err
    assert main([*command, "--only", "5"]) == 1
    assert "cannot hold out 5; these can be: 1, 2, 3, 4" in capsys.readouterr().err
    assert main([*command, "--pretrained", str(tmp_path)]) == 1
    assert "give the --out of `python -m training pretrain`" in capsys.readouterr().err
