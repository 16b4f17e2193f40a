"""Fitting in several processes that torchrun starts: the loss curve of one process; a killed rank is made good."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from classifier.artifact import active_folder, load_artifact
from tests.conftest import MAIL
from training.checkpoint import load_checkpoint
from training.config import PRESETS

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 240.0
# float32 on every machine: in bfloat16 a sum in another order differs in the third digit, and small steps apart grow.
ARITHMETIC = {"OMP_NUM_THREADS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"}
NEW_STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
# Shares of a batch are summed in another order: after 10 epochs losses have moved by up to 1e-7 of themselves.
# Dropout is off, as each rank draws its own.
TOLERANCE = 1e-4
EPOCHS = 10


class Run:
    """`python -m training fit`, alone or by torchrun."""

    def __init__(
        self, folder: Path, preset: Path, ranks: int, restarts: int = 0, environment: Mapping[str, str] = NEW_STORE
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self._log = folder / "log"
        start = ["-m", "training"]
        if ranks > 1:
            torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
            start = [*torchrun, "--max-restarts", str(restarts), *start]
        arguments = ["fit", "--preset", str(preset), "--data", str(MAIL / "spam"), str(MAIL / "ham")]
        with self._log.open("wb") as lines:
            self.process = subprocess.Popen(
                [sys.executable, *start, *arguments, "--out", str(folder / "out")],
                cwd=ROOT,
                env={**os.environ, **ARITHMETIC, **environment},
                stdout=lines,
                stderr=lines,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def finish(self) -> list[dict[str, float]]:
        """Let it end; return the history of what it has published."""
        assert self.process.wait(TIMEOUT_S) == 0, self.log
        history: list[dict[str, float]] = load_artifact(active_folder(self.folder / "out" / "models")).card["history"]
        return history

    def wait_until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not holds():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, self.log
            time.sleep(0.01)

    def is_inside(self, epoch: int) -> bool:
        """Whether its last checkpoint is of the middle of an epoch, counted from 0."""
        checkpoint = load_checkpoint(self.folder / "out" / "checkpoint.pt")
        return checkpoint is not None and checkpoint.progress.epoch == epoch and checkpoint.progress.batch > 0

    def process_of(self, rank: int) -> psutil.Process:
        """Return the process that is this rank now."""
        for one in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if one.environ().get("RANK") == str(rank):
                    return one
        raise AssertionError(f"no rank {rank}: {self.log}")

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            children = psutil.Process(self.process.pid).children(recursive=True)
            for one in (*children, psutil.Process(self.process.pid)):
                with contextlib.suppress(psutil.Error):
                    one.kill()
            self.process.wait()


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """Smoke without dropout and language model, with smaller steps, each of them saved."""
    text = (PRESETS / "smoke.toml").read_text(encoding="utf-8")
    fit = f"epochs = {EPOCHS}\ndropout = 0.0\ncheckpoint_seconds = 0.0"
    changes = {
        "\nepochs = 12\n": f"\n{fit}\n",
        "\nepochs = 1\n": "\nepochs = 0\n",
        "batch_tokens = 2048\nlearning_rate = 0.01": "batch_tokens = 512\nlearning_rate = 0.003",
    }
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = tmp_path / "ranks.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_ranks_learn_what_one_process_learns_and_a_killed_one_is_made_good(tmp_path: Path, preset: Path) -> None:
    """Two and four ranks have the loss curve of one process to a tolerance; two of which one is killed publish the
    very weights of two that were left in peace; one rank alone has written and spoken."""
    with ExitStack() as stack:
        one, two, four = (stack.enter_context(Run(tmp_path / str(n), preset, n)) for n in (1, 2, 4))
        wanted = one.finish()
        assert len(wanted) == EPOCHS
        assert wanted[-1]["train_loss"] < 0.9 * wanted[0]["train_loss"], "nothing is learned, so nothing is compared"
        for run in (two, four):
            history = run.finish()
            for name in ("train_loss", "validation_loss"):
                found = [epoch[name] for epoch in history]
                assert found == pytest.approx([epoch[name] for epoch in wanted], rel=TOLERANCE), json.dumps(history)
            assert run.log.count("epoch 2: train loss") == 1

        killed = stack.enter_context(Run(tmp_path / "killed", preset, 2, restarts=2))
        killed.wait_until(lambda: killed.is_inside(EPOCHS // 2))
        os.kill(killed.process_of(1).pid, signal.SIGKILL)
        assert killed.finish() == two.finish()
        assert "resuming in epoch" in killed.log
        weights = [active_folder(run.folder / "out" / "models") / "model.safetensors" for run in (two, killed)]
        assert weights[0].read_bytes() == weights[1].read_bytes()


def test_restarts_that_would_hang_are_refused_in_words(tmp_path: Path, preset: Path) -> None:
    """Where torchrun keeps one store for all tries, ranks that were started again were seen to wait for ever."""
    with Run(tmp_path / "run", preset, 2, restarts=1, environment={}) as run:
        assert run.process.wait(TIMEOUT_S) != 0
        assert "set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment of torchrun" in run.log
        assert "fitting on" not in run.log
