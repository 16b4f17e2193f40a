"""Postfix of Debian in a folder of its own: a port for each milter, and one that queues first and then relays."""

import os
import pwd
from pathlib import Path
from types import TracebackType

from tests.mail_servers.programs import free_port, listens, run, wait_until

DOMAIN = "inbox.example"
MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file_prefixes = {folder}
maillog_file = {folder}/mail.log
myhostname = mx.{domain}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
# No other host is ever asked: neither for names nor for mail.
smtp_dns_support_level = disabled
disable_dns_lookups = yes
default_transport = error:no mail leaves this machine
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
# What docs/mail-servers.md shows:
milter_default_action = tempfail
"""
CHECKED = """
127.0.0.1:{port} inet n - n - - smtpd
    -o smtpd_milters=inet:127.0.0.1:{milter}
"""
QUEUED = """
# A mail server somewhere else, whose queue keeps what the last one of those above does not take.
127.0.0.1:{port} inet n - n - - smtpd
    -o content_filter=smtp:[127.0.0.1]:{checked}
"""
MASTER = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A Postfix whose mail for DOMAIN ends in the folder `inbox`. Needs root, as Postfix does.

    Args:
        folder: empty, and one that other users may enter.
        milters: ports; `checked_ports` has a port for each, `queued_port` hands on to the last one.
    """

    def __init__(self, folder: Path, *milters: int) -> None:
        self.checked_ports, self.queued_port = [free_port() for _ in milters], free_port()
        self.log = folder / "mail.log"
        self._folder = folder
        nobody, postfix = pwd.getpwnam("nobody"), pwd.getpwnam("postfix")
        for name, owner in (("queue", 0), ("data", postfix.pw_uid), ("mail", nobody.pw_uid)):
            (folder / name).mkdir()
            os.chown(folder / name, owner, -1)
        values = {
            "folder": folder,
            "domain": DOMAIN,
            "uid": nobody.pw_uid,
            "gid": nobody.pw_gid,
        }
        self._config = folder / "etc"
        self._config.mkdir()
        (self._config / "main.cf").write_text(MAIN.format(**values))
        ports = [
            CHECKED.format(port=port, milter=milter) for port, milter in zip(self.checked_ports, milters, strict=True)
        ]
        ports.append(QUEUED.format(port=self.queued_port, checked=self.checked_ports[-1]))
        (self._config / "master.cf").write_text("".join(ports) + MASTER)

    def inbox(self) -> list[bytes]:
        """Return what was delivered, in any order."""
        return [path.read_bytes() for path in (self._folder / "mail/inbox/new").glob("*")]

    def empty(self) -> None:
        """Remove what was delivered."""
        for path in (self._folder / "mail/inbox/new").glob("*"):
            path.unlink()

    def queue(self) -> str:
        """Return the list of what is queued and why."""
        return run("/usr/sbin/postqueue", "-c", str(self._config), "-p").stdout

    def flush(self) -> None:
        """Try again now what is queued."""
        run("/usr/sbin/postqueue", "-c", str(self._config), "-f")

    def __enter__(self) -> "Postfix":
        self._say("start")
        wait_until(lambda: all(map(listens, [*self.checked_ports, self.queued_port])), "Postfix", self.log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._say("stop")

    def _say(self, what: str) -> None:
        done = run("/usr/sbin/postfix", "-c", str(self._config), what)
        log = self.log.read_text() if self.log.exists() else ""
        assert done.returncode == 0, f"postfix {what}: {done.stdout}{log}"
