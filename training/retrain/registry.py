"""The folder of versions as retraining sees it: the champion, what it was adapted from, promotion and the way back."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from classifier.artifact import Artifact, activate, active_folder, load_artifact
from training.errors import RetrainError
from training.progress import say
from training.retrain.service import RefusedError, Service

# Versions that a person took out of service again, one a line: the job does not promote them a second time.
_ROLLED_BACK = ".rolled-back"


@dataclass(frozen=True, slots=True)
class Champion:
    """The version in service, and the one that it was adapted from, which is itself where it was fitted."""

    artifact: Artifact
    origin: Artifact


def champion(models: Path) -> Champion:
    """Read the version in service and its origin.

    Raises:
        ArtifactError: there is none, or it cannot be used.
        RetrainError: its origin is not in the folder any more.
    """
    artifact = load_artifact(active_folder(models))
    name = artifact.card.get("retrained", {}).get("origin", artifact.version)
    if name == artifact.version:
        return Champion(artifact, artifact)
    if not (models / name).is_dir():
        raise RetrainError(
            f"{artifact.version} was adapted from {name}, which is not in {models} any more. Every version is adapted "
            "from there, so that what was forgotten leaves no trace: put its folder back, or activate a fitted version"
        )
    return Champion(artifact, load_artifact(models / name))


def promote(models: Path, version: str, replacing: str, service: Service | None) -> str:
    """Put a version into service; return in words how.

    A service that does not answer finds the file `active` when it looks next.

    Raises:
        RetrainError: the service refuses the version, or another was activated meanwhile; nothing has changed then.
    """
    found = active_folder(models).name
    if found not in (replacing, version):
        raise RetrainError(
            f"{found} was activated while the job ran, so {version} was not put in its place: start the job again"
        )
    how = "by naming it in the file active"
    if service is not None:
        try:
            service.activate(version)
            how = f"by {service.url}, which answers with it now"
        except RefusedError:
            raise
        except RetrainError as error:
            say(f"note: {error}. The file active names {version}; the service takes it up when it looks there next")
    activate(models, version)
    return how


def predecessor(models: Path) -> str:
    """Return the version that the active one took the place of.

    Raises:
        RetrainError: it took the place of none that is known.
    """
    artifact = load_artifact(active_folder(models))
    before = str(artifact.card.get("retrained", {}).get("instead_of", ""))
    if not before:
        raise RetrainError(f"{artifact.version} was not put into service by retraining: say --to VERSION")
    return before


def was_rolled_back(models: Path, version: str) -> bool:
    """Whether a person took this very model out of service; the date in its name does not count."""
    return version.rpartition("-")[2] in {line.rpartition("-")[2] for line in _rolled_back(models)}


def roll_back(models: Path, to: str, service: Service | None) -> str:
    """Put an older version into service again, and remember that the active one is not wanted; return how.

    Raises:
        ArtifactError: that version cannot be used.
        RetrainError: it is in service already, or the service refuses it.
    """
    unwanted = active_folder(models).name
    if to == unwanted:
        raise RetrainError(f"{to} is in service already")
    load_artifact(models / to)  # all of it is there
    lines = [line for line in _rolled_back(models) if line not in (to, unwanted)]
    # Before it is out of service: a job that starts in between must not put it back.
    beside = models / f"{_ROLLED_BACK}.new"
    beside.write_text("".join(f"{line}\n" for line in [*lines, unwanted]), encoding="utf-8")
    os.replace(beside, models / _ROLLED_BACK)
    return promote(models, to, unwanted, service)


def prune(models: Path, keep: int) -> None:
    """Remove all adapted versions but the newest `keep`; the active one, and what was fitted, stay.

    They have learned from feedback that may have been forgotten since.
    """
    active = active_folder(models).name
    adapted = []
    for card in models.glob("*/card.json"):
        try:
            retrained = json.loads(card.read_bytes()).get("retrained")
        except (OSError, ValueError):
            continue
        if retrained and card.parent.name != active:
            adapted.append((str(retrained["at"]), card.parent))
    for _, folder in sorted(adapted, reverse=True)[keep:]:
        # What is half removed must not look like a version.
        hidden = models / f".{folder.name}-removed"
        os.replace(folder, hidden)
        shutil.rmtree(hidden)


def _rolled_back(models: Path) -> list[str]:
    try:
        return (models / _ROLLED_BACK).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []
