"""Feedback through real processes: killed, without a database, without disk, and asked to forget."""

import base64
import json
import os
import resource
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from tests.conftest import corpus_mail, mail_files
from tests.service.databases import Gate, postgres_schema
from tests.service.process import Process

CLIENTS = 16
ENOUGH = 100  # learned before the kill
MAIL = b"Subject: still there\r\n\r\nScoring goes on."


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def say(client: httpx.Client, raw: bytes, label: str = "spam", reporter: str = "ann") -> httpx.Response:
    return client.post("/v1/feedback", json={"raw_base64": encoded(raw), "label": label, "reporter": reporter})


def journal_of(process: Process, **wanted: str) -> Iterator[dict[str, Any]]:
    with process.client.stream("GET", "/v1/feedback/export", params=wanted) as response:
        assert response.status_code == 200, response.read()
        for line in response.iter_lines():
            yield json.loads(line)


def mails(folder: Path | None, count: int) -> list[bytes]:
    """Return real mail, or that of the tests over and over, each with a number in front so that no two are the same."""
    texts = [path.read_bytes() for path in mail_files("spam", "ham", "defects")]
    some = list(islice(corpus_mail(folder), count)) if folder else [texts[n % len(texts)] for n in range(count)]
    return [b"X-Number: %d\r\n" % number + raw for number, raw in enumerate(some)]


def refused(response: httpx.Response) -> str:
    """Check that feedback, and feedback alone, was refused for now; return the sentence."""
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "feedback_unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    return str(error["message"])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_got_its_201_survives_kill_9(database_url: str, tmp_path: Path, workers: str) -> None:
    """16 clients pour feedback in, every process is killed: the next one has all that was said to be learned."""
    settings = {"HAMLET_DATABASE_URL": database_url, "HAMLET_WORKERS": workers}
    learned: dict[str, bytes] = {}
    ended = threading.Event()

    def pour(number: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{process.port}", timeout=30) as client:
            for count in range(10**9):
                raw = b"Subject: %d of %d\r\n\r\n" % (count, number) + b"some words of a mail " * (count % 300)
                try:
                    answer = say(client, raw)
                except httpx.TransportError:
                    return
                if answer.status_code == 201:
                    learned[answer.json()["id"]] = raw
                elif ended.is_set():
                    return

    with Process(tmp_path / "killed", **settings) as process:
        process.wait_until(process.ready)
        with ThreadPoolExecutor(CLIENTS) as pool:
            pouring = [pool.submit(pour, number) for number in range(CLIENTS)]
            process.wait_until(lambda: len(learned) > ENOUGH)
            for pid in [*children(process.process.pid), process.process.pid]:
                os.kill(pid, signal.SIGKILL)
            ended.set()
            for one in pouring:
                one.result(60)
    with Process(tmp_path / "next", **settings) as process:
        process.wait_until(process.ready)
        found = {line["id"]: line["raw_base64"] for line in journal_of(process)}
        assert {name for name, raw in learned.items() if found.get(name) != encoded(raw)} == set()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_postgres_goes_away_and_comes_back(tmp_path: Path) -> None:
    """Cut connections go unnoticed; a refused port costs feedback a 503 with a sentence, and readiness nothing."""
    with postgres_schema() as url:
        gate = Gate(url)
        with Process(tmp_path / "log", HAMLET_DATABASE_URL=gate.url) as process:
            process.wait_until(process.ready)
            client = process.client
            first = say(client, MAIL)
            assert first.status_code == 201, first.text
            terminate_connections(url)
            assert say(client, MAIL + b"2").status_code == 201
            gate.shut()
            for response in (
                say(client, MAIL + b"3"),
                client.get("/v1/feedback"),
                client.get("/v1/feedback/export"),
                client.delete(f"/v1/feedback/{first.json()['id']}"),
            ):
                assert "database" in refused(response)
                assert response.elapsed.total_seconds() < 10
            assert process.score(MAIL)["tokens"] > 0
            assert process.ready()
            assert client.get("/health").json()["feedback"]["problem"]
            gate.open()
            assert say(client, MAIL + b"3").status_code == 201
            assert client.get("/health").json()["feedback"]["problem"] is None
            assert len(list(journal_of(process))) == 3
            assert process.end() == 0


def test_the_service_starts_without_its_database(tmp_path: Path) -> None:
    """It is ready and scores; the tables are made when the database is there."""
    with postgres_schema() as url:
        gate = Gate(url)
        gate.shut()
        with Process(tmp_path / "log", HAMLET_DATABASE_URL=gate.url) as process:
            process.wait_until(process.ready)
            assert process.score(MAIL)["tokens"] > 0
            refused(say(process.client, MAIL))
            gate.open()
            assert say(process.client, MAIL).status_code == 201


def terminate_connections(url: str) -> None:
    """Have the server end every connection of the service, as an administrator or a fail-over does."""
    server = url.partition("?")[0]
    assert parse_qs(urlsplit(url).query)["options"]
    with psycopg.connect(server, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hamlet'"
        ).fetchall()
    assert ended


def test_a_full_disk_costs_feedback_alone(tmp_path: Path) -> None:
    """No file of the service may grow any more: feedback is 503, scores go on, and with room it is learned again."""
    with Process(tmp_path / "log", HAMLET_LOG_LEVEL="warning") as process:
        process.wait_until(process.ready)
        kept = [say(process.client, MAIL + b"%d" % n).json()["id"] for n in range(20)]
        _, hard = resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (300_000, hard))
        large = [MAIL + b"%d " % n + b"much text " * 5_000 for n in range(40)]
        answers = [say(process.client, raw) for raw in large]
        kept += [answer.json()["id"] for answer in answers if answer.status_code == 201]
        failed = [(raw, answer) for raw, answer in zip(large, answers, strict=True) if answer.status_code != 201]
        assert failed
        assert all("disk" in refused(answer) for _, answer in failed)
        assert process.score(MAIL)["tokens"] > 0
        assert process.ready()
        resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert all(say(process.client, raw).status_code == 201 for raw, _ in failed)
        found = {line["id"] for line in journal_of(process)}
        assert set(kept) <= found
        assert len(found) == 60


