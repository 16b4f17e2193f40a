"""The README against the code it speaks of."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.readme_tables import ROOT, with_tables
from tests.service.process import Process
from training.sources import SourceReport, read_sources

README = (ROOT / "README.md").read_text(encoding="utf-8")
CURLS = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if block.startswith("curl")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("log") / "stderr") as process:
        process.wait_until(process.ready)
        yield process


def answer(command: str, service: Process) -> dict[str, Any]:
    """Run a command of the README against the service of the test."""
    command = command.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


def test_tables_and_file_tree_are_those_of_the_code() -> None:
    """A new setting, metric or module shows here; `python -m tests.readme_tables` writes the tables."""
    assert with_tables(README) == README, "run: python -m tests.readme_tables"


def test_the_first_command_gives_the_answer_that_is_shown(service: Process) -> None:
    """A newcomer sees what the README shows: same model, same verdict, same probability."""
    shown = json.loads(re.findall(r"```json\n(.*?)```", README, re.DOTALL)[0])
    found = answer(CURLS[0], service)
    assert shown["model"] == found["model"]
    shown_probability, probability = (each["result"].pop("spam_probability") for each in (shown, found))
    assert probability == pytest.approx(shown_probability, abs=1e-3)
    assert shown["result"] == found["result"]


def test_the_second_command_tells_ham_from_spam(service: Process) -> None:
    """Several messages at once, each judged for itself."""
    results = answer(CURLS[1], service)["results"]
    assert [result["id"] for result in results] == ["a", "b"]
    assert results[0]["verdict"] == "ham"


def test_the_commands_for_teaching_teach(service: Process, tmp_path: Path) -> None:
    """What the README says of feedback is learned, and the file that it exports is one that training reads."""
    teach, export = [command for command in CURLS if "/v1/feedback" in command]
    learned = answer(teach, service)
    assert (learned["label"], learned["outcome"]) == ("ham", "learned")
    assert answer(teach, service) == {"id": learned["id"], "label": "ham", "outcome": "already_learned"}
    command = export.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
    subprocess.run(["sh", "-c", command], cwd=tmp_path, timeout=30, check=True)
    (mail,) = read_sources([tmp_path / "feedback.jsonl"], report=SourceReport())
    assert (mail.id, mail.label, mail.source) == (learned["id"], "ham", "feedback:ann")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", README))))
def test_paths_that_are_named_exist(path: str) -> None:
    """What the README points to is there; runs are made by the reader."""
    assert path.startswith("runs/") or Path(ROOT / path).exists()


def test_the_commands_that_change_the_model_do(service: Process) -> None:
    """The version that is listed as active can be activated, as the README shows it."""
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "/activate" in block]
    activated = answer(block, service)
    assert activated["version"] == activated["previous"] == service.client.get("/v1/model").json()["version"]
