"""Other spam filters, as Debian packages them, on the same mail and without the network."""

import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from classifier.threads import available_cores
from tests.benchmarks.load import RAW, Rate, Work, closed_rate
from tests.benchmarks.mail import LabelledMail
from tests.benchmarks.running import cpu_s
from training import peers

START_S = 60.0
# What rspamd asks of the network or of Redis; "local only" is without it.
_RSPAMD_OFF = (
    *("arc", "asn", "bimi", "dkim", "dkim_signing", "dmarc", "fuzzy_check", "greylist", "hfilter", "history_redis"),
    *("mx_check", "neural", "phishing", "ratelimit", "rbl", "replies", "reputation", "rspamd_update", "spf", "surbl"),
    "url_redirector",
)


class MissingError(Exception):
    """A program to compare with is not installed; says what installs it."""


def bogofilter_rate(train: Sequence[LabelledMail], raws: Sequence[bytes]) -> Rate:
    """Return the rate of one bogofilter process in bulk mode, with a word list learned on `train`."""
    _require("bogofilter", "bogofilter")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bogofilter = peers.Bogofilter(folder / "words")
        spam = _write([mail.raw for mail in train if mail.spam], folder / "spam")
        ham = _write([mail.raw for mail in train if not mail.spam], folder / "ham")
        bogofilter.train(spam, ham)
        mails = _write(raws, folder / "mails")
        bogofilter.score(mails[:10])
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        bogofilter.score(mails)
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Rate(len(mails) / seconds, used_s / len(mails))


def spamd_rate(raws: Sequence[bytes], seconds: float) -> Rate:
    """Return the rate of `spamd -L` with a child and a client thread for each core."""
    _require("spamd", "spamd")
    with peers.SpamAssassin()._daemon() as address, ThreadPoolExecutor(available_cores()) as clients:
        list(clients.map(lambda raw: peers._check(address, raw), raws[: 4 * available_cores()]))
        # The daemon is the only child of this process that runs; the clients are threads of this process itself.
        done, started, before_s = 0, time.perf_counter(), cpu_s(os.getpid()) - time.process_time()
        while time.perf_counter() - started < seconds:
            some = [raws[(done + place) % len(raws)] for place in range(4 * available_cores())]
            done += len(list(clients.map(lambda raw: peers._check(address, raw), some)))
        used_s = cpu_s(os.getpid()) - time.process_time() - before_s
        return Rate(done / (time.perf_counter() - started), used_s / done)


def rspamd_rate(raws: Sequence[bytes], seconds: float, clients: int) -> Rate:
    """Return the rate of rspamd with a worker for each core, asked over HTTP as Hamlet is."""
    with _rspamd() as (address, process_id):
        work = Work(f"{address}/checkv2", raws, RAW)
        return closed_rate(work, clients=clients, seconds=seconds, process_id=process_id)[1]


@contextmanager
def _rspamd() -> Iterator[tuple[str, int]]:
    program = _require("rspamd", "rspamd")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = folder / "local.d"
        settings.mkdir()
        for module in _RSPAMD_OFF:
            (settings / f"{module}.conf").write_text("enabled = false;\n")
        workers = {"normal": f'bind_socket = "127.0.0.1:{port}"; count = {available_cores()};'}
        for worker in ("controller", "proxy"):
            workers[worker] = "count = 0;"
        for worker, lines in workers.items():
            (settings / f"worker-{worker}.inc").write_text(lines)
        (settings / "options.inc").write_text('dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; }\n')  # nobody there
        (settings / "logging.inc").write_text('type = "console"; level = "error";\n')
        variables = [f"--var={name}={folder}" for name in ("LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR")]
        with (folder / "log").open("wb") as log:
            # --insecure: run as whoever starts it, which may be root in a container.
            process = subprocess.Popen(
                [program, "--no-fork", "--insecure", "--config=/etc/rspamd/rspamd.conf", *variables],
                stdout=log,
                stderr=log,
            )
        try:
            _wait(f"http://127.0.0.1:{port}/ping", process, folder / "log")
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.wait()


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise MissingError(f"rspamd did not start:\n{log.read_text(errors='replace')[-1000:]}")


def _require(program: str, package: str) -> str:
    path = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        raise MissingError(f"{program} is not installed: apt-get install {package}")
    return path


def _write(raws: Sequence[bytes], folder: Path) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{place:06}.eml" for place in range(len(raws))]
    for path, raw in zip(paths, raws, strict=True):
        path.write_bytes(raw)
    return paths
