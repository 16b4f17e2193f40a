"""What an admin finds at night: a full disk, a folder that cannot be written, a database that went away."""

import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifier.artifact import active_folder
from tests.retraining.mailbox import entries, mail, write
from tests.retraining.process import check_registry, run, start
from tests.service.databases import Gate, postgres_schema
from tests.service.process import Process, UnprivilegedProcess
from training.errors import RetrainError
from training.retrain.service import Service

MAIL = b"Subject: still there\n\nScoring goes on."


@pytest.fixture
def feedback(tmp_path: Path) -> str:
    """Return an export of a made-up mailbox."""
    return str(write(entries(240), tmp_path / "feedback.jsonl"))


def test_two_jobs_at_once(models: Path, feedback: str, tmp_path: Path) -> None:
    """The second says who is at work and ends with 1; the first is not disturbed."""
    first = start(models, "--feedback", feedback)
    assert first.stderr is not None
    assert first.stderr.readline().startswith("retrain: ")
    first.send_signal(signal.SIGSTOP)  # else it is done before the other has started
    status, said = run(models, "--feedback", feedback)
    first.send_signal(signal.SIGCONT)
    assert status == 1
    assert f"another job is at work on {models} (process {first.pid} on " in said
    assert "retrain: " not in said
    said = first.communicate()[1]
    assert first.returncode == 0, said
    check_registry(models)


@pytest.mark.parametrize("step", ["exporting feedback", "mixing feedback and old mail", "publishing the candidate"])
def test_a_full_disk_is_an_error_with_a_sentence(models: Path, feedback: str, step: str) -> None:
    """Wherever it is noticed: the champion stays, nothing half written is left, and with room it works."""
    champion = active_folder(models)
    process = start(models, "--feedback", feedback)
    assert process.stderr is not None
    while (line := process.stderr.readline()).rstrip() != f"retrain: {step}":
        assert line, "it never came there"
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, 100))
    said = process.communicate()[1]
    assert process.returncode == 1, said
    assert said.splitlines()[-1].startswith("error: cannot write")
    assert "Traceback" not in said
    check_registry(models)
    assert active_folder(models) == champion
    assert not list(models.glob(".[0-9]*"))
    assert run(models, "--feedback", feedback)[0] == 0


def test_a_models_folder_that_cannot_be_written_is_said_at_once(models: Path, feedback: str) -> None:
    """Before anything is learned; also by rollback."""
    models.chmod(0o555)
    try:
        status, said = run(models, "--feedback", feedback, prefix=UnprivilegedProcess.command[:-3])
    finally:
        models.chmod(0o755)
    assert status == 1
    assert said.startswith(f"error: cannot write to {models} (Permission denied)")


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Return a PostgreSQL behind a port that can be shut."""
    with postgres_schema() as url:
        yield Gate(url)


def test_a_database_that_goes_away_and_comes_back(models: Path, gate: Gate, tmp_path: Path) -> None:
    """While it is away the job waits, then gives up with the service's own sentence; scores go on all the while, and
    when it is back, also in the midst of waiting, the job is done and the service answers with the new version."""
    champion = active_folder(models).name
    with Process(tmp_path / "log", HAMLET_DATABASE_URL=gate.url, HAMLET_MODELS=str(models)) as process:
        process.wait_until(process.ready)
        for row in entries(240):
            body = {key: row[key] for key in ("raw_base64", "label", "reporter")}
            assert process.client.post("/v1/feedback", json=body).status_code == 201
        service = f"http://127.0.0.1:{process.port}"
        gate.shut()
        with pytest.raises(RetrainError, match=r"does not answer GET /v1/feedback/export: .*database"):
            list(Service(service, None, patience_s=0.1).export())
        job = start(models, "--service", service)
        assert job.stderr is not None
        while "waiting for" not in (line := job.stderr.readline()):
            assert line, "it ended without waiting"
        assert process.score(MAIL)["tokens"] > 0
        assert process.ready()
        gate.open()
        said = job.communicate()[1]
        assert job.returncode == 0, said
        new = active_folder(models).name
        assert new != champion
        assert process.client.get("/v1/model").json()["version"] == new
        assert run(models, "--service", service)[0] == 4


def test_half_an_export_is_none(models: Path, tmp_path: Path) -> None:
    """A service that is killed while it exports: the job does not learn from what came until then."""
    with Process(tmp_path / "log", HAMLET_MODELS=str(models)) as process:
        process.wait_until(process.ready)
        filler = b"a line of text that goes on for a while\r\n" * 25_000
        for number in range(12):
            raw = mail("spam", number) + filler
            answer = process.client.post("/v1/feedback", json={"raw": raw.decode(), "label": "spam"})
            assert answer.status_code == 201
        lines = Service(f"http://127.0.0.1:{process.port}", None, patience_s=0.1).export()
        next(lines)
        process.process.kill()
        process.process.wait()
        with pytest.raises(RetrainError, match="broke off"):
            list(lines)


def test_a_service_that_wants_a_key_says_so(models: Path, tmp_path: Path) -> None:
    """Without the admin key the job ends at once, with a sentence that names where it takes the key from."""
    keys = {"HAMLET_ADMIN_KEYS": "right", "HAMLET_API_KEYS": "other"}
    with Process(tmp_path / "log", HAMLET_MODELS=str(models), **keys) as process:
        process.wait_until(process.ready)
        service = f"http://127.0.0.1:{process.port}"
        status, said = run(models, "--service", service, HAMLET_ADMIN_KEYS="wrong")
        assert status == 1
        assert "takes the first key of HAMLET_ADMIN_KEYS" in said
        assert "waiting for" not in said
        assert run(models, "--service", service, HAMLET_ADMIN_KEYS="right, other")[0] == 4


def test_the_job_is_one_that_cron_can_run(models: Path, feedback: str) -> None:
    """It asks nothing, writes no colours or bars where there is no terminal, and its standard output stays empty."""
    process = start(models, "--feedback", feedback)
    assert isinstance(process, subprocess.Popen)
    said = process.communicate()[1]
    assert "\r" not in said
    assert "\x1b" not in said
