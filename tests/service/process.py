"""The service in a process of its own, on a free port."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 180.0  # several on a busy machine: it costs time only where something is wrong


class Process:
    """`python -m service` on a free port, unless the settings name one."""

    command: tuple[str, ...] = (sys.executable, "-m", "service")

    def __init__(self, log: Path, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(settings.get("HAMLET_PORT") or probe.getsockname()[1])
        database = f"sqlite:///{log.parent}/feedback.db"
        environment = {**os.environ, "HAMLET_DATABASE_URL": database, "HAMLET_PORT": str(self.port), **settings}
        self.log = log
        self.workers = int(environment.get("HAMLET_WORKERS", "1"))
        with log.open("wb") as lines:
            self.process = subprocess.Popen(self.command, cwd=ROOT, env=environment, stderr=lines)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if holds():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.01)
        raise TimeoutError(f"the service did not get there:\n{self.log.read_text()}")

    def fresh_get(self, path: str) -> httpx.Response:
        """Return an answer over a connection of its own, which any of several workers may take."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30)

    def ready(self) -> bool:
        return self.client.get("/health/ready").status_code == 200

    def scores(self, raws: list[bytes]) -> list[dict[str, Any]]:
        messages = [{"raw_base64": base64.b64encode(raw).decode()} for raw in raws]
        response = self.client.post("/v1/predict", json={"messages": messages})
        assert response.status_code == 200, response.text
        results: list[dict[str, Any]] = response.json()["results"]
        return results

    def score(self, raw: bytes) -> dict[str, Any]:
        response = self.client.post("/v1/predict/raw", content=raw, headers={"Content-Type": "message/rfc822"})
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()["result"]
        return result

    def log_lines(self, message: str) -> list[dict[str, Any]]:
        """Return the lines of the log with this message."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["message"] == message]

    def worker_pids(self) -> dict[int, int]:
        """Return the process of each worker by its number, the latest one; only those that serve."""
        return {line["worker"]: line["pid"] for line in self.log_lines("worker serving")}

    def workers_serve(self) -> bool:
        """Return whether all workers can answer, by their own account and by that of the supervisor."""
        return self.workers_ready() == self.workers == max(len(self.worker_pids()), 1)

    def workers_ready(self) -> float:
        return self.metric("hamlet_workers_ready")

    def metric(self, name: str, **labels: str) -> float:
        """Return a sample of /metrics; 0.0 where it is not there yet."""
        text = self.fresh_get("/metrics").text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    def end(self) -> int:
        """Ask it to end and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_TIMEOUT_S)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class UnprivilegedProcess(Process):
    """One that keeps to the modes of files and folders even where the tests run as root."""

    command = (
        *(("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override") if os.geteuid() == 0 else ()),
        *Process.command,
    )
