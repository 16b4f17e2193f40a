"""Several worker processes on one port, as people start them, with what can befall them."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from classifier.artifact import activate
from service.metrics_folder import PREFIX, metrics_folder
from tests.service.load import clients
from tests.service.process import START_TIMEOUT_S, Process
from tests.service.versions import MAILS, TOLERANCE, Versions

WORKERS = 2
CONNECTIONS = 24


@pytest.fixture
def service(versions: Versions, tmp_path: Path) -> Iterator[Process]:
    """Two workers with the first version in service, both ready."""
    settings = {"HAMLET_WORKERS": str(WORKERS), "HAMLET_MODELS": str(versions.folder), "TMPDIR": str(tmp_path)}
    activate(versions.folder, versions.first)
    with Process(tmp_path / "stderr", **settings) as process:
        process.wait_until(process.workers_serve)
        yield process


def on_every_worker(process: Process, path: str) -> list[httpx.Response]:
    """Return the answers over many new connections, which spread over the workers."""
    return [process.fresh_get(path) for _ in range(CONNECTIONS)]


def test_workers_answer_on_one_port_as_one_service(service: Process, versions: Versions) -> None:
    """Whichever worker answers, scores are the same, and the metrics are those of all together."""
    for _ in range(3):
        found = [one["spam_probability"] for one in service.scores(MAILS)]
        assert found == pytest.approx(versions.expected[versions.first], abs=TOLERANCE)
    with clients(service.port, versions) as replies:
        service.wait_until(lambda: replies.statuses.total() >= 100)
    assert (set(replies.statuses), replies.wrong, replies.broken) == ({200}, [], [])
    answered = 3 + replies.statuses.total()
    labels = {"route": "/v1/predict", "code": "200"}
    for _ in range(CONNECTIONS):  # whichever worker is asked
        assert service.metric("hamlet_requests_total", **labels) == answered
    model = service.client.get("/v1/model").json()
    info = {"version": versions.first, "digest": model["digest"]}
    assert service.metric("hamlet_model_info", **info) == 1
    assert service.metric("hamlet_ready") == 1
    served = {line["worker"] for line in service.log_lines("request") if line["route"] == "/v1/predict"}
    assert served == {1, 2}, "one worker did all the work"


def test_an_activation_is_done_when_every_worker_has_it(service: Process, versions: Versions) -> None:
    """After the answer no connection meets the old version; a refusal leaves all on it; no request fails meanwhile."""
    with clients(service.port, versions) as replies:
        for version in (versions.second, versions.first, versions.second):
            answer = service.client.post(f"/v1/models/{version}/activate")
            assert answer.status_code == 200, answer.text
            assert {one.json()["version"] for one in on_every_worker(service, "/v1/model")} == {version}
            refused = service.client.post(f"/v1/models/{versions.torn}/activate")
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "model_refused")
            assert {one.json()["version"] for one in on_every_worker(service, "/v1/model")} == {version}
    assert (set(replies.statuses), replies.wrong, replies.broken) == ({200}, [], [])
    assert set(replies.by_version) == {versions.first, versions.second}
    text = service.client.get("/metrics").text
    assert [line.endswith(" 1.0") for line in text.splitlines() if line.startswith("hamlet_model_info{")] == [True]


def test_an_activation_reaches_workers_that_are_still_starting(versions: Versions, tmp_path: Path) -> None:
    """A version that is activated as soon as one worker can answer is that of every other, from its first answer on."""
    activate(versions.folder, versions.first)
    settings = {"HAMLET_WORKERS": "3", "HAMLET_MODELS": str(versions.folder)}
    with Process(tmp_path / "stderr", **settings) as process:
        process.wait_until(process.ready)
        assert process.client.post(f"/v1/models/{versions.second}/activate").status_code == 200
        (versions.folder / "active").write_text("nobody is told by the file")
        told: set[str] = set()
        while not process.workers_serve():
            told.add(process.fresh_get("/v1/model").json()["version"])
        told |= {one.json()["version"] for one in on_every_worker(process, "/v1/model")}
        assert told == {versions.second}


def test_a_killed_worker_is_replaced_and_nobody_else_is_disturbed(service: Process, versions: Versions) -> None:
    """After kill -9 new requests are answered throughout; the new worker has the activated version; counters go on."""
    assert service.client.post(f"/v1/models/{versions.second}/activate").status_code == 200
    for _ in range(CONNECTIONS):  # over connections of their own, so that both workers get some
        answer = httpx.post(f"{service.client.base_url}/v1/predict/raw", content=MAILS[0], timeout=30)
        assert answer.status_code == 200
    killed = service.worker_pids()[2]
    os.kill(killed, signal.SIGKILL)
    until = time.monotonic() + START_TIMEOUT_S
    statuses: set[int] = set()
    while (service.worker_pids()[2] == killed or service.workers_ready() < WORKERS) and time.monotonic() < until:
        statuses |= {one.status_code for one in on_every_worker(service, "/health/ready")}
    assert service.workers_ready() == WORKERS
    assert statuses == {200}
    assert {one.json()["version"] for one in on_every_worker(service, "/v1/model")} == {versions.second}
    counted = service.metric("hamlet_requests_total", route="/v1/predict/raw", code="200")
    served = [line["worker"] for line in service.log_lines("request") if line["route"] == "/v1/predict/raw"]
    assert counted == len(served) == CONNECTIONS
    assert 2 in served, "the worker that was killed had counted nothing"
    assert service.end() == 0, service.log.read_text()


def test_a_worker_that_hangs_is_replaced(versions: Versions, tmp_path: Path) -> None:
    """A worker whose event loop stands still for HAMLET_STALL_S is killed, and another takes its place."""
    settings = {"HAMLET_WORKERS": str(WORKERS), "HAMLET_STALL_S": "5", "HAMLET_MODELS": str(versions.folder)}
    with Process(tmp_path / "stderr", **settings) as process:
        process.wait_until(process.workers_serve)
        stopped = process.worker_pids()[1]
        os.kill(stopped, signal.SIGSTOP)
        process.wait_until(lambda: process.worker_pids()[1] != stopped)
        process.wait_until(process.ready)
        assert process.end() == 0, process.log.read_text()


def test_a_worker_whose_batch_never_ends_is_replaced(versions: Versions, tmp_path: Path) -> None:
    """A batch that runs longer than HAMLET_STALL_S (here any large one) costs its worker its place, not the service."""
    settings = {"HAMLET_WORKERS": str(WORKERS), "HAMLET_STALL_S": "0.01", "HAMLET_MODELS": str(versions.folder)}
    with Process(tmp_path / "stderr", **settings) as process, ThreadPoolExecutor(1) as pool:
        process.wait_until(process.workers_serve)
        before = process.worker_pids()

        def keep_busy() -> None:  # one request may be done before anybody looks, which is once a second
            while process.worker_pids() == before:
                process.scores([b"Subject: long\n\n" + b"so many words " * 400] * 256)

        work = pool.submit(keep_busy)
        process.wait_until(lambda: process.worker_pids() != before)
        assert work.exception() is None or isinstance(work.exception(), AssertionError | httpx.TransportError)
        assert "has been busy for" in process.log.read_text()

        def each_has_another_in_its_place() -> bool:  # the work may have cost more than one of them its place
            ended = process.log.read_text().count("This worker ends, another takes its place.")
            return len(process.log_lines("worker serving")) == WORKERS + ended

        process.wait_until(each_has_another_in_its_place)
        assert process.fresh_get("/health/ready").status_code == 200
        assert process.end() == 0, process.log.read_text()


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_loses_no_accepted_request(versions: Versions, tmp_path: Path, workers: int) -> None:
    """Every request that was taken on is answered in full, later ones are refused, and the exit code is 0."""
    settings = {"HAMLET_WORKERS": str(workers), "HAMLET_MODELS": str(versions.folder), "TMPDIR": str(tmp_path)}
    with Process(tmp_path / "stderr", **settings) as process:
        process.wait_until(process.workers_serve)
        with clients(process.port, versions) as replies:
            process.wait_until(lambda: replies.statuses.total() >= 50)
            assert process.end() == 0, process.log.read_text()
        requests = [line for line in process.log_lines("request") if line["route"] == "/v1/predict"]
    assert {line["status"] for line in requests} <= {200, 503}
    assert sum(line["status"] == 200 for line in requests) == replies.statuses[200]
    assert (set(replies.statuses) - {200, 503}, replies.wrong) == (set(), [])
    assert not list(tmp_path.glob(f"{PREFIX}*")), "the folder of metrics was left behind"


def test_workers_end_when_their_supervisor_is_killed(service: Process) -> None:
    """After kill -9 of the supervisor nothing is left running, and the port is free."""
    workers = service.worker_pids()
    service.process.kill()
    service.process.wait()
    until = time.monotonic() + START_TIMEOUT_S
    while any(Path(f"/proc/{pid}").exists() for pid in workers.values()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers.values())
    with pytest.raises(httpx.ConnectError):
        service.client.get("/health/live")


def test_without_a_model_workers_end_with_a_sentence(tmp_path: Path) -> None:
    """What no restart can mend at the first start ends the service with 1 and says what was expected."""
    with Process(tmp_path / "stderr", HAMLET_MODELS=str(tmp_path), HAMLET_WORKERS="2") as process:
        assert process.process.wait(START_TIMEOUT_S) == 1
        assert str(tmp_path / "active") in process.log.read_text()
        assert "Traceback" not in process.log.read_text()


def test_what_a_killed_supervisor_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of metrics that nobody holds goes; one in use, one just made and other people's folders stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, young, other = (tmp_path / name for name in (f"{PREFIX}left", f"{PREFIX}young", "other"))
    for folder in (left, young, other):
        folder.mkdir()
        (folder / "counter_1.db").touch()
    os.utime(left, (0, 0))
    with metrics_folder() as used:
        os.utime(used, (0, 0))
        with metrics_folder() as second:
            assert sorted(tmp_path.iterdir()) == sorted([young, other, used, second])
            assert not list(second.iterdir())
    assert sorted(tmp_path.iterdir()) == sorted([young, other])
