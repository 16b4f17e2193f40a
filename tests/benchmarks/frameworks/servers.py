"""Starting the servers of this folder, in a venv of their own that is made when it is first asked for."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.benchmarks.in_process import threads
from tests.benchmarks.mail import json_body

ROOT = Path(__file__).parents[3]
VENV = ROOT / "build" / "benchmarks" / "venv"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
# The module that serves, and what it is called in tables.
FRAMEWORKS = {"plain_fastapi": "plain FastAPI, async def", "lit_serve": "LitServe", "ray_serve": "Ray Serve"}
START_S = 120.0


def make_venv() -> Path:
    """Return the Python of the venv; make it first unless it is there and as requirements.txt wants it."""
    python, done = VENV / "bin" / "python", VENV / "installed"
    if done.exists() and done.read_text() == REQUIREMENTS.read_text():
        return python
    print(f"== installing LitServe and Ray Serve into {VENV} (a minute or so)", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--quiet"]
    pip += ["-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, "--no-deps", "--retries", "1", "-r", str(ROOT / "torch-cpu.txt")], check=True)
    subprocess.run([*pip, "-r", str(REQUIREMENTS), "--editable", f"{ROOT}[service]"], check=True)
    done.write_text(REQUIREMENTS.read_text())
    return python


@contextmanager
def framework(name: str, model: Path, log: Path) -> Iterator[tuple[str, int]]:
    """A server of FRAMEWORKS that answers; yields the address to post to and the process id.

    Raises:
        RuntimeError: it did not start; says what it logged.
    """
    python = make_venv()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(python), "-m", f"tests.benchmarks.frameworks.{name}", str(port), str(model)]
    # One thread an inference, as Hamlet has; docs/benchmarks.md says what two do.
    with log.open("wb") as lines, threads(1):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=lines, stderr=lines, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}/predict"
    try:
        _wait(address, process, log)
        yield address, process.pid
    finally:
        process.send_signal(signal.SIGINT)  # as Ctrl-C does: the time to end its own workers
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    body, end = json_body([b"Subject: hi\n\nhello\n"]), time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.post(address, content=body, headers={"Content-Type": "application/json"}).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"{log.stem} did not start:\n{log.read_text(errors='replace')[-1000:]}")
