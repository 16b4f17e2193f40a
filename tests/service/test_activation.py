"""Swaps between real versions, in a real process."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from classifier.artifact import activate
from tests.service.load import clients
from tests.service.process import Process, UnprivilegedProcess
from tests.service.versions import MAILS, TOLERANCE, Versions

POLL_S = 0.2


@pytest.fixture(scope="module")
def process(versions: Versions, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One process for all tests of this file."""
    log = tmp_path_factory.mktemp("log") / "stderr"
    activate(versions.folder, versions.first)
    with Process(log, HAMLET_MODELS=str(versions.folder), HAMLET_MODELS_POLL_S=str(POLL_S)) as process:
        process.wait_until(process.ready)
        yield process


@pytest.fixture
def service(process: Process, versions: Versions) -> Process:
    """The process with the first version in service."""
    assert activation(process, versions.first).status_code == 200
    return process


def activation(process: Process, version: str) -> httpx.Response:
    return process.client.post(f"/v1/models/{version}/activate")


def serving(process: Process) -> str:
    version: str = process.client.get("/v1/model").json()["version"]
    return version


def written(versions: Versions) -> str:
    return (versions.folder / "active").read_text().strip()


def test_swaps_under_load_fail_no_request_and_mix_up_no_reply(service: Process, versions: Versions) -> None:
    """While versions are swapped back and forth, every request is answered with the scores of the version it names."""
    before = reloads(service, "activated")
    with clients(service.port, versions) as replies:
        for version in (versions.second, versions.first) * 2:
            answer = activation(service, version)
            assert answer.status_code == 200, answer.text
            assert (answer.json()["version"], answer.json()["recorded"]) == (version, True)
            assert (serving(service), written(versions)) == (version, version)
    assert set(replies.statuses) == {200}
    assert (replies.wrong, replies.broken) == ([], [])
    assert min(replies.by_version[version] for version in versions.expected) > 0
    assert reloads(service, "activated") == before + 4


def test_versions_are_listed_with_what_is_wrong_with_them(service: Process, versions: Versions) -> None:
    """Versions that can be served show digest, thresholds and measures, the torn one says which file is not right."""
    listed = service.client.get("/v1/models").json()
    assert listed["active"] == versions.first
    by_name = {version["version"]: version for version in listed["versions"]}
    assert set(by_name) == {versions.first, versions.second, versions.torn, versions.wrong}
    assert [name for name, version in by_name.items() if version["active"]] == [versions.first]
    model = service.client.get("/v1/model").json()
    for key in ("digest", "thresholds", "metrics"):
        assert by_name[versions.first][key] == model[key]
    assert "model.safetensors is not what was published: sha256 wanted" in by_name[versions.torn]["error"]


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ("torn", "model.safetensors is not what was published: sha256 wanted"),
        ("wrong", "this installation computes something else"),
    ],
)
def test_a_version_that_cannot_be_served_is_refused(service: Process, versions: Versions, which: str, why: str) -> None:
    """The old version stays, on disk too; the answer is one sentence that says why, and the list remembers it."""
    version = getattr(versions, which)
    before = reloads(service, "refused")
    refused = activation(service, version)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (409, "model_refused")
    assert f"Version {version} cannot be served, {versions.first} stays in service: " in error["message"]
    assert why in error["message"]
    assert (serving(service), written(versions)) == (versions.first, versions.first)
    assert service.ready()
    expected = versions.expected[versions.first]
    found = [one["spam_probability"] for one in service.scores(MAILS)]
    assert found == pytest.approx(expected, abs=TOLERANCE)
    assert service.client.get("/v1/models").json()["refused"]["message"] == error["message"]
    assert reloads(service, "refused") == before + 1


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("2026.01.01-absent", 404, "not_found"),
        ("%2e%2e", 422, "invalid_request"),
        ("active", 404, "not_found"),
        (".hidden", 422, "invalid_request"),
    ],
)
def test_what_is_no_version_is_not_looked_for(service: Process, path: str, status: int, code: str) -> None:
    """Only names of folders in the folder of versions count."""
    answer = activation(service, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_the_file_active_is_followed(service: Process, versions: Versions) -> None:
    """What a deployment writes into the folder is in service soon after, without a call; nonsense changes nothing."""
    activate(versions.folder, versions.second)
    service.wait_until(lambda: serving(service) == versions.second)
    for nonsense in (versions.torn, "2026.01.01-absent", "../elsewhere", ""):
        before = reloads(service, "refused")
        (versions.folder / "active").write_text(nonsense)
        service.wait_until(lambda before=before: reloads(service, "refused") > before)  # type: ignore[misc]  # default
        assert (serving(service), service.ready()) == (versions.second, True)
    activate(versions.folder, versions.first)
    service.wait_until(lambda: serving(service) == versions.first)


def reloads(process: Process, result: str) -> float:
    """Return how often another version was `activated` or `refused`."""
    return process.metric("hamlet_model_reloads_total", result=result)


def test_activation_needs_the_admin_key(versions: Versions, tmp_path: Path) -> None:
    """A key for scoring lists the versions and does not change them."""
    activate(versions.folder, versions.first)
    settings = {"HAMLET_API_KEYS": "scoring", "HAMLET_ADMIN_KEYS": "boss", "HAMLET_MODELS": str(versions.folder)}

    with Process(tmp_path / "stderr", **settings) as guarded:
        guarded.wait_until(guarded.ready)
        for key, status in (("scoring", 401), ("boss", 200)):
            guarded.client.headers["Authorization"] = f"Bearer {key}"
            assert activation(guarded, versions.first).status_code == status
            assert guarded.client.get("/v1/models").status_code == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_that_cannot_be_written_still_lets_versions_be_swapped(
    versions: Versions, tmp_path: Path, workers: int
) -> None:
    """The answer says that the next start will not know; the file counts again once somebody else changes it."""
    folder = shutil.copytree(versions.folder, tmp_path / "models")
    activate(folder, versions.first)
    settings = {"HAMLET_MODELS": str(folder), "HAMLET_MODELS_POLL_S": str(POLL_S), "HAMLET_WORKERS": str(workers)}
    folder.chmod(0o555)
    with UnprivilegedProcess(tmp_path / "stderr", **settings) as process:
        process.wait_until(process.workers_serve)
        activated = activation(process, versions.second)
        assert (activated.status_code, activated.json()["recorded"]) == (200, False), activated.text
        assert (folder / "active").read_text().strip() == versions.first
        looks = time.monotonic() + 5 * POLL_S
        while time.monotonic() < looks:
            assert process.fresh_get("/v1/model").json()["version"] == versions.second
        if workers > 1:  # one that starts now has to be told
            killed = process.worker_pids()[2]
            os.kill(killed, signal.SIGKILL)
            process.wait_until(lambda: process.worker_pids()[2] != killed)
            for _ in range(10):
                assert process.fresh_get("/v1/model").json()["version"] == versions.second
        activate(folder, versions.second)  # this test may write, the service may not
        activate(folder, versions.first)
        for _ in range(10):
            process.wait_until(lambda: process.fresh_get("/v1/model").json()["version"] == versions.first)
        assert process.end() == 0
