"""A folder of model versions to swap between: the bundled one, and others made from it."""

import base64
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from classifier.artifact import (
    Artifact,
    GoldenMessage,
    activate,
    active_folder,
    bundled_models,
    load_artifact,
    save_artifact,
)
from classifier.pipeline import SpamClassifier
from tests.conftest import mail_files

MAILS = [path.read_bytes() for path in mail_files("spam", "ham", "defects")[::6]]
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Versions:
    """Two versions that can be served and two that cannot, and what the good ones say of MAILS."""

    folder: Path
    first: str
    second: str
    torn: str
    """A byte of its weights was changed after it was published."""
    wrong: str
    """Published with golden scores that its weights do not give."""
    expected: dict[str, list[float]]


def make_versions(folder: Path) -> Versions:
    """Write the versions; the first is active."""
    bundled = active_folder(bundled_models())
    shutil.copytree(bundled, folder / bundled.name)
    activate(folder, bundled.name)
    first = load_artifact(bundled)
    second = with_weights(first, 0.5)
    served = save_artifact(second, folder, "2026.12.01")
    torn = save_artifact(with_weights(first, 0.9), folder, "2026.12.02")
    wrong = save_artifact(replace(second, golden=first.golden), folder, "2026.12.03")
    weights = bytearray((torn / "model.safetensors").read_bytes())
    weights[-1000] ^= 1
    (torn / "model.safetensors").write_bytes(weights)
    expected = {path.name: scores(SpamClassifier.load(path)) for path in (folder / bundled.name, served)}
    differences = [abs(one - other) for one, other in zip(*expected.values(), strict=True)]
    assert min(differences) > 2 * TOLERANCE, "the versions cannot be told apart by their scores"
    return Versions(folder, bundled.name, served.name, torn.name, wrong.name, expected)


def with_weights(artifact: Artifact, factor: float) -> Artifact:
    """Return the same network with every weight multiplied, and the golden scores that this gives."""
    weights = {
        name: (tensor * factor).half() if tensor.dtype.is_floating_point else tensor
        for name, tensor in artifact.weights.items()
    }
    changed = replace(artifact, weights=weights)
    classifier = SpamClassifier(changed)
    return replace(changed, golden=[replace(one, spam_probability=_score(classifier, one)) for one in artifact.golden])


def _score(classifier: SpamClassifier, golden: GoldenMessage) -> float:
    return classifier.score([classifier.prepare(base64.b64decode(golden.raw_base64))])[0].probability


def scores(classifier: SpamClassifier) -> list[float]:
    """Return the probabilities of MAILS, in the arithmetic of the service."""
    classifier.use_bfloat16()
    return [one.probability for one in classifier.score([classifier.prepare(raw) for raw in MAILS])]
