"""`python -m training retrain` in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from classifier.artifact import active_folder
from classifier.pipeline import SpamClassifier

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300.0
# What a small model learns of little made-up mail does depend on each label.
SETTINGS = Path(__file__).with_name("settings.toml")
STEP = "retrain: "


def start(models: Path, *more: str, prefix: tuple[str, ...] = (), **environment: str) -> "subprocess.Popen[str]":
    """Start a job beside the folder of models; its standard error is to be read."""
    command = [*prefix, sys.executable, "-m", "training", "retrain", "--models", str(models)]
    command += ["--out", str(models.parent / "job"), "--settings", str(SETTINGS), *more]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True)


def run(models: Path, *more: str, prefix: tuple[str, ...] = (), **environment: str) -> tuple[int, str]:
    """Let one run to its end; return its exit status and what it said."""
    process = start(models, *more, prefix=prefix, **environment)
    said = process.communicate(timeout=TIMEOUT_S)[1]
    return process.returncode, said


def steps(said: str) -> list[str]:
    """Return the steps that it announced."""
    return [line for line in said.splitlines() if line.startswith(STEP)]


def check_registry(models: Path) -> None:
    """Every version in the folder is whole, and the active one keeps its golden scores."""
    for manifest in models.glob("[!.]*/manifest.json"):
        SpamClassifier.load(manifest.parent)
    assert {path.parent for path in models.glob("[!.]*/manifest.json")} == {
        path for path in models.glob("[!.]*") if path.is_dir()
    }
    SpamClassifier.load(active_folder(models)).self_test()
