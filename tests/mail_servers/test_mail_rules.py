"""procmail, maildrop and Sieve of Debian with the command in their rules, as docs/command-line.md has them."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mail_servers.programs import need
from tests.score.asking import LUNCH, SPAM
from tests.service.process import ROOT, Process

GUIDE = (ROOT / "docs/command-line.md").read_text()
COMMAND = "/opt/hamlet/.venv/bin/python -P -m service score"
NOWHERE = "http://127.0.0.1:9"
FORGED = b"X-Spam: No\n" + SPAM


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("log") / "stderr", HAMLET_LOG_LEVEL="warning") as process:
        process.wait_until(process.ready)
        yield process


@pytest.fixture(scope="module")
def url(service: Process) -> str:
    return f"http://127.0.0.1:{service.port}"


def rule(heading: str, *, url: str | None, home: Path) -> str:
    """Return a rule of the guide, with the paths of the test; without a URL the model on this machine scores."""
    text: str = re.findall(rf"### {heading}\n.*?```\w*\n(.*?)```", GUIDE, re.DOTALL)[0]
    assert COMMAND in text
    options = f"--url {url} --timeout 1" if url else ""
    text = text.replace("--url http://127.0.0.1:8000", options)
    return text.replace("/opt/hamlet", str(ROOT)).replace("$HOME", str(home))


def delivered(home: Path) -> dict[str, bytes]:
    """Return what lies in the mailboxes of a home, each an mbox, without its From line."""
    boxes = {name: home / name for name in ("inbox", "junk")}
    return {
        name: box.read_bytes().partition(b"\n")[2] for name, box in boxes.items() if box.exists() and box.stat().st_size
    }


def procmail(home: Path, mail: bytes, heading: str, url: str | None) -> int:
    need("procmail")
    recipe = home / "procmailrc"
    settings = f"SHELL=/bin/sh\nMAILDIR={home}\nDEFAULT={home}/inbox\nLOGFILE={home}/log\n"
    recipe.write_text(settings + rule(heading, url=url, home=home))
    recipe.chmod(0o600)
    return subprocess.run(
        ["procmail", "-f", "ann@example.org", "-m", str(recipe)], input=mail, cwd=home, timeout=60
    ).returncode


def maildrop(home: Path, mail: bytes, heading: str, url: str | None) -> int:
    need("maildrop")
    filters = home / "mailfilter"
    filters.write_text(f'DEFAULT="{home}/inbox"\n' + rule(heading, url=url, home=home))
    filters.chmod(0o600)
    (home / "inbox").touch(0o600)
    return subprocess.run(["maildrop", str(filters)], input=mail, cwd=home, timeout=60, stderr=-3).returncode


Deliver = Callable[[Path, bytes, str, str | None], int]


def name_of(deliver: Deliver) -> str:
    return "procmail" if deliver is procmail else "maildrop"


@pytest.mark.parametrize("deliver", [procmail, maildrop])
@pytest.mark.parametrize("mail", [FORGED, LUNCH], ids=["spam", "ham"])
def test_a_filter_files_spam_by_its_header(tmp_path: Path, url: str, deliver: Deliver, mail: bytes) -> None:
    """Spam with a forged header goes to junk, ham to the inbox, both with what Hamlet says and nothing else changed."""
    name = f"{name_of(deliver)}: a header"
    assert deliver(tmp_path, mail, name, url) == 0
    ((box, content),) = delivered(tmp_path).items()
    assert box == ("junk" if mail is FORGED else "inbox")
    said, _, rest = content.partition(b"\nX-Hamlet: ")
    assert said == (b"X-Spam: Yes" if mail is FORGED else b"X-Spam: No")
    assert rest.partition(b"\n")[2].strip() == mail.removeprefix(b"X-Spam: No\n").strip()


@pytest.mark.parametrize("deliver", [procmail, maildrop])
def test_with_no_service_the_filter_loses_nothing(tmp_path: Path, deliver: Deliver) -> None:
    """Nobody answers: the mail is in the inbox as it came, whatever it says of itself."""
    forged = b"X-Spam: Yes\n" + LUNCH
    assert deliver(tmp_path, forged, f"{name_of(deliver)}: a header", NOWHERE) == 0
    ((box, content),) = delivered(tmp_path).items()
    assert (box, content.strip()) == ("inbox", forged.strip())


def test_without_an_exception_maildrop_defers(tmp_path: Path) -> None:
    """The code tells the mail server to try again later, and nothing is delivered."""
    need("maildrop")
    filters = tmp_path / "mailfilter"
    text = rule("maildrop: a header", url=NOWHERE, home=tmp_path)
    (command,) = re.findall(r"xfilter .*", text)
    filters.write_text(f'DEFAULT="{tmp_path}/inbox"\n{command}\n')
    filters.chmod(0o600)
    (tmp_path / "inbox").touch(0o600)
    assert subprocess.run(["maildrop", str(filters)], input=LUNCH, cwd=tmp_path, timeout=60, stderr=-3).returncode == 75
    assert delivered(tmp_path) == {}


@pytest.mark.parametrize("deliver", [procmail, maildrop])
def test_a_rule_can_ask_by_the_exit_code(tmp_path: Path, url: str, deliver: Deliver) -> None:
    """0 is spam: filed, unchanged. Ham, and a service that does not answer: the inbox."""
    name = f"{name_of(deliver)}: an exit code"
    for number, (mail, where, box) in enumerate([(SPAM, url, "junk"), (LUNCH, url, "inbox"), (SPAM, NOWHERE, "inbox")]):
        home = tmp_path / str(number)
        home.mkdir()
        assert deliver(home, mail, name, where) == 0
        assert {name: content.strip() for name, content in delivered(home).items()} == {box: mail.strip()}


def test_the_model_on_this_machine_does_it_too(tmp_path: Path) -> None:
    """Without --url, and with no service at all."""
    assert procmail(tmp_path, SPAM, "procmail: a header", None) == 0
    assert delivered(tmp_path)["junk"].startswith(b"X-Spam: Yes\nX-Hamlet: spam; probability=0.9")


@pytest.mark.parametrize("kind", ["filter", "execute"])
def test_sieve(tmp_path: Path, url: str, kind: str) -> None:
    """filter changes the mail, execute asks by the exit code; where nobody answers the mail stays in the inbox."""
    need("sieve-test", "unshare")
    for name in ("sieve-filter", "sieve-execute", "mail"):
        (tmp_path / name).mkdir()
    # Dovecot refuses to run as root: where the tests do, it believes to be somebody else, who has root's files.
    user = os.geteuid() or 1000
    someone = ["unshare", "--user", f"--map-user={user}", f"--map-group={user}"] if os.geteuid() == 0 else []
    (tmp_path / "dovecot.conf").write_text(
        f"mail_location = maildir:{tmp_path}/mail\nmail_uid = {user}\nfirst_valid_uid = 1\n"
        f"base_dir = {tmp_path}\nstate_dir = {tmp_path}\n"
        "plugin {\nsieve_plugins = sieve_extprograms\n"
        "sieve_global_extensions = +vnd.dovecot.filter +vnd.dovecot.execute\n"
        f"sieve_filter_bin_dir = {tmp_path}/sieve-filter\nsieve_execute_bin_dir = {tmp_path}/sieve-execute\n}}\n"
    )
    (text,) = re.findall(rf"### Sieve: {kind}\n.*?```sieve\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "script.sieve").write_text(text)
    for mail, where, box in ((FORGED, url, "Junk"), (LUNCH, url, "INBOX"), (SPAM, NOWHERE, "INBOX")):
        program = tmp_path / f"sieve-{kind}" / f"hamlet-{kind}"
        program.write_text(rule(f"Sieve: {kind}", url=where, home=tmp_path))
        program.chmod(0o755)
        (tmp_path / "mail.eml").write_bytes(mail)
        run = subprocess.run(
            [*someone, "sieve-test", "-c", "dovecot.conf", "script.sieve", "mail.eml"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert f"store message in folder: {box}" in run.stdout, run.stdout + run.stderr
