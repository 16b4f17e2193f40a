"""The card of a model: what it was made of, how, and what it can do, in one plain structure."""

import platform
import subprocess
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch

from training.config import TrainingConfig

_ORIGINS = Path(__file__).parent / "origins.toml"


def make_card(
    data: list[dict[str, str]],
    config: TrainingConfig,
    split: dict[str, object],
    history: list[dict[str, float]],
    measures: dict[str, Any],
    curves: dict[str, Any],
) -> dict[str, Any]:
    """Return the card, from the data manifest, the table of the split, measures and curves on test and later mail."""
    return {
        "what": "many-to-one LSTM over whole emails, for spam detection; scores are calibrated probabilities",
        "data": [entry | origin_of(entry["name"]) for entry in data],
        "split": {
            "rule": "whole clusters of near copies on one side; the newest are `later` where dated",
            "seed": config.seed,
            **split,
        },
        "settings": asdict(config),
        "history": history,
        "measures": measures,
        "curves": curves,
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "tokenizers": tokenizers.__version__,
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
        "commit": _commit(),
    }


def origin_of(name: str) -> dict[str, str]:
    """Return origin and terms of a corpus that is known by its file name, else nothing."""
    origins: dict[str, dict[str, str]] = tomllib.loads(_ORIGINS.read_text(encoding="utf-8"))
    return origins.get(name.partition(".")[0], {})


def _commit() -> str:
    """The commit of the code, with a + when it was changed since; empty outside a checkout."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],  # noqa: S607 the git of the PATH
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()