def test_what_is_forgotten_is_in_no_file(tmp_path: Path) -> None:
    """Real mail, every third message forgotten while more comes in: no part of it is left in the folder."""
    folder = os.environ.get("HAMLET_CORPORA")
    said = mails(Path(folder) if folder else None, 200)
    database = tmp_path / "state" / "feedback.db"
    patient = {"HAMLET_DATABASE_TIMEOUT_MS": "120000"}  # a disk that stalls is not what is tested here
    with Process(tmp_path / "log", HAMLET_DATABASE_URL=f"sqlite:///{database}", **patient) as process:
        process.client.timeout = httpx.Timeout(120)
        process.wait_until(process.ready)
        ids = [say(process.client, raw, reporter=f"reporter-{n:05}").json()["id"] for n, raw in enumerate(said)]
        gone, kept = said[::3], [raw for n, raw in enumerate(said) if n % 3]
        common = b"".join(kept)
        parts = [part for raw in gone for part in parts_of(raw) if part not in common]
        assert len(parts) > len(gone)
        before = b"".join(path.read_bytes() for path in database.parent.iterdir())
        assert sum(part in before for part in parts) > 0.9 * len(parts)  # the others lie across two pages
        with ThreadPoolExecutor(8) as pool:
            forgetting = pool.map(lambda name: process.client.delete(f"/v1/feedback/{name}"), ids[::3])
            more = pool.map(lambda n: say(process.client, b"Subject: %d\r\n\r\nmore" % n), range(50))
            assert [answer.text for answer in forgetting if answer.status_code != 204] == []
            assert [answer.text for answer in more if answer.status_code != 201] == []
        after = b"".join(path.read_bytes() for path in database.parent.iterdir())
        assert [part for part in parts if part in after] == []
        assert [n for n in range(0, 200, 3) if b"reporter-%05d" % n in after] == []
        assert len(list(journal_of(process))) == len(kept) + 50


def parts_of(raw: bytes) -> list[bytes]:
    return [raw[start : start + 32] for start in range(0, min(len(raw) - 32, 20_000), 1000)]


def test_an_export_streams(tmp_path: Path) -> None:
    """A journal of 96 MB goes out with less than a third of it in memory."""
    with Process(tmp_path / "log", HAMLET_LOG_LEVEL="warning") as process:
        process.wait_until(process.ready)
        filler = b"a line of text that goes on for a while\r\n" * 25_000
        for number in range(96):
            assert say(process.client, b"Subject: %d\r\n\r\n" % number + filler).status_code == 201
        process.score(MAIL)
        before = rss_bytes(process.process.pid)
        highest = size = 0
        with process.client.stream("GET", "/v1/feedback/export") as response:
            for number, chunk in enumerate(response.iter_raw()):
                size += len(chunk)
                if number % 50 == 0:
                    highest = max(highest, rss_bytes(process.process.pid))
        assert size > 96 * len(filler)
        assert highest - before < 32 * len(filler)


def rss_bytes(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
