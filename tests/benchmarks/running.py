"""Hamlet as a process of its own, and looking into it from outside."""

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.service.process import Process


@contextmanager
def hamlet(**settings: str) -> Iterator[Process]:
    """A service that is ready, with `python -m service` as users start it; killed at the end if it still runs."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Process(Path(folder) / "stderr", **{"HAMLET_LOG_LEVEL": "warning", **settings}) as service,
    ):
        service.wait_until(lambda: service.ready() and service.workers_ready() == service.workers)
        yield service


def url(service: Process, path: str = "/v1/predict") -> str:
    """Return the address of a path of the service."""
    return f"http://127.0.0.1:{service.port}{path}"


def model_folder() -> Path:
    """Return the folder of the version that a service started now would serve."""
    from classifier.artifact import active_folder, bundled_models  # here, as it loads torch

    return active_folder(Path(os.environ.get("HAMLET_MODELS") or bundled_models()))


def metric(service: Process, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    families = text_string_to_metric_families(service.client.get("/metrics").text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def rss_bytes(process_id: int) -> int:
    """Return the resident memory of a process and all its children; pages that they share count for each."""
    parent = psutil.Process(process_id)
    total = 0
    for process in (parent, *parent.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def cpu_s(process_id: int) -> float:
    """Return the CPU time of a process and all its children that run, user and system."""
    parent = psutil.Process(process_id)
    total = 0.0
    for process in (parent, *parent.children(recursive=True)):
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


def log_lines(service: Process) -> list[dict[str, object]]:
    """Return what the service has logged."""
    return [json.loads(line) for line in service.log.read_text(encoding="utf-8").splitlines()]


class Probe:
    """Asks /health/live again and again while a `with` block runs, from a thread of this process."""

    def __init__(self, service: Process, every_s: float = 0.05) -> None:
        self.seconds: list[float] = []
        self.failures = 0
        self._service = service
        self._every_s = every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="probe")

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self) -> None:
        with httpx.Client(timeout=10) as client:
            while not self._end.wait(self._every_s):
                started = time.monotonic()
                try:
                    self.failures += client.get(url(self._service, "/health/live")).status_code != 200
                except httpx.TransportError:
                    self.failures += 1
                self.seconds.append(time.monotonic() - started)
