"""swaks to Postfix to rspamd_proxy to the service, all of Debian but the last: what happens to people's mail."""

import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mail_servers.postfix import DOMAIN, Postfix
from tests.mail_servers.programs import free_port, need, run, wait_until
from tests.mail_servers.rspamd_proxy import RspamdProxy
from tests.service.process import Process

MAIL = Path(__file__).parents[1] / "mail"
SPAM, HAM = (MAIL / "spam/parcel-customs-fee.eml").read_bytes(), (MAIL / "ham/short-yes.eml").read_bytes()
FORGED = b"X-Spam: Yes\nx-spam: No\nX-Hamlet: ham\nX-Hamlet: ham\n"
MESSAGE_BYTES, BUFFERED_BYTES = 15_000, 25_000


class Servers:
    """Two services behind one Postfix: `open` marks spam, `strict` rejects it, holds little and can be restarted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._strict_port = free_port()
        self.open = Process(self._place("open") / "stderr", HAMLET_HOST="0.0.0.0")
        self.strict = self.start_strict()
        host = machine_address()
        self.proxies = [
            RspamdProxy(self._place("proxy-local"), f"127.0.0.1:{self.open.port}"),
            RspamdProxy(self._place("proxy-address"), f"{host}:{self.open.port}"),
            RspamdProxy(self._place("proxy-strict"), f"127.0.0.1:{self._strict_port}"),
        ]
        self.postfix = Postfix(self._place("postfix"), *(proxy.port for proxy in self.proxies))
        self.local, self.by_address, self.rejecting = self.postfix.checked_ports

    def start_strict(self) -> Process:
        """Start the strict service on its port, the first time or again."""
        place = self._folder / "strict"
        place.mkdir(exist_ok=True)
        return Process(
            place / "stderr",
            HAMLET_PORT=str(self._strict_port),
            HAMLET_RSPAMD_REJECT="true",
            HAMLET_MAX_MESSAGE_BYTES=str(MESSAGE_BYTES),
            HAMLET_MAX_REQUEST_BYTES=str(BUFFERED_BYTES),
            HAMLET_MAX_BUFFERED_BYTES=str(BUFFERED_BYTES),
        )

    def _place(self, name: str) -> Path:
        place = self._folder / name
        place.mkdir()
        place.chmod(0o755)
        return place


def machine_address() -> str:
    """Return an address of this machine that is not loopback; no packet is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            # Only a machine without a network lacks one; .ci/run needs a network to install what it tests with.
            pytest.skip("this machine has no address but loopback, where rspamd_proxy speaks another dialect")
        address: str = probe.getsockname()[0]
        return address


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[Servers]:
    """Everything started; ended in the opposite order."""
    need("postfix", "rspamd", "swaks")
    servers = Servers(folder)
    try:
        for process in (servers.open, servers.strict):
            process.wait_until(process.ready)
        with servers.proxies[0], servers.proxies[1], servers.proxies[2], servers.postfix:
            yield servers
    finally:
        for process in (servers.open, servers.strict):
            process.__exit__()


@pytest.fixture
def postfix(servers: Servers) -> Postfix:
    """The Postfix, with nothing delivered."""
    servers.postfix.empty()
    return servers.postfix


def send(port: int, raw: bytes) -> str:
    """Send a mail with swaks; return what the server said to it, in the end."""
    addresses = ("--from", "ann@sender.example", "--to", f"bob@{DOMAIN}")
    last_line_end = b"\n"  # which swaks adds by itself
    data = raw.removesuffix(last_line_end)
    said = run("swaks", "--server", f"127.0.0.1:{port}", *addresses, "--data", "-", stdin=data).stdout
    answers = re.findall(r"^<[-*~]\S* +(\d{3} .*)", said, re.MULTILINE)
    assert len(answers) > 3, said
    return str(answers[-2])  # the last one is of QUIT


def delivered(postfix: Postfix, count: int = 1) -> list[bytes]:
    """Wait for so many mails and return them."""
    wait_until(lambda: len(postfix.inbox()) >= count, f"{count} mails in the inbox", postfix.log)
    assert len(postfix.inbox()) == count
    return postfix.inbox()


def marks(raw: bytes) -> list[bytes]:
    """Return what the X-Spam headers of a mail say, then how the X-Hamlet headers begin."""
    header = raw.partition(b"\n\n")[0]
    return [
        mark
        for name in (rb"x-spam", rb"x-hamlet")
        for mark in re.findall(rb"^" + name + rb":[ \t]*([^;\n]*)", header, re.MULTILINE | re.IGNORECASE)
    ]


def without_return_path(raw: bytes) -> bytes:
    """Return a mail as Postfix leaves it, which writes the Return-Path anew."""
    return re.sub(rb"\AReturn-Path:.*\n", b"", raw)


@pytest.mark.parametrize(("way", "method"), [("local", "GET"), ("by_address", "POST")])
def test_ham_is_delivered_untouched(servers: Servers, postfix: Postfix, way: str, method: str) -> None:
    """Byte for byte what was sent, below what Postfix itself writes on top; rspamd_proxy has a dialect for loopback."""
    assert send(getattr(servers, way), HAM).startswith("250 ")
    (mail,) = delivered(postfix)
    assert mail.endswith(without_return_path(HAM))
    assert marks(mail) == []
    assert servers.open.log_lines("request")[-1]["method"] == method


