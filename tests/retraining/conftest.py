"""A small champion that knows nothing yet, in a folder of versions."""

from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from classifier.artifact import activate, save_artifact
from classifier.pipeline import SpamClassifier
from tests.classifier.models import small_artifact
from tests.retraining.real_mail import fit_champion, write_base


@pytest.fixture(scope="session")
def champion(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a folder with a version that was fitted on real mail, and that mail."""
    folder = tmp_path_factory.mktemp("champion")
    base = write_base(corpora, folder / "old.jsonl")
    return fit_champion(base, folder), base


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a folder with one version, which is active: its deep half hardly speaks, its wide half has no weights."""
    folder = tmp_path / "models"
    artifact = small_artifact()
    scales = torch.tensor([0.05, 1.0])
    quiet = {"scales": scales, "wide.weight_F": torch.zeros_like(artifact.weights["wide.weight_F"])}
    artifact = replace(artifact, weights=artifact.weights | quiet)
    classifier, golden = SpamClassifier(artifact), artifact.golden[0]
    score = classifier.score([classifier.prepare(b64decode(golden.raw_base64))], read_all=True)[0]
    artifact = replace(artifact, golden=[replace(golden, spam_probability=score.probability)])
    version = save_artifact(artifact, folder, "2026.11.01")
    activate(folder, version.name)
    return folder
