"""What the client itself can do, against a server that does nothing: a figure near it says nothing of the service."""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.load import RAW, Replies, Work, apart, closed_loop, open_loop
from tests.benchmarks.mail import sample_mail
from tests.benchmarks.results import Result, Table, milliseconds
from tests.service.process import ROOT

CLIENTS = 64
OPEN_PER_SECOND = 1000.0
# wrk (apt-get install wrk) as a second opinion: it has next to no cost of its own, but knows closed loops only.
_WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "message/rfc822"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
"""


def measure(*, quick: bool) -> Result:
    """Load the trivial server in closed and open loop, and with wrk where it is installed."""
    sample, seconds = sample_mail(1024), 1 if quick else 5
    median = sorted(sample.raws, key=len)[len(sample.raws) // 2]
    result = Result(notes=[f"{sample}; {CLIENTS} connections; the server answers 2 bytes at once"])
    with _trivial_server() as address:
        closed = apart(closed_loop, Work(address, sample.raws, RAW), clients=CLIENTS, seconds=seconds)
        opened = apart(open_loop, Work(address, sample.raws, RAW), per_second=OPEN_PER_SECOND, seconds=seconds)
        rows = [_row("closed loop", closed), _row("open loop", opened)]
        wrk = shutil.which("wrk")
        if wrk:
            rows.append(("wrk, the median mail", f"{_wrk_rate(wrk, address, median, seconds):,.0f}", "", ""))
        else:
            result.notes.append("Left out: wrk is not installed: apt-get install wrk")
    result.tables.append(Table(("client", "requests/s", "p99, ms", "CPU a request, ms"), rows))
    failed = sum(len(replies.status) - replies.count(200) for replies in (closed, opened))
    result.exactly("requests without a 200", failed, 0)
    return result


def _row(what: str, replies: Replies) -> tuple[str, ...]:
    cost = f"{replies.cpu_s / len(replies.status) * 1000:.3f}"
    return (what, f"{replies.per_second():,.0f}", milliseconds(replies.quantile_s(0.99)), cost)


def _wrk_rate(wrk: str, address: str, body: bytes, seconds: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        mail, script = Path(name) / "mail", Path(name) / "post.lua"
        mail.write_bytes(body)
        script.write_text(_WRK_SCRIPT.format(body=mail))
        done = subprocess.run(
            [wrk, "--threads=1", f"--connections={CLIENTS}", f"--duration={seconds}", f"--script={script}", address],
            capture_output=True,
            text=True,
            check=True,
        )
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", done.stdout)[0])


@contextmanager
def _trivial_server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.trivial_server", str(port)], cwd=ROOT)
    try:
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()
