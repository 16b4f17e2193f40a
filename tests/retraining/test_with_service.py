"""The whole story, on real mail: an empty machine, corrections, a better version without a restart, and forgetting."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from classifier.artifact import active_folder, load_artifact
from tests.retraining.process import check_registry, run
from tests.retraining.real_mail import mailbox
from tests.service.process import Process

CORRECTIONS = 200


def wrong(record: dict[str, Any], result: dict[str, Any]) -> bool:
    return bool(result["verdict"] != record["label"])


def scores(process: Process, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for start in range(0, len(records), 50):
        found += process.scores([base64.b64decode(record["raw_b64"]) for record in records[start : start + 50]])
    return found


def teach(process: Process, records: list[dict[str, Any]], reporter: str) -> list[str]:
    ids = []
    for record in records:
        said = {"raw_base64": record["raw_b64"], "label": record["label"], "reporter": reporter}
        answer = process.client.post("/v1/feedback", json=said)
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    return ids


def serving(process: Process) -> str:
    version: str = process.client.get("/v1/model").json()["version"]
    return version


@pytest.fixture
def models(champion: tuple[Path, Path], tmp_path: Path) -> Path:
    """Return a folder of versions of its own, with the champion that was fitted on real mail."""
    return Path(shutil.copytree(champion[0], tmp_path / "models"))


def test_corrections_are_learned_served_and_forgotten(
    models: Path, champion: tuple[Path, Path], corpora: Path, tmp_path: Path
) -> None:
    """200 corrections of mail that it gets wrong: the job promotes, the running service answers with the new version
    and gets fewer wrong of what follows. Forgotten, they have no trace in what the next version is made of, and when
    all is forgotten the fitted one serves again."""
    records, base = mailbox(corpora), str(champion[1])
    with Process(tmp_path / "log", HAMLET_MODELS=str(models), HAMLET_LOG_LEVEL="warning") as process:
        process.wait_until(process.ready)
        fitted, service = serving(process), f"http://127.0.0.1:{process.port}"
        seen, following = records[:2500], records[2500:3300]
        missed = [one for one, result in zip(seen, scores(process, seen), strict=True) if wrong(one, result)]
        right = [one for one in seen if one not in missed]
        assert len(missed) >= CORRECTIONS, "it knows this mail already"
        before = sum(map(wrong, following, scores(process, following)))
        ids = teach(process, missed[:CORRECTIONS], "ann")

        status, said = run(models, "--service", service, "--base", base)
        assert status == 0, said
        adapted = serving(process)
        assert adapted == active_folder(models).name != fitted
        after = sum(map(wrong, following, scores(process, following)))
        assert after < 0.5 * before, (before, after)
        print(f"wrong of {len(following)} that follow: {before} before, {after} after {CORRECTIONS} corrections")
        assert run(models, "--service", service, "--base", base)[0] == 4

        kept = teach(process, right[:60], "bob")
        for name in ids:
            assert process.client.delete(f"/v1/feedback/{name}").status_code == 204
        status, said = run(models, "--service", service, "--base", base)
        assert status == 0, said
        second = load_artifact(active_folder(models))
        assert serving(process) == second.version
        assert sum(second.card["retrained"]["feedback"].values()) <= len(kept)
        decision = json.loads((tmp_path / "job" / "decision.json").read_text())
        assert sum(row[3] for row in decision["messages"] if row[0] == "feedback") == len(kept)
        assert decision["sieved"]["forgotten"] == CORRECTIONS
        files = [path for path in (tmp_path / "job").rglob("*") if path.is_file() and path.parent.name != "base"]
        assert not any(name in path.read_text() for name in ids for path in files)

        for name in kept:
            assert process.client.delete(f"/v1/feedback/{name}").status_code == 204
        assert run(models, "--service", service, "--base", base)[0] == 0
        assert serving(process) == fitted
        check_registry(models)
        assert process.log_lines("worker serving") == []
        assert process.process.poll() is None
        assert process.end() == 0
