"""Runs of `python -m training fit` that are killed as a machine kills them: SIGKILL, no warning, nothing tidied up."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from classifier.artifact import active_folder
from tests.conftest import MAIL
from training.checkpoint import load_checkpoint
from training.config import PRESETS

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120.0
LOOK_EVERY_S = 0.0002
EPOCHS = 8
# Files that `prepare` writes before it says that it is done.
STAGES = ("texts.bin", "ids.bin.npy", "messages.jsonl")
# Publishing takes milliseconds, and can be over before it is seen.
ATTEMPTS = 5


class Run:
    """`python -m training fit --resume` in a process of its own."""

    def __init__(self, folder: Path, preset: Path) -> None:
        """Start it; all that it writes goes to `folder`."""
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._started_ns = time.time_ns()
        self._log = folder / f"{len(list(folder.glob('*.log')))}.log"
        arguments = ["fit", "--preset", str(preset), "--data", str(MAIL / "spam"), str(MAIL / "ham"), "--resume"]
        with self._log.open("wb") as lines:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "training", *arguments, "--out", str(folder)],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},  # steps are too small to share
                stdout=lines,
                stderr=lines,
            )

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(encoding="utf-8")

    def has_written(self, pattern: str) -> bool:
        """Whether there is such a file or folder; one that an earlier run has left does not count."""
        return any(path.stat().st_mtime_ns > self._started_ns for path in self._folder.glob(pattern))

    def is_inside(self, epoch: int) -> bool:
        """Whether its last checkpoint is of the middle of an epoch, counted from 0."""
        checkpoint = load_checkpoint(self._folder / "checkpoint.pt")
        return checkpoint is not None and checkpoint.progress.epoch == epoch and checkpoint.progress.batch > 0

    def finish(self) -> None:
        """Let it run to its end."""
        assert self._process.wait(TIMEOUT_S) == 0, self.log

    def kill_where(self, is_there: Callable[["Run"], bool]) -> bool:
        """Kill it in a place that it comes to; False when it ended before it was seen there.

        It is stopped and looked at again first, so that it is not past the place when it is killed.
        """
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end and self._process.poll() is None:
            if is_there(self):
                os.kill(self._process.pid, signal.SIGSTOP)
                if not self._stands_still():
                    break
                if is_there(self):
                    self.end()
                    return True
                os.kill(self._process.pid, signal.SIGCONT)
            time.sleep(LOOK_EVERY_S)
        self.finish()
        return False

    def end(self) -> None:
        """Leave no process behind."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _stands_still(self) -> bool:
        """Wait for it; False when it has ended."""
        state = os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return state is not None and state.si_code == os.CLD_STOPPED


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    """Return what starts a run in a folder of that name: smoke with many small steps, not all of them saved."""
    preset = tmp_path / "killed.toml"
    text = (PRESETS / "smoke.toml").read_text(encoding="utf-8")
    settings = {"epochs = 12": f"epochs = {EPOCHS}", "batch_tokens = 2048": "batch_tokens = 512"}
    for old, new in settings.items():
        assert text.count(f"\n{old}\n") == 1
        text = text.replace(old, new)
    preset.write_text(text.replace("[fit]", "[fit]\ncheckpoint_seconds = 0.02"), encoding="utf-8")
    runs: list[Run] = []

    def begin(name: str) -> Run:
        runs.append(Run(tmp_path / name, preset))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


@pytest.mark.parametrize("seed", [1])
def test_a_run_killed_again_and_again_publishes_the_same_model(
    tmp_path: Path, start: Callable[[str], Run], seed: int
) -> None:
    """Killed while it prepares, in the middle of an epoch, while it writes a checkpoint, between fitting the halves
    and while it publishes, a run that is resumed each time publishes the very bytes of one that was left in peace."""
    places = random.Random(seed)
    stage = places.choice(STAGES)
    first, second = sorted(places.sample(range(EPOCHS), 2))
    killed = tmp_path / "killed"
    in_peace = start("in peace")  # beside the others: it needs one core

    assert start("killed").kill_where(lambda run: run.has_written(f"prepared/{stage}")), stage
    assert not (killed / "prepared" / "prepared.json").exists()

    assert start("killed").kill_where(partial(Run.is_inside, epoch=first)), first
    run = start("killed")
    assert run.kill_where(lambda run: run.has_written("checkpoint.new"))
    assert f"resuming in epoch {first + 1} at batch " in run.log
    assert start("killed").kill_where(partial(Run.is_inside, epoch=second)), second
    assert start("killed").kill_where(lambda run: "finding n-grams:" in run.log)

    for _ in range(ATTEMPTS):
        if start("killed").kill_where(lambda run: run.has_written("models/.*")):
            break
        shutil.rmtree(killed / "models")
    else:
        pytest.fail("it was never seen publishing")
    assert not (killed / "models" / "active").exists()

    run = start("killed")
    run.finish()
    assert f"resuming in epoch {EPOCHS + 1} at batch 0\n" in run.log
    in_peace.finish()
    model, expected = active_folder(killed / "models"), active_folder(tmp_path / "in peace" / "models")
    for name in ("model.safetensors", "config.json", "tokenizer.json", "golden.json"):
        assert (model / name).read_bytes() == (expected / name).read_bytes(), name
