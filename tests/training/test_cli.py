"""The command line, as a person uses it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scipy.special import logit

from classifier.artifact import active_folder
from classifier.pipeline import SpamClassifier
from tests.conftest import MAIL
from training.cli import main
from training.config import PRESETS

SOURCES = [str(MAIL / "spam"), str(MAIL / "ham")]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smoke run, by the command that the README gives."""
    out = tmp_path_factory.mktemp("smoke")
    command = [sys.executable, "-m", "training", "fit", "--preset", "smoke", "--data", *SOURCES, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert "| all |" in done.stdout
    return out


def test_fit_publishes_a_model_that_can_be_served(run_folder: Path) -> None:
    """Mail in, a verified version out, named as the active one, with a card that says what it is made of."""
    classifier = SpamClassifier.load(active_folder(run_folder / "models"))
    classifier.self_test()
    card = classifier.card
    assert {entry["name"] for entry in card["data"]} == {"spam", "ham"}
    assert all(len(entry["sha256"]) == 64 for entry in card["data"])
    assert card["settings"]["seed"] == card["split"]["seed"] == 1
    assert card["measures"] == json.loads((run_folder / "metrics.json").read_text())
    assert set(card["measures"]) == {"test", "later"}


def test_fit_beside_an_lstm_keeps_it(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--deep` fits all but LSTM and vocabulary: with the same settings the same model, with others another sum."""
    first = active_folder(run_folder / "models")
    arguments = ["fit", "--deep", str(first), "--data", *SOURCES]
    assert main([*arguments, "--preset", "smoke", "--out", str(tmp_path / "same")]) == 0
    same = active_folder(tmp_path / "same" / "models")
    assert (same / "model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()
    preset = tmp_path / "other.toml"
    preset.write_text((PRESETS / "smoke.toml").read_text() + "\n[evidence]\ndeep_share = 0.5\ndisguised_share = 0.0\n")
    assert main([*arguments, "--preset", str(preset), "--out", str(tmp_path / "other")]) == 0
    old, new = (SpamClassifier.load(folder).network for folder in (first, active_folder(tmp_path / "other" / "models")))
    for kept, tensor in zip(old.deep.state_dict().values(), new.deep.state_dict().values(), strict=True):
        assert torch.equal(kept, tensor)
    assert not torch.equal(old.wide.weight_F, new.wide.weight_F)
    capsys.readouterr()
    assert main([*arguments, "--preset", "quick", "--out", str(tmp_path / "quick")]) == 1
    assert "they have to be the same" in capsys.readouterr().err


def test_fit_beside_several_lstms_takes_their_mean(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every weight is the mean of theirs, the card names them all; of another vocabulary there is no mean."""
    smoke = (PRESETS / "smoke.toml").read_text()
    folders = [active_folder(run_folder / "models")]
    changes = {"rate": ("learning_rate = 0.01", "learning_rate = 0.005"), "seed": ("seed = 1", "seed = 2")}
    for name, (old, new) in changes.items():
        preset = tmp_path / f"{name}.toml"
        preset.write_text(smoke.replace(old, new))
        assert main(["fit", "--data", *SOURCES, "--preset", str(preset), "--out", str(tmp_path / name)]) == 0
        folders.append(active_folder(tmp_path / name / "models"))
    first, rate, seed = map(str, folders)
    arguments = ["fit", "--data", *SOURCES, "--preset", "smoke", "--out", str(tmp_path / "mean"), "--deep", first]
    assert main([*arguments, rate]) == 0
    mean = SpamClassifier.load(active_folder(tmp_path / "mean" / "models"))
    one, two = (SpamClassifier.load(folder).network.deep.state_dict() for folder in folders[:2])
    for name, tensor in mean.network.deep.state_dict().items():
        assert torch.allclose(tensor, (one[name] + two[name]) / 2, atol=1e-3), name
    assert any(not torch.equal(one[name], two[name]) for name in one)
    made_of = [entry["name"] for entry in mean.card["data"]]
    assert made_of[-2:] == [f"LSTM and vocabulary of {folder.name}" for folder in folders[:2]]
    capsys.readouterr()
    assert main([*arguments, seed]) == 1
    assert "has another vocabulary than" in capsys.readouterr().err


def test_calibrate_sets_thresholds_anew(run_folder: Path, tmp_path: Path) -> None:
    """Weights, vocabulary and probabilities stay; spam_from stands higher by the allowance; another version."""
    first = active_folder(run_folder / "models")
    preset = tmp_path / "strict.toml"
    preset.write_text((PRESETS / "smoke.toml").read_text() + "strangers_allowance = 1.5\n")  # ends with [thresholds]
    command = ["calibrate", "--model", str(first), "--data", *SOURCES, "--out", str(tmp_path), "--preset", str(preset)]
    assert main(command) == 0
    second = active_folder(tmp_path / "models")
    for name in ("model.safetensors", "tokenizer.json", "golden.json"):
        assert (second / name).read_bytes() == (first / name).read_bytes()
    plain, strict = (SpamClassifier.load(folder).thresholds for folder in (first, second))
    assert strict.ham_below == plain.ham_below
    assert logit(strict.spam_from) == pytest.approx(logit(plain.spam_from) + 1.5)
    assert second.name != first.name


@pytest.mark.parametrize("part", ["test", "later"])
def test_evaluate_finds_the_measures_of_the_card(run_folder: Path, tmp_path: Path, part: str) -> None:
    """A held-out part, read and scored anew from the published files, gives the published figures."""
    folder = active_folder(run_folder / "models")
    arguments = ["evaluate", "--model", str(folder), "--preset", "smoke", "--part", part]
    assert main([*arguments, "--data", *SOURCES, "--out", str(tmp_path)]) == 0
    published = SpamClassifier.load(folder).card["measures"][part]
    assert json.loads((tmp_path / "metrics.json").read_text()) == published


def test_training_scores_what_the_pipeline_scores(run_folder: Path, tmp_path: Path) -> None:
    """A mail's score in the evaluation of training is its score from raw bytes."""
    from training.config import load_preset
    from training.evaluate import score_corpus
    from training.prepare import prepare

    classifier = SpamClassifier.load(active_folder(run_folder / "models"))
    corpus, _ = prepare(SOURCES, load_preset("smoke"), tmp_path, tokenizer=classifier.tokenizer)
    scores = score_corpus(classifier, corpus, corpus.all_places())
    for message, score in zip(corpus.messages, scores, strict=True):
        raw = (MAIL / message.source.rpartition(":")[2] / message.id).read_bytes()
        assert abs(classifier.score([classifier.prepare(raw)])[0].probability - score) < 1e-4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "/nowhere", "--out", "x"], "/nowhere does not exist"),
        (["--data", str(MAIL / "ham"), "--out", "x"], "too few to learn from"),
        (["--data", *SOURCES, "--out", "x", "--preset", "huge"], "give one of default, quick, smoke"),
    ],
)
def test_a_mistake_ends_with_a_sentence(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit status 1 and a line that says what to do, not a traceback."""
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *arguments]) == 1
    assert sentence in capsys.readouterr().err
