"""`python -m service score`, as people and mail rules call it."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifier.errors import ArtifactMissingError
from service.score import command
from tests.conftest import MAIL, mail_files
from tests.score.asking import LUNCH, SPAM, score
from tests.service.process import ROOT, Process

FROM = b"From ann@example.org Mon Jan  5 10:00:00 2026\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    settings = {"HAMLET_LOG_LEVEL": "warning", "HAMLET_MAX_MESSAGE_BYTES": "100000", "HAMLET_API_KEYS": "secret"}
    with Process(tmp_path_factory.mktemp("log") / "stderr", **settings) as process:
        process.client.headers["Authorization"] = "Bearer secret"
        process.wait_until(process.ready)
        yield process


@pytest.fixture(scope="module")
def there(service: Process, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that ask the service."""
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text("secret\n")
    return [f"--url=http://127.0.0.1:{service.port}", f"--key-file={key}"]


def test_the_model_here_and_a_service_say_the_same(there: list[str], tmp_path: Path) -> None:
    """A folder as a table and as JSON: the same verdicts, from the model on this machine and over HTTP."""
    folder = tmp_path / "mail"
    folder.mkdir()
    paths = mail_files("spam", "ham", "defects")[::6]
    for path in paths:
        (folder / path.name).write_bytes(path.read_bytes())
    here = score("--json", str(folder))
    elsewhere = score("--json", *there, str(folder))
    assert (here.returncode, elsewhere.returncode) == (0, 0)
    ours, theirs = ([json.loads(line) for line in run.stdout.splitlines()] for run in (here, elsewhere))
    assert len(ours) == len(paths)
    for one, other in zip(ours, theirs, strict=True):
        assert one.pop("spam_probability") == pytest.approx(other.pop("spam_probability"), abs=1e-4)
        assert one == other
    table = score(*there, str(folder))
    rows = table.stdout.decode().splitlines()[1:]
    assert [row.split()[0] for row in rows] == [one["verdict"] for one in theirs]
    assert [row.split()[2] for row in rows] == [one["mail"] for one in theirs]
    assert table.stderr.decode().startswith(f"{len(paths)} mails: ")


def test_mbox_maildir_and_folders_are_read(there: list[str], tmp_path: Path) -> None:
    """Each kind is recognised; hidden files, and the tmp of a Maildir, are not read."""
    (tmp_path / "box").write_bytes(FROM + SPAM + b"\n" + FROM + LUNCH)
    for name in ("cur", "new", "tmp", ".Junk/cur", ".Junk/new", ".Junk/tmp"):
        folder = tmp_path / "Maildir" / name
        folder.mkdir(parents=True)
        (folder / "1:2,S").write_bytes(LUNCH)
    (tmp_path / "Maildir/dovecot.index").write_bytes(b"\0")
    (tmp_path / "Maildir/.Junk/cur/1:2,S").write_bytes(SPAM)
    (tmp_path / ".hidden").write_bytes(LUNCH)
    lines = score("--json", *there, str(tmp_path)).stdout.splitlines()
    found = [(Path(one["mail"]).relative_to(tmp_path).as_posix(), one["verdict"]) for one in map(json.loads, lines)]
    assert found == [
        ("Maildir/cur/1:2,S", "ham"),
        ("Maildir/new/1:2,S", "ham"),
        ("Maildir/.Junk/cur/1:2,S", "spam"),
        ("Maildir/.Junk/new/1:2,S", "ham"),
        ("box:1", "spam"),
        (f"box:{SPAM.count(10) + 3}", "ham"),
    ]


def test_exit_codes_are_verdicts_where_they_are_asked_for(there: list[str], service: Process) -> None:
    """0 is spam, 1 ham, 2 unsure, and nothing else says so; without it 0 says that the work is done."""
    unsure = MAIL / "defects/zero-width.eml"
    assert service.score(unsure.read_bytes())["verdict"] == "unsure"
    for mail, code in ((SPAM, 0), (LUNCH, 1), (unsure.read_bytes(), 2), (b"", 65), (b"x" * 200_000, 65)):
        run = score("--exit-code", *there, "-", stdin=mail)
        assert (run.returncode, run.stdout) == (code, b""), run.stderr
        assert bool(run.stderr) == (code > 2)
    assert score(*there, "-", stdin=LUNCH).returncode == 0


def test_the_header_is_added_and_the_rest_left_alone(there: list[str], tmp_path: Path) -> None:
    """From standard input, behind a From line, and in an mbox, where quoted lines stay quoted."""
    for first, end in ((b"", b"\n"), (b"", b"\r\n"), (FROM, b"\n")):
        mail = first + (b"X-Spam: No\n" + SPAM).replace(b"\n", end)
        run = score("--header", *there, "-", stdin=mail)
        assert run.returncode == 0
        assert run.stdout.startswith(first + b"X-Spam: Yes" + end + b"X-Hamlet: spam; probability=0.9")
        assert run.stdout.count(b"X-Spam") == 1
        assert run.stdout.endswith(SPAM.replace(b"\n", end))
    box = tmp_path / "box"
    box.write_bytes(FROM + SPAM + b"\n" + FROM + LUNCH + b">From me\r\r\n\n")
    marked = score("--header", *there, str(box)).stdout
    assert marked.count(b"X-Spam: ") == 2
    kept = [line for line in marked.splitlines(keepends=True) if not line.startswith((b"X-Spam", b"X-Hamlet"))]
    assert b"".join(kept) == box.read_bytes()


