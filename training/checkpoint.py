"""A run's whole state in one file, replaced in one step, so that a run killed at any moment goes on the same."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.progress import say


@dataclass(slots=True)
class Progress:
    """Where a run stands."""

    epoch: int = 0
    batch: int = 0  # the next one of the epoch
    step: int = 0
    bad_steps: int = 0
    epoch_loss: float = 0.0  # sum over the epoch's batches so far
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(slots=True)
class Checkpoint:
    """Everything that the next step depends on."""

    progress: Progress
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    optimiser: dict[str, Any]
    random_state: Tensor
    settings: dict[str, Any]


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write beside, sync, replace."""
    beside = path.with_suffix(".new")
    values = {
        "progress": asdict(checkpoint.progress),
        "weights": checkpoint.weights,
        "average": checkpoint.average,
        "optimiser": checkpoint.optimiser,
        "random_state": checkpoint.random_state,
        "settings": checkpoint.settings,
    }
    with beside.open("wb") as file:
        torch.save(values, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Return the last checkpoint, or None when there is none or another version of Hamlet wrote it.

    Loads tensors and plain values only, no code.
    """
    if not path.exists():
        return None
    values = torch.load(path, weights_only=True, map_location="cpu")
    try:
        return Checkpoint(**{**values, "progress": Progress(**values["progress"])})
    except TypeError:  # it holds something else
        return None


def checkpoint_to_resume(path: Path, settings: dict[str, Any]) -> Checkpoint | None:
    """Return the last checkpoint when it was made with these settings, or None; either way tell a person."""
    checkpoint = load_checkpoint(path)
    if checkpoint is None:
        say("no checkpoint of this version to resume from, starting anew")
        return None
    if checkpoint.settings != settings:
        say("the checkpoint was made with other settings or mail, starting anew")
        return None
    say(f"resuming in epoch {checkpoint.progress.epoch + 1} at batch {checkpoint.progress.batch}")
    return checkpoint
