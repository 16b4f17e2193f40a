"""The service as people start it: a process of its own, the bundled model, real sockets."""

import base64
import json
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from classifier.artifact import active_folder, bundled_models
from classifier.pipeline import SpamClassifier
from tests import hostile_mail
from tests.service.process import START_TIMEOUT_S, Process

ROOT = Path(__file__).parents[2]
ANSWER_WITHIN_S = 1.0  # for anything that a client may send
TOLERANCE = 1e-4
LUNCH = b"From: ann@example.org\r\nSubject: lunch\r\n\r\nAre you free at noon? The usual place."
MAILS = [path.read_bytes() for path in sorted((ROOT / "tests/mail").rglob("*.eml"))[::4]]
HOSTILE = dict(hostile_mail.every_kind())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One process for all tests that do not end it."""
    with Process(tmp_path_factory.mktemp("log") / "stderr", HAMLET_LOG_LEVEL="warning") as process:
        process.wait_until(process.ready)
        yield process


@pytest.fixture(scope="module")
def classifier() -> SpamClassifier:
    """The same model, without a service around it, in the same arithmetic."""
    classifier = SpamClassifier.load(active_folder(Path(os.environ.get("HAMLET_MODELS") or bundled_models())))
    classifier.use_bfloat16()
    return classifier


def test_a_score_over_http_is_the_score_of_the_classifier(service: Process, classifier: SpamClassifier) -> None:
    """The service adds nothing to a score and takes nothing away: same bytes, same probability, tokens, defects."""
    model = service.client.get("/v1/model").json()
    assert (model["version"], model["digest"]) == (classifier.version, classifier.digest)
    for raw in MAILS:
        prepared = classifier.prepare(raw)
        expected, found = classifier.score([prepared])[0], service.score(raw)
        assert found["spam_probability"] == pytest.approx(expected.probability, abs=TOLERANCE)
        assert (found["tokens"], found["truncated"]) == (prepared.tokens, prepared.truncated)
        assert found["defects"] == list(prepared.defects)


def test_a_score_does_not_depend_on_the_batch(service: Process) -> None:
    """Alone, among all others, in another order and under load, a message gets one score."""
    alone = [service.score(raw)["spam_probability"] for raw in MAILS]
    together = [one["spam_probability"] for one in service.scores(MAILS)]
    backwards = [one["spam_probability"] for one in service.scores(MAILS[::-1])][::-1]
    with ThreadPoolExecutor(8) as pool:
        under_load = [one["spam_probability"] for one in pool.map(service.score, MAILS)]
    for others in (together, backwards, under_load):
        assert others == pytest.approx(alone, abs=TOLERANCE)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_mail_is_scored_in_time(service: Process, kind: str) -> None:
    """Mail made to break a reader gets a score like any other, within a second, and the service stays ready."""
    response = service.client.post("/v1/predict/raw", content=HOSTILE[kind])
    assert response.status_code == 200, response.text
    assert 0 <= response.json()["result"]["spam_probability"] <= 1
    assert response.elapsed.total_seconds() < ANSWER_WITHIN_S
    assert service.ready()


def test_hostile_mail_does_not_disturb_its_neighbours(service: Process) -> None:
    """In one request with all of them, an ordinary message gets its ordinary score."""
    expected = service.score(LUNCH)["spam_probability"]
    first, *_, last = service.scores([LUNCH, *HOSTILE.values(), LUNCH])
    assert [first["spam_probability"], last["spam_probability"]] == pytest.approx([expected] * 2, abs=TOLERANCE)


def endless(n_bytes: int) -> Iterator[bytes]:
    """A body without a length."""
    for _ in range(n_bytes // 65536):
        yield b"x" * 65536


@pytest.mark.parametrize(
    ("path", "content", "status", "code"),
    [
        ("/v1/predict", b"", 422, "invalid_json"),
        ("/v1/predict", b"not json", 422, "invalid_json"),
        ("/v1/predict", b"[" * 1_000_000, 422, "invalid_json"),
        ("/v1/predict", json.dumps({"messages": [{"raw": "x"}] * 300}).encode(), 413, "too_many_messages"),
        ("/v1/predict", b"[" + b"1," * 10_000_000 + b"1]", 422, "invalid_request"),
        ("/v1/predict", b'{"messages":[' + b"1," * 10_000_000 + b"1]}", 413, "too_many_messages"),
        ("/v1/predict", b" " * (33 * 1024 * 1024), 413, "request_too_large"),
        ("/v1/predict", 40, 413, "request_too_large"),
        ("/v1/predict/raw", b"", 422, "empty_message"),
        ("/v1/predict/raw", b"x" * (20 * 1024 * 1024), 413, "message_too_large"),
        ("/v1/predict/raw", 20, 413, "message_too_large"),
    ],
)
def test_a_bad_request_is_refused_in_time(
    service: Process, path: str, content: bytes | int, status: int, code: str
) -> None:
    """Whatever the body, the answer is the documented one, and the service stays ready. A number is MiB in chunks."""
    body = endless(content * 1024 * 1024) if isinstance(content, int) else content
    with service.client.stream("POST", path, content=body) as response:
        response.read()
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert service.ready()


def test_an_oversized_message_is_refused_alone(service: Process) -> None:
    """A message of 20 MiB among two others is refused in its place."""
    large, small = {"raw": "x" * (20 * 1024 * 1024)}, {"raw_base64": base64.b64encode(LUNCH).decode()}
    response = service.client.post("/v1/predict", json={"messages": [small, large, {"raw_base64": "?"}, small]})
    codes = [one.get("error", {}).get("code") for one in response.json()["results"]]
    assert codes == [None, "message_too_large", "invalid_base64", None]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\nX-Long: " + b";" * 1_000_000, 431, "headers_too_large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello", 400, "invalid_http"),
    ],
)
def test_what_is_hardly_http_is_refused(service: Process, sent: bytes, status: int, code: str) -> None:
    """A header of a megabyte and a TLS greeting are answered in the usual shape, and the connection is closed."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        received = b""
        try:
            connection.sendall(sent)
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass  # closed while we were still sending; what came before counts
    assert received.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"]["code"] == code