def test_a_mail_that_has_no_verdict_passes_and_says_why(there: list[str]) -> None:
    """Too large for the service: delivered without X-Spam, not deferred for ever; a forged one is removed."""
    large = b"X-Spam: No\nSubject: large\n\n" + b"x" * 200_000
    run = score("--header", *there, "-", stdin=large)
    assert run.returncode == 0
    assert run.stdout == b"X-Hamlet: none; reason=message_too_large\n" + large.removeprefix(b"X-Spam: No\n")


def test_when_the_fault_is_here_the_mail_is_written_as_it_came(there: list[str], tmp_path: Path) -> None:
    """No service, a wrong key, no model, no time: the mail is whole, and the code asks to try again."""
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    forged = b"X-Spam: No\r\n" + LUNCH
    for options in (
        ["--url=http://127.0.0.1:9", "--timeout=0.3"],
        [there[0], f"--key-file={wrong}"],
        [there[0], f"--key-file={tmp_path}/missing"],
        ["--url=127.0.0.1:8000"],
        [f"--models={tmp_path}"],
    ):
        run = score("--header", *options, "-", stdin=forged)
        assert (run.returncode, run.stdout) == (75, forged), options
        assert run.stderr.startswith(b"hamlet: ")
        assert b"Traceback" not in run.stderr
    for form in ("--exit-code", "--json"):
        assert score(form, "--url=http://127.0.0.1:9", "--timeout=0.3", "-", stdin=LUNCH).returncode == 75


def test_even_a_bug_does_not_lose_the_mail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Whatever is raised, the mail comes out and the code says that it was not done."""
    mail = tmp_path / "mail.eml"
    mail.write_bytes(LUNCH)
    for error in (RuntimeError("a bug"), MemoryError(), ArtifactMissingError("gone")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(command, "open_judge", fail)
        assert command.main(["--header", str(mail)]) == 75
        assert capfdbinary.readouterr().out == LUNCH
        assert command.main(["--exit-code", str(mail)]) == 75


def test_wrong_options_are_no_verdict(tmp_path: Path) -> None:
    """64 and 66, so that a typing error in a rule is not taken for spam, ham or unsure."""
    for options, code in (
        ([], 64),
        (["--no-such-option", "-"], 64),
        (["--header", "--json", "-"], 64),
        (["--exit-code", "a", "b"], 64),
        (["--header", str(tmp_path)], 64),
        (["--key-file=x", "-"], 64),
        (["--timeout=-1", "-"], 64),
        ([str(tmp_path / "missing")], 66),
        (["--header", str(tmp_path / "missing")], 66),
    ):
        run = score(*options)
        assert (run.returncode, run.stdout) == (code, b""), options
        assert run.stderr


def test_what_cannot_be_read_does_not_stop_the_others(there: list[str], tmp_path: Path) -> None:
    """Its row says why, its name cannot command the terminal, and the exit code tells."""
    (tmp_path / "a.eml").write_bytes(LUNCH)
    (tmp_path / "b\x1b[31m.eml").write_bytes(b"")
    (tmp_path / "c.eml").write_bytes(SPAM)
    run = score(*there, str(tmp_path))
    assert run.returncode == 65
    rows = run.stdout.decode().splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["ham", "-", "spam"]
    assert "\x1b" not in run.stdout.decode()
    assert "the message is empty" in rows[1]


def test_a_reader_that_has_enough_is_no_accident(there: list[str]) -> None:
    """`| head -1` ends it without a traceback."""
    program = [sys.executable, "-m", "service", "score", "--json", *there, *[str(MAIL)] * 5]
    run = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.readline()
    run.stdout.close()
    assert run.stderr.read() == b""
    run.stderr.close()
    assert run.wait(60) == 74


def test_a_full_disk_is_told(there: list[str]) -> None:
    """What could not be written was not delivered."""
    program = [sys.executable, "-m", "service", "score", "--header", *there, "-"]
    with open("/dev/full", "wb") as full:
        run = subprocess.run(program, cwd=ROOT, input=LUNCH, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert run.returncode in (74, 75)
    assert b"could not be written" in run.stderr


def test_on_a_terminal_there_is_a_bar(there: list[str]) -> None:
    """And only there; it is taken away at the end."""
    ours, theirs = pty.openpty()
    program = [sys.executable, "-m", "service", "score", "--json", *there, *[str(MAIL)] * 6]
    run = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 65536):
            drawn += chunk
    except OSError:
        pass  # what Linux says when the other end is closed
    os.close(ours)
    assert run.wait(60) == 0
    assert b"mails, " in drawn
    assert b"s left" in drawn
    assert drawn.endswith(b"\r\x1b[K")
