"""Archives for tests and benchmarks, the command that scores them in a process of its own, and its results."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 1200.0


def write_archive(folder: Path, texts: Sequence[str], messages: int, files: int, seed: int = 1) -> None:
    """Write that many short messages as JSON lines: texts of the pool, some words exchanged, some numbers added."""
    folder.mkdir(parents=True)
    chosen = random.Random(seed)
    for number in range(files):
        with (folder / f"mail-{number:04}.jsonl").open("w", encoding="utf-8") as file:
            for _ in range(messages * number // files, messages * (number + 1) // files):
                words = chosen.choice(texts).split()[:60]
                words.insert(chosen.randint(0, len(words)), str(chosen.randint(0, 9999)))
                chosen.shuffle(words[: len(words) // 4])
                file.write(json.dumps({"text": " ".join(words)}) + "\n")


class ArchiveRun:
    """`python -m training STEP` in a process of its own, looked at while it runs."""

    def __init__(self, *arguments: str, log: Path) -> None:
        self._out = Path(arguments[arguments.index("--out") + 1])
        self.log = log
        self.peak_rss: int = 0
        """Of the largest process at any time looked at, Ray's own left out; bytes."""
        self.started_s = time.monotonic()
        with log.open("wb") as lines:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "training", *arguments], cwd=ROOT, stdout=lines, stderr=lines
            )

    def workers(self) -> list[psutil.Process]:
        """Return the processes that do the work."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = " ".join(child.cmdline())
                if "ray::MapWorker" in line or "spawn_main" in line:
                    found.append(child)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return found

    def parts(self) -> int:
        """Return how many parts are there."""
        return len(list(self._out.glob("parts/[!.]*")))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Look again and again; an error when it ends before, or takes too long."""
        while not holds():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < self.started_s + TIMEOUT_S, self.log.read_text()
            self._look()
            time.sleep(0.02)

    def kill_a_worker(self, after_parts: int) -> None:
        """SIGKILL one process that does the work, once so many parts are there."""
        self.wait_until(lambda: self.parts() >= after_parts and bool(self.workers()))
        os.kill(self.workers()[0].pid, signal.SIGKILL)

    def finish(self) -> float:
        """Let it end, and return the seconds that it took."""
        while self.process.poll() is None:
            assert time.monotonic() < self.started_s + TIMEOUT_S, self.log.read_text()
            self._look()
            time.sleep(0.05)
        assert self.process.returncode == 0, self.log.read_text()
        return time.monotonic() - self.started_s

    def kill(self) -> None:
        """End everything at once, as a machine that loses power does."""
        for one in (*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)):
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()

    def _look(self) -> None:
        for one in (*self.workers(), psutil.Process(self.process.pid)):
            try:
                self.peak_rss = max(self.peak_rss, one.memory_info().rss)
            except psutil.NoSuchProcess:
                continue


def rows_of(out: Path, under: str = "parts") -> list[dict[str, Any]]:
    """Return the rows of all parts, in order."""
    return [row for path in sorted(out.glob(f"{under}/[!.]*")) for row in pyarrow.parquet.read_table(path).to_pylist()]
