"""Artifacts on disk."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from classifier import artifact as artifact_module
from classifier.artifact import activate, active_folder, load_artifact, save_artifact
from classifier.errors import (
    ArtifactCorruptError,
    ArtifactError,
    ArtifactFormatError,
    ArtifactMissingError,
    SelfTestError,
)
from classifier.pipeline import SpamClassifier
from tests.classifier.models import small_artifact
from tests.conftest import mail_files

DATE = "2026.11.22"
FILES = ("model.safetensors", "tokenizer.json", "config.json", "golden.json", "card.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_artifact(small_artifact(), tmp_path, DATE)


def test_saved_then_loaded_scores_are_equal(folder: Path) -> None:
    """To the last bit: what was measured is what is served."""
    before, after = SpamClassifier(small_artifact()), SpamClassifier.load(folder)
    raws = [path.read_bytes() for path in mail_files("spam", "ham")[:20]]
    scores = [classifier.score([classifier.prepare(raw) for raw in raws]) for classifier in (before, after)]
    assert scores[0] == scores[1]
    assert after.version == folder.name
    assert after.digest.startswith("sha256:")
    after.self_test()


def test_the_same_model_gets_the_same_version(folder: Path) -> None:
    """Publishing again changes nothing; another model gets another name."""
    assert save_artifact(small_artifact(), folder.parent, DATE) == folder
    assert save_artifact(small_artifact(seed=2), folder.parent, DATE) != folder
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", FILES)
def test_an_altered_file_is_refused(folder: Path, name: str) -> None:
    """One changed byte: the error names the file, the hash wanted and the hash found."""
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactCorruptError, match=rf"{name}.*wanted [0-9a-f]{{64}}, found [0-9a-f]{{64}}"):
        load_artifact(folder)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "a folder"])
def test_a_torn_folder_is_refused(folder: Path, name: str, damage: str) -> None:
    """A file that is missing, empty or something else ends in an ArtifactError that names it."""
    path = folder / name
    path.unlink()
    if damage == "empty":
        path.touch()
    elif damage == "a folder":
        path.mkdir()
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (99, "format 99, this Hamlet reads up to 3: upgrade"),
        (1, "format 1, this Hamlet reads 2 and up: choose a newer model"),
    ],
)
def test_another_format_is_refused(folder: Path, written: int, sentence: str) -> None:
    """The error says which format came, which is read, and what to do."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": written}))
    with pytest.raises(ArtifactFormatError, match=sentence):
        load_artifact(folder)


def test_a_model_of_format_2_scores_as_it_did(tmp_path: Path) -> None:
    """It has no list of tokens that go on with a word: without any both readings are the one that it was fitted for."""
    artifact = small_artifact()
    artifact.weights["wide.continues_V"].zero_()
    folder = save_artifact(artifact, tmp_path, DATE)
    weights = artifact.weights.copy()
    del weights["wide.continues_V"]
    stored = save({name: tensor.half() for name, tensor in weights.items()})
    (folder / "model.safetensors").write_bytes(stored)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.safetensors"] = hashlib.sha256(stored).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 2}))
    raw = b"Subject: zqzqzq\n\nxkcdxkcd\n"
    scores = []
    for each in (artifact, load_artifact(folder)):
        classifier = SpamClassifier(each)
        scores.append(classifier.score([classifier.prepare(raw)])[0].probability)
    assert scores[0] == scores[1]


def test_weights_that_do_not_fit_are_refused() -> None:
    """A config that describes another network than the weights is corrupt, whatever the hashes say."""
    artifact = small_artifact()
    artifact.weights["deep.logit.bias"] = torch.zeros(3)
    with pytest.raises(ArtifactCorruptError, match=r"deep\.logit\.bias"):
        SpamClassifier(artifact)


def test_a_model_that_computes_something_else_fails_its_self_test() -> None:
    """Golden messages catch an installation that scores otherwise than the one that published."""
    artifact = small_artifact()
    artifact.weights["deep.logit.bias"] = artifact.weights["deep.logit.bias"] + 1
    with pytest.raises(SelfTestError, match="golden message hello"):
        SpamClassifier(artifact).self_test()


def test_the_active_version_is_named_by_one_file(folder: Path) -> None:
    """Without it, with nonsense in it, or with a way out of the folder there is no active version."""
    models = folder.parent
    with pytest.raises(ArtifactMissingError, match="names no active model"):
        active_folder(models)
    activate(models, folder.name)
    assert active_folder(models) == folder
    (models / "active").write_text("../../etc\n")
    with pytest.raises(ArtifactCorruptError, match="name of a version"):
        active_folder(models)


@pytest.mark.parametrize("version", ["nope", "../models", "", "a/b"])
def test_only_a_version_that_is_there_can_be_activated(folder: Path, version: str) -> None:
    """The active file never names what cannot be loaded."""
    activate(folder.parent, folder.name)
    with pytest.raises(ArtifactMissingError, match="there is no version"):
        activate(folder.parent, version)
    assert active_folder(folder.parent) == folder


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up half-way leaves no version and no litter."""
    written = []

    def full(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr(artifact_module, "_write_synced", full)
    with pytest.raises(OSError, match="No space left"):
        save_artifact(small_artifact(), tmp_path, DATE)
    assert list(tmp_path.iterdir()) == []