def test_the_probes_answer_while_the_service_works(service: Process) -> None:
    """Health is not queued behind messages."""
    with ThreadPoolExecutor(2) as pool:
        work = [pool.submit(service.scores, [LUNCH * 200] * 64) for _ in range(2)]
        slowest_s = 0.0
        while not all(one.done() for one in work):
            slowest_s = max(slowest_s, service.client.get("/health/ready").elapsed.total_seconds())
        assert all(len(one.result()) == 64 for one in work)
    assert slowest_s < ANSWER_WITHIN_S


def test_sigterm_finishes_accepted_work_and_exits_with_0(tmp_path: Path) -> None:
    """A request that is under way when the signal comes is answered in full; the process then ends cleanly."""
    with Process(tmp_path / "stderr") as process, ThreadPoolExecutor(1) as pool:
        process.wait_until(process.ready)
        work = pool.submit(process.scores, [LUNCH * 200] * 64)
        process.wait_until(lambda: process.client.get("/health").json()["queue"]["messages_in_flight"] > 0)
        assert process.end() == 0
        assert all("verdict" in one for one in work.result())
        lines = [json.loads(line) for line in process.log.read_text().splitlines()]  # every line is JSON
    assert {"draining", "ready"} <= {line["message"] for line in lines}


def test_while_draining_it_is_alive_and_not_ready(tmp_path: Path) -> None:
    """During the drain delay load balancers see not ready while work is still taken."""
    with Process(tmp_path / "stderr", HAMLET_DRAIN_DELAY_S="2") as process:
        process.wait_until(process.ready)
        process.process.send_signal(signal.SIGTERM)
        process.wait_until(lambda: not process.ready())
        assert process.client.get("/health/ready").json()["error"]["code"] == "draining"
        assert process.client.get("/health/live").status_code == 200
        assert "verdict" in process.score(LUNCH)
        assert process.process.wait(START_TIMEOUT_S) == 0


def test_without_a_model_it_ends_with_a_sentence(tmp_path: Path) -> None:
    """A folder without a model ends the process with 1 and says what was expected, without a traceback."""
    with Process(tmp_path / "stderr", HAMLET_MODELS=str(tmp_path)) as process:
        assert process.process.wait(START_TIMEOUT_S) == 1
        told = process.log.read_text()
    assert "the service cannot start" in told
    assert str(tmp_path / "active") in told
    assert "Traceback" not in told
