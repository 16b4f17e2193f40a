"""Services that know nothing of each other, on one set of models and one PostgreSQL, as on several machines."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from classifier.artifact import activate
from tests.service.databases import postgres_schema
from tests.service.load import clients
from tests.service.process import Process
from tests.service.stores import new_bucket, s3_port
from tests.service.versions import Versions

__all__ = ["s3_port"]  # a fixture

SERVICES = 3
POLL_S = 0.5
# A look, and loading, warming up and testing a version: up to 20 s were seen on two cores with much else to do.
REACHED_WITHIN_S = POLL_S + 60.0
MESSAGES = 30


@pytest.fixture(scope="module", params=["folder", "store"])
def services(
    request: pytest.FixtureRequest, versions: Versions, s3_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Process]]:
    """All of them ready; versions in a folder that all mount, or in an object store, each with a cache of its own."""
    with postgres_schema() as url, new_bucket(s3_port) as bucket, ExitStack() as stack:
        activate(versions.folder, versions.first)
        models = {"HAMLET_MODELS": str(versions.folder)}
        if request.param == "store":
            bucket.upload(versions.folder, versions.first, versions.second, "active")
            models = {"HAMLET_MODELS": bucket.url, **bucket.environment}
        started = []
        for _ in range(SERVICES):
            folder = tmp_path_factory.mktemp("service")
            here = {"HAMLET_MODELS_CACHE": str(folder / "cache"), "HAMLET_MODELS_POLL_S": str(POLL_S)}
            process = Process(folder / "stderr", HAMLET_DATABASE_URL=url, **models, **here)
            started.append(stack.enter_context(process))
        for process in started:
            process.wait_until(process.ready)
        yield started


def serves(process: Process, version: str) -> bool:
    return bool(process.client.get("/v1/model").json()["version"] == version)


def test_an_activation_reaches_all_and_no_request_fails(services: list[Process], versions: Versions) -> None:
    """One is told; the others find out by themselves within a set time, and every answer is right meanwhile."""
    with ExitStack() as stack:
        replies = [stack.enter_context(clients(process.port, versions)) for process in services]
        for version in (versions.second, versions.first):
            answer = services[0].client.post(f"/v1/models/{version}/activate")
            assert (answer.status_code, answer.json()["recorded"]) == (200, True), answer.text
            told = time.monotonic()
            for process in services[1:]:
                process.wait_until(partial(serves, process, version))
            assert time.monotonic() - told < REACHED_WITHIN_S
    for one in replies:
        assert (set(one.statuses), one.wrong, one.broken) == ({200}, [], [])
        assert set(one.by_version) == {versions.first, versions.second}


def test_what_one_is_taught_all_know(services: list[Process]) -> None:
    """Feedback goes to any of them: the journal is one, what another was told is known, forgetting holds for all."""
    texts = [f"Subject: number {number}\r\n\r\nsaid once".encode() for number in range(MESSAGES)]
    ids = []
    for number, text in enumerate(texts):
        body = {"raw": text.decode(), "label": "spam" if number % 2 else "ham", "reporter": "ann"}
        learned = services[number % SERVICES].client.post("/v1/feedback", json=body)
        assert (learned.status_code, learned.json()["outcome"]) == (201, "learned"), learned.text
        again = services[(number + 1) % SERVICES].client.post("/v1/feedback", json=body)
        assert (again.json()["outcome"], again.json()["id"]) == ("already_learned", learned.json()["id"])
        ids.append(learned.json()["id"])
    exports = [process.client.get("/v1/feedback/export").text for process in services]
    assert len(set(exports)) == 1
    assert len([json.loads(line) for line in exports[0].splitlines()]) == MESSAGES

    assert services[0].client.delete(f"/v1/feedback/{ids[0]}").status_code < 300
    for process in services:
        assert len(process.client.get("/v1/feedback/export").text.splitlines()) == MESSAGES - 1
