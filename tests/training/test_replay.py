"""What would have changed in a mailbox: told in numbers, and of its mail no more than asked for."""

import json
import mailbox
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.conftest import mail_files
from tests.training.test_report import _Reader
from training.cli import main


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """Return a Maildir with an inbox and a junk folder, and a spam that lies in the inbox."""
    folder = mailbox.Maildir(str(tmp_path / "Maildir"))
    junk = folder.add_folder("Junk")
    spam, ham = mail_files("spam"), mail_files("ham")
    for path in (*ham, spam[0]):
        folder.add(message_from_bytes(path.read_bytes()))
    for path in spam[1:]:
        junk.add(message_from_bytes(path.read_bytes()))
    return tmp_path / "Maildir"


def test_a_mailbox_is_replayed(maildir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders tell where mail lies; what would move is listed by name, and the numbers add up."""
    out = tmp_path / "replay"
    assert main(["replay", "--data", str(maildir), "--out", str(out)]) == 0
    inbox, junk = capsys.readouterr().out.splitlines()
    assert inbox.startswith(f"Of {len(mail_files('ham')) + 1} messages in inbox and other folders, ")
    assert junk.startswith(f"Of {len(mail_files('spam')) - 1} messages in junk, ")
    found = json.loads((out / "replay.json").read_text())
    moved = [one for one in found["messages"] if one["lies"] == "ham" and one["verdict"] == "spam"]
    assert f", {len(moved)} (" in inbox
    page = (out / "replay.html").read_text()
    reader = _Reader(page)
    assert reader.open == []
    assert all(f"<td>{one['id']}</td>" in page for one in moved)
    assert all(one["subject"] is None for one in found["messages"])
    assert "--show-content" in page


def test_subjects_are_shown_when_asked_for(maildir: Path, tmp_path: Path) -> None:
    """By the owner, of their own mail."""
    out = tmp_path / "replay"
    assert main(["replay", "--data", str(maildir), "--out", str(out), "--show-content"]) == 0
    found = json.loads((out / "replay.json").read_text())
    moved = [one for one in found["messages"] if one["lies"] == "ham" and one["verdict"] == "spam"]
    assert any(one["subject"] for one in moved)
    assert "private mail" not in (out / "replay.html").read_text()


def test_what_cannot_be_read_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mailbox of one kind without folders is taken for what --label says."""
    folder = tmp_path / "old"
    folder.mkdir()
    for path in mail_files("ham"):
        (folder / path.name).write_bytes(path.read_bytes())
    assert main(["replay", "--data", str(folder), "--out", str(tmp_path / "out"), "--label", "spam"]) == 0
    assert "in junk" in capsys.readouterr().out
    assert main(["replay", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
