"""`python -m service export`: the journal without a service, as the service itself exports it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.service.process import ROOT, Process


def export(url: str) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "HAMLET_DATABASE_URL": url}
    command = [sys.executable, "-m", "service", "export"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120, check=False)


def test_the_journal_can_be_had_while_no_service_runs(database_url: str, tmp_path: Path) -> None:
    """Byte for byte what the route answered, with what was forgotten."""
    with Process(tmp_path / "log", HAMLET_DATABASE_URL=database_url) as process:
        process.wait_until(process.ready)
        ids = []
        for number in range(3):
            said = {"raw": f"Subject: {number}\r\n\r\nsome words", "label": "spam", "reporter": "ann"}
            ids.append(process.client.post("/v1/feedback", json=said).json()["id"])
        assert process.client.delete(f"/v1/feedback/{ids[1]}").status_code == 204
        expected = process.client.get("/v1/feedback/export", params={"forgotten": "true"}).content
        assert process.end() == 0
    done = export(database_url)
    assert (done.returncode, done.stdout) == (0, expected)


def test_a_database_that_is_away_is_an_error_with_a_sentence() -> None:
    """On standard error; nothing that could pass for an export."""
    done = export("postgresql://nobody@127.0.0.1:1/nothing")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"hamlet: The feedback database" in done.stderr