@pytest.mark.parametrize("way", ["local", "by_address"])
def test_spam_is_delivered_with_a_header(servers: Servers, postfix: Postfix, way: str) -> None:
    """X-Spam: Yes, once; the text is what was sent."""
    assert send(getattr(servers, way), SPAM).startswith("250 ")
    (mail,) = delivered(postfix)
    assert marks(mail) == [b"Yes", b"spam"]
    assert mail.partition(b"\n\n")[2] == SPAM.partition(b"\n\n")[2]


def test_what_is_not_sure_is_delivered_with_a_header_of_ours_alone(servers: Servers, postfix: Postfix) -> None:
    """No X-Spam, since much of it is ham; X-Hamlet for rules of one's own."""
    paths = sorted(MAIL.rglob("*.eml"))
    probabilities = [
        result.get("spam_probability", 0) for result in servers.open.scores([path.read_bytes() for path in paths])
    ]
    _, unsure = min(zip(probabilities, paths, strict=True), key=lambda scored: abs(scored[0] - 0.5))
    assert send(servers.local, FORGED + unsure.read_bytes()).startswith("250 ")
    (mail,) = delivered(postfix)
    assert marks(mail) == [b"unsure"]


def test_a_forged_header_is_stripped(servers: Servers, postfix: Postfix) -> None:
    """However often it is there: ham has none in the end, spam has ours."""
    for raw, found in ((HAM, []), (SPAM, [b"Yes", b"spam"])):
        postfix.empty()
        assert send(servers.local, FORGED + raw).startswith("250 ")
        (mail,) = delivered(postfix)
        assert marks(mail) == found


def test_spam_is_rejected_where_that_is_switched_on(servers: Servers, postfix: Postfix) -> None:
    """554 to the sender and nothing in the inbox; ham goes through as before."""
    assert send(servers.rejecting, SPAM) == "554 5.7.1 Spam message rejected"
    assert send(servers.rejecting, HAM).startswith("250 ")
    (mail,) = delivered(postfix)
    assert marks(mail) == []


def test_a_mail_over_the_limit_is_delivered_unscored(servers: Servers, postfix: Postfix) -> None:
    """A mail larger than the service reads is not kept waiting for ever."""
    large = SPAM + b"And so on and on.\n" * 1000
    assert MESSAGE_BYTES < len(large) < BUFFERED_BYTES
    assert send(servers.rejecting, large).startswith("250 ")
    (mail,) = delivered(postfix)
    assert marks(mail) == []


def test_an_overloaded_service_defers_and_loses_nothing(servers: Servers, postfix: Postfix) -> None:
    """While uploads fill its memory a sender hears 451; what was in a queue arrives once, when there is room again."""
    with socket.create_connection(("127.0.0.1", servers.strict.port)) as upload:
        head = f"POST /checkv2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BUFFERED_BYTES}\r\n\r\n"
        upload.sendall(head.encode() + b"." * (BUFFERED_BYTES - 100))
        time.sleep(0.5)
        assert send(servers.rejecting, HAM).startswith("451 4.7.1 ")
        assert send(postfix.queued_port, HAM).startswith("250 ")
        wait_until(lambda: "451 4.7.1" in postfix.queue(), "a deferred mail", postfix.log)
        assert postfix.inbox() == []
        assert servers.strict.metric("hamlet_rejected_total", reason="bytes") >= 2
    arrives_once(postfix, 1)


def test_a_service_that_is_killed_loses_nothing(servers: Servers, postfix: Postfix) -> None:
    """Mails sent while it is up, killed and away arrive once each when it is back; a sender hears 451 meanwhile."""
    mails = [HAM.replace(b"Message-ID: <", b"Message-ID: <%d." % number) for number in range(8)]
    for mail in mails[:4]:
        assert send(postfix.queued_port, mail).startswith("250 ")
    servers.strict.process.send_signal(signal.SIGKILL)
    servers.strict.process.wait()
    for mail in mails[4:]:
        assert send(postfix.queued_port, mail).startswith("250 ")
    assert send(servers.rejecting, HAM).startswith("451 4.7.1 ")
    wait_until(lambda: postfix.queue().count("451 4.7.1") >= 4, "deferred mails", postfix.log)
    servers.strict.client.close()
    servers.strict = servers.start_strict()
    servers.strict.wait_until(servers.strict.ready)
    arrives_once(postfix, len(mails))
    ids = [re.findall(rb"(?i)^message-id: *(.*)$", mail, re.MULTILINE)[0] for mail in postfix.inbox()]
    assert len(set(ids)) == len(mails)


def test_a_milter_that_is_away_defers(servers: Servers, postfix: Postfix) -> None:
    """milter_default_action = tempfail: nothing goes past the filter unseen."""
    servers.proxies[1].__exit__(None, None, None)
    assert send(servers.by_address, HAM).startswith("451 4.7.1 ")
    assert postfix.inbox() == []


def arrives_once(postfix: Postfix, count: int) -> None:
    """Let the queue try again until it is empty; all of it is in the inbox then."""

    def empty() -> bool:
        postfix.flush()
        time.sleep(0.3)
        return "queue is empty" in postfix.queue()

    wait_until(empty, "an empty queue", postfix.log)
    assert len(postfix.inbox()) == count
