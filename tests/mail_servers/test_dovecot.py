"""Dovecot of Debian with the files of deploy/dovecot: moving a mail over IMAP teaches the service."""

import imaplib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.mail_servers.programs import free_port, listens, need, run, wait_until
from tests.service.process import Process

ROOT = Path(__file__).parents[2]
MAIL = ROOT / "tests/mail"
MAILS = [MAIL / name for name in ("spam/parcel-customs-fee.eml", "ham/short-yes.eml", "defects/mixed-line-ends.eml")]
CONFIGURATION_NAME = "dovecot.conf"
INSTALLED = "/etc/dovecot/hamlet"  # where the guide puts the scripts
CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/%u
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
namespace inbox {{
  inbox = yes
  mailbox Junk {{
    auto = subscribe
    special_use = \\Junk
  }}
  mailbox Trash {{
    auto = subscribe
    special_use = \\Trash
  }}
}}
!include {folder}/90-hamlet.conf
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that takes feedback with a password alone."""
    with Process(tmp_path_factory.mktemp("service") / "stderr", HAMLET_ADMIN_KEYS="boss") as process:
        process.wait_until(process.ready)
        yield process


@pytest.fixture(scope="module")
def imap(service: Process, folder: Path) -> Iterator[imaplib.IMAP4]:
    """A session of ann with a Dovecot that was set up as the guide says."""
    need("dovecot", "sievec", "curl")
    for path in (ROOT / "deploy/dovecot").rglob("*"):
        if path.is_file():
            copy = folder / path.relative_to(ROOT / "deploy/dovecot")
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(path.read_text().replace(INSTALLED, str(folder)))
            copy.chmod(path.stat().st_mode)
    ask(folder, service.port)
    (folder / "password").write_text("Password: boss\n")
    (folder / "mail").mkdir()
    shutil.chown(folder / "mail", "nobody", "nogroup")
    port = free_port()
    configuration = folder / CONFIGURATION_NAME
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port))
    for script in ("learn-spam", "learn-ham"):
        compiled = run("sievec", "-c", str(configuration), str(folder / f"{script}.sieve"))
        assert compiled.returncode == 0, compiled.stdout
    dovecot = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(configuration)])
    try:
        wait_until(lambda: listens(port), "Dovecot", folder / "dovecot.log")
        session = imaplib.IMAP4("127.0.0.1", port)
        session.login("ann", "secret")
        yield session
        session.logout()
    finally:
        dovecot.terminate()
        dovecot.wait()


def ask(folder: Path, port: int) -> None:
    """Write down for the scripts where the service is."""
    (folder / "hamlet-learn.conf").write_text(f"URL=http://127.0.0.1:{port}\nHEADERS={folder}/password\n")


def learned(service: Process) -> list[tuple[str, str]]:
    """Return label and reporter of all entries, oldest first."""
    entries = service.client.get("/v1/feedback").json()["feedback"]
    return [(entry["label"], entry["reporter"]) for entry in entries][::-1]


def move(imap: imaplib.IMAP4, source: str, target: str) -> None:
    """Move every mail from one mailbox to another."""
    assert imap.select(source)[0] == "OK"
    status, said = imap.uid("MOVE", "1:*", target)
    assert status == "OK", said


def test_what_people_move_is_learned(service: Process, imap: imaplib.IMAP4) -> None:
    """Into Junk: spam. Back: ham. From Junk into Trash: nothing is said. Always under the name of who did it."""
    for path in MAILS:
        assert imap.append("INBOX", "", None, path.read_bytes())[0] == "OK"
    assert learned(service) == []
    move(imap, "INBOX", "Junk")
    assert learned(service) == [("spam", "ann")] * 3
    move(imap, "Junk", "INBOX")
    assert learned(service)[3:] == [("ham", "ann")] * 3
    move(imap, "INBOX", "Junk")
    move(imap, "Junk", "Trash")
    assert learned(service)[6:] == [("spam", "ann")] * 3
    exported = service.client.get("/v1/feedback/export", headers={"Authorization": "Bearer boss"}).text
    assert [orjson.loads(line)["label"] for line in exported.splitlines()] == ["spam"] * 3


def test_a_mail_that_is_put_into_junk_is_spam(service: Process, imap: imaplib.IMAP4) -> None:
    """Some programs move between accounts by writing the mail anew."""
    before = len(learned(service))
    assert imap.append("Junk", "", None, b"Subject: pills\r\n\r\nCheap pills\r\n")[0] == "OK"
    assert learned(service)[before:] == [("spam", "ann")]


def test_a_mail_can_be_moved_while_the_service_is_away(service: Process, imap: imaplib.IMAP4, folder: Path) -> None:
    """The move is done, the log says what was not learned; once the service is back, moving again teaches it."""
    before = len(learned(service))
    assert "rror" not in (folder / "dovecot.log").read_text()
    ask(folder, free_port())
    assert imap.append("INBOX", "", None, MAILS[0].read_bytes())[0] == "OK"
    move(imap, "INBOX", "Junk")
    assert "hamlet-learn" in (folder / "dovecot.log").read_text()
    ask(folder, service.port)
    move(imap, "Junk", "INBOX")
    assert learned(service)[before:] == [("ham", "ann")] * 2


@pytest.mark.parametrize(("mark", "mailbox"), [("Yes", "Junk"), ("No", "INBOX")])
def test_the_rule_for_delivery_files_spam(imap: imaplib.IMAP4, folder: Path, mark: str, mailbox: str) -> None:
    """Pigeonhole's own sieve-test says where a mail would go with the rule of the guide."""
    guide = (ROOT / "docs/mail-servers.md").read_text()
    (rule,) = re.findall(r"```\n(require \"fileinto\";.*?)```", guide, re.DOTALL)
    (folder / "rule.sieve").write_text(rule)
    (folder / "mail.eml").write_text(f"From: a@b.example\nX-Spam: {mark}\n\nText\n")
    options = ("-c", str(folder / CONFIGURATION_NAME), "-u", "ann")
    said = run("sieve-test", *options, str(folder / "rule.sieve"), str(folder / "mail.eml")).stdout
    assert re.search(rf"store message in folder: {mailbox}", said), said
