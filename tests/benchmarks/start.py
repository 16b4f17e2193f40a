"""How long a start takes, part by part, and the memory of the service before and after work."""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.load import Work, closed_rate
from tests.benchmarks.mail import json_bodies, sample_mail
from tests.benchmarks.results import Result, Table, megabytes, milliseconds
from tests.benchmarks.running import hamlet, model_folder, rss_bytes, url
from tests.service.process import ROOT, Process

READY_WITHIN_S = 3.0

# What service.predictor does in its order, in a fresh interpreter, as `python -m service` comes to them.
_PARTS = """
import sys, time
begun = time.monotonic()
from pathlib import Path
from service.process_setup import set_up_process
from service.settings import load_settings
set_up_process(load_settings().inference_threads)
told = time.monotonic()
import service.app, service.server
web = time.monotonic()
import classifier.pipeline
torch = time.monotonic()
model = classifier.pipeline.SpamClassifier.load(Path(sys.argv[1]))
loaded = time.monotonic()
model.use_bfloat16()
lighter = time.monotonic()
model.warm_up()
warm = time.monotonic()
model.self_test()
tested = time.monotonic()
print(begun, told, web, torch, loaded, lighter, warm, tested)
"""
_NAMES = (
    "interpreter",
    "settings",
    "import of the web half",
    "import of the classifier and torch",
    "load and verify the model",
    "bfloat16 where the CPU has it",
    "compile and warm up",
    "self-test",
)


def measure(*, quick: bool) -> Result:
    """Start it several times, files in the page cache after the first."""
    starts = 3 if quick else 7
    parts = [_parts() for _ in range(starts)]
    whole = [_start() for _ in range(starts)]
    rows = [
        (name, milliseconds(statistics.median(times)), milliseconds(max(times)))
        for name, times in zip(_NAMES, zip(*parts, strict=True), strict=True)
    ]
    alive, ready = zip(*whole, strict=True)
    rows.append(("process start to alive", milliseconds(statistics.median(alive)), milliseconds(max(alive))))
    rows.append(("process start to ready", milliseconds(statistics.median(ready)), milliseconds(max(ready))))
    result = Result(notes=[f"{starts} starts, model {model_folder().name}"])
    result.tables.append(Table(("part", "median, ms", "slowest, ms"), rows))
    result.tables.append(_memory(quick))
    result.at_most("process start to ready", statistics.median(ready), READY_WITHIN_S, "s")
    return result


def _parts() -> list[float]:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _PARTS, str(model_folder())], cwd=ROOT, capture_output=True, text=True, check=True
    )
    marks = [started, *map(float, done.stdout.split())]
    return [after - before for before, after in itertools.pairwise(marks)]


def _start() -> tuple[float, float]:
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        Process(Path(folder) / "stderr", HAMLET_LOG_LEVEL="warning") as service,
    ):
        service.wait_until(lambda: service.client.get("/health/live").status_code == 200)
        alive = time.monotonic()
        service.wait_until(service.ready)
        return alive - started, time.monotonic() - started


def _memory(quick: bool) -> Table:
    sample = sample_mail(1024)
    with hamlet() as service:
        process_id, seconds = service.process.pid, 2 if quick else 10
        rows = [("ready", megabytes(rss_bytes(process_id)))]
        work = Work(url(service), json_bodies(sample.raws, 32), messages=32)
        closed_rate(work, clients=4, seconds=seconds, process_id=process_id)
        rows.append(("after batches of 32 from 4 clients", megabytes(rss_bytes(process_id))))
        work = Work(url(service), json_bodies(sample.raws, 1))
        closed_rate(work, clients=64, seconds=seconds, process_id=process_id)
        rows.append(("after one message a request from 64 clients", megabytes(rss_bytes(process_id))))
    return Table(("memory", "RSS, MB"), rows)
