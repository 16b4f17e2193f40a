"""Stock mail programs, each as an instance of its own: free ports, a folder of the test, ended with it."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE_S = 60.0  # on a busy machine; it costs time only where something is wrong


def need(*programs: str) -> None:
    """Skip where a program is not installed; .ci/run installs all of them."""
    missing = [name for name in programs if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    if missing:
        # Not every system has Debian's packages; .ci/run ends before the tests where one of them cannot be had.
        pytest.skip(f"install {', '.join(missing)} for this test (.ci/run names the Debian packages)")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(holds: Callable[[], bool], what: str, log: Path | None = None) -> None:
    """Wait until something holds; fail with what was waited for and the end of a log."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            lines = log.read_text(errors="replace")[-4000:] if log is not None and log.exists() else ""
            raise TimeoutError(f"{what} did not come about within {PATIENCE_S} s\n{lines}")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Return whether somebody takes connections on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(*command: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it said."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE_S, check=False)
    output = (done.stdout + done.stderr).decode(errors="replace")
    return subprocess.CompletedProcess(command, done.returncode, output, "")
