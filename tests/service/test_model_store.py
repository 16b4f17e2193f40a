"""Models from a real S3 server, in a real process: fetched, verified, followed; served while the store is away."""

import shutil
import time
from pathlib import Path

import pytest

from classifier.artifact import load_artifact
from tests.service.process import START_TIMEOUT_S, Process
from tests.service.stores import Bucket, bucket, s3_port
from tests.service.test_activation import activation, reloads, serving
from tests.service.versions import MAILS, TOLERANCE, Versions

__all__ = ["bucket", "s3_port"]  # fixtures

POLL_S = 0.2


def settings(bucket: Bucket, cache: Path) -> dict[str, str]:
    return {
        "HAMLET_MODELS": bucket.url,
        "HAMLET_MODELS_CACHE": str(cache),
        "HAMLET_MODELS_POLL_S": str(POLL_S),
        **bucket.environment,
    }


def scores_as(process: Process, versions: Versions, version: str) -> bool:
    found = [one["spam_probability"] for one in process.scores(MAILS)]
    return found == pytest.approx(versions.expected[version], abs=TOLERANCE)


def test_versions_in_a_store_are_served_like_those_in_a_folder(
    versions: Versions, bucket: Bucket, tmp_path: Path
) -> None:
    """The first start fetches one version; a call and the object `active` change it; what is not as published, or has
    not the digest that `active` gives, is refused, and the old one stays."""
    bucket.upload(versions.folder, versions.first, versions.second, versions.torn)
    bucket.write("active", versions.first + "\n")
    cache = tmp_path / "cache"
    with Process(tmp_path / "stderr", **settings(bucket, cache)) as process:
        process.wait_until(process.ready)
        assert scores_as(process, versions, versions.first)
        assert len(list(cache.glob("*/*/*/manifest.json"))) == 1, "more was fetched than is served"

        answer = activation(process, versions.second)
        assert (answer.status_code, answer.json()["recorded"]) == (200, True), answer.text
        digest = load_artifact(versions.folder / versions.second).digest
        assert bucket.read("active").split() == [versions.second, digest]
        assert scores_as(process, versions, versions.second)

        bucket.write("active", versions.first)
        process.wait_until(lambda: serving(process) == versions.first)

        refused = activation(process, versions.torn)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "model_refused")
        assert "model.safetensors is not what was published: sha256 wanted" in refused.json()["error"]["message"]

        before = reloads(process, "refused")
        bucket.write("active", f"{versions.second} {'sha256:' + 'a' * 64}")
        process.wait_until(lambda: reloads(process, "refused") > before)
        told = process.client.get("/v1/models").json()
        assert "wanted was sha256:aaaa" in told["refused"]["message"]
        assert serving(process) == versions.first

        by_name = {one["version"]: one for one in told["versions"]}
        assert set(by_name) == {versions.first, versions.second, versions.torn}
        model = process.client.get("/v1/model").json()
        assert {by_name[versions.first][key] == model[key] for key in ("digest", "thresholds", "metrics")} == {True}


def test_a_store_that_is_away_takes_no_model_out_of_service(versions: Versions, bucket: Bucket, tmp_path: Path) -> None:
    """Scoring goes on, calls that need the store are refused in a sentence, and what was activated meanwhile is taken
    up when the store is back. A start without the store begins with the version served last."""
    bucket.upload(versions.folder, versions.first, versions.second)
    bucket.write("active", versions.first)
    here = settings(bucket, tmp_path / "cache")
    with Process(tmp_path / "stderr", **here) as process:
        process.wait_until(process.ready)
        bucket.gate.shut()
        bucket.write("active", versions.second)
        until = time.monotonic() + 5 * POLL_S
        while time.monotonic() < until:
            assert process.ready()
            assert scores_as(process, versions, versions.first)
        assert activation(process, versions.second).status_code == 404, "it is not on this machine"
        assert [one["version"] for one in process.client.get("/v1/models").json()["versions"]] == [versions.first]

    with Process(tmp_path / "stderr2", **here) as process:
        process.wait_until(process.ready)
        assert scores_as(process, versions, versions.first)
        assert "the model store is away" in process.log.read_text()
        bucket.gate.open()
        process.wait_until(lambda: serving(process) == versions.second)
        assert scores_as(process, versions, versions.second)


def test_a_fetch_that_the_store_breaks_off_is_tried_again(versions: Versions, bucket: Bucket, tmp_path: Path) -> None:
    """`active` names a version whose files are not all there yet: it is refused; written again, it is taken up."""
    bucket.upload(versions.folder, versions.first)
    bucket.write("active", versions.first)
    with Process(tmp_path / "stderr", **settings(bucket, tmp_path / "cache")) as process:
        process.wait_until(process.ready)
        bucket.upload(versions.folder, f"{versions.second}/manifest.json", f"{versions.second}/config.json")
        bucket.write("active", versions.second)
        process.wait_until(lambda: reloads(process, "refused") > 0)
        assert serving(process) == versions.first
        shutil.copytree(versions.folder / versions.second, tmp_path / "whole" / versions.second)
        bucket.filesystem.rm(f"{bucket.url}/{versions.second}", recursive=True)
        bucket.upload(tmp_path / "whole", versions.second)
        time.sleep(1.1)  # a store tells when something was written in whole seconds
        bucket.write("active", versions.second)
        process.wait_until(lambda: serving(process) == versions.second)
        assert not list((tmp_path / "cache").glob("*/.fetching-*"))


def test_a_copy_that_was_damaged_is_fetched_again(versions: Versions, bucket: Bucket, tmp_path: Path) -> None:
    """A disk that lost a byte costs a fetch and not the start."""
    bucket.upload(versions.folder, versions.first)
    bucket.write("active", versions.first)
    here = settings(bucket, tmp_path / "cache")
    with Process(tmp_path / "stderr", **here) as process:
        process.wait_until(process.ready)
    (weights,) = (tmp_path / "cache").rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    with Process(tmp_path / "stderr2", **here) as process:
        process.wait_until(process.ready)
        assert scores_as(process, versions, versions.first)
        assert "was damaged and is fetched again" in process.log.read_text()


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (None, "names no active model: expected s3://"),
        ("../elsewhere", "must hold the name of a version in one line"),
        ("2026.01.01-absent", "there is no s3://"),
    ],
)
def test_a_first_start_without_a_version_says_what_was_expected(
    bucket: Bucket, tmp_path: Path, write: str | None, told: str
) -> None:
    """One sentence, no traceback, exit status 1."""
    if write is not None:
        bucket.write("active", write)
    with Process(tmp_path / "stderr", **settings(bucket, tmp_path / "cache")) as process:
        assert process.process.wait(START_TIMEOUT_S) == 1
    assert told in process.log.read_text()
    assert "Traceback" not in process.log.read_text()


def test_a_first_start_without_the_store_ends_with_a_sentence(bucket: Bucket, tmp_path: Path) -> None:
    """Nothing is here yet and nothing can be fetched."""
    bucket.gate.shut()
    with Process(tmp_path / "stderr", **settings(bucket, tmp_path / "cache")) as process:
        assert process.process.wait(START_TIMEOUT_S) == 1
    assert "cannot be reached now" in process.log.read_text()
    assert "Traceback" not in process.log.read_text()
