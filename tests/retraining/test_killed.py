"""The job killed as a machine kills it, at every step: SIGKILL, no warning, nothing tidied up."""

import random
import shutil
import time
from pathlib import Path

import pytest

from classifier.artifact import activate, active_folder
from tests.retraining.mailbox import entries, write
from tests.retraining.process import check_registry, run, start, steps


def test_killed_at_every_step_it_leaves_a_whole_registry(models: Path, tmp_path: Path) -> None:
    """The champion serves after each kill, nothing half written passes for a version, no mail lies about once the next
    run is through, and that one comes to what a run in peace comes to."""
    feedback = write(entries(240), tmp_path / "feedback.jsonl")
    base = write([row | {"source": "old"} for row in entries(300, first=2_000)], tmp_path / "old.jsonl")
    arguments = ["--feedback", str(feedback), "--base", str(base)]
    champion = active_folder(models).name
    peaceful = Path(shutil.copytree(models, tmp_path / "peaceful" / "models"))
    status, said = run(peaceful, *arguments)
    assert status == 0, said
    places = steps(said)
    assert len(places) >= 9
    chance = random.Random(1)
    for step in places:
        activate(models, champion)  # where the one before was killed with its work done
        process = start(models, *arguments)
        assert process.stderr is not None
        heard = []
        for line in process.stderr:
            heard.append(line)
            if line.rstrip() == step:
                break
        else:
            pytest.fail(f"it never came to {step!r}: {''.join(heard)}")
        time.sleep(chance.choice([0, 0.002, 0.02]))
        process.kill()
        process.communicate()
        check_registry(models)
        assert active_folder(models).name in (champion, active_folder(peaceful).name)
        assert active_folder(models).name == champion or step in places[-2:]
    activate(models, champion)
    status, said = run(models, *arguments)
    assert status == 0, said
    check_registry(models)
    new, expected = active_folder(models), active_folder(peaceful)
    assert new.name == expected.name != champion
    assert (new / "model.safetensors").read_bytes() == (expected / "model.safetensors").read_bytes()
    assert not (tmp_path / "job" / "work").exists()
    assert run(models, *arguments)[0] == 4
