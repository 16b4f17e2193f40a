"""rspamc of Debian against the service: what a person with a shell does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mail_servers.programs import need, run
from tests.mail_servers.rspamd_proxy import RspamdProxy
from tests.service.process import Process

MAIL = Path(__file__).parents[1] / "mail"
SPAM, HAM = MAIL / "spam/parcel-customs-fee.eml", MAIL / "ham/short-yes.eml"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that lets everybody score."""
    need("rspamc")
    with Process(tmp_path_factory.mktemp("open") / "stderr") as process:
        process.wait_until(process.ready)
        yield process


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that asks for passwords."""
    need("rspamc")
    keys = {"HAMLET_API_KEYS": "scoring", "HAMLET_ADMIN_KEYS": "boss"}
    with Process(tmp_path_factory.mktemp("locked") / "stderr", **keys) as process:
        process.wait_until(lambda: process.fresh_get("/health/ready").status_code == 200)
        yield process


def rspamc(service: Process, *arguments: str) -> str:
    """Return what rspamc prints."""
    return run("rspamc", "-h", f"127.0.0.1:{service.port}", *arguments).stdout


def as_json(service: Process, *arguments: str) -> dict[str, Any]:
    """Return what rspamc prints with --json."""
    reply: dict[str, Any] = json.loads(rspamc(service, "--json", *arguments))
    return reply


@pytest.mark.parametrize("options", [(), ("-z",)])
def test_symbols(service: Process, options: tuple[str, ...]) -> None:
    """Plain and compressed, with the whole envelope; the score is that of /v1/predict on rspamd's scale."""
    envelope = ("-i", "192.0.2.1", "-F", "a@b.example", "-r", "x@c.example", "-r", "y@c.example", "--helo", "mx")
    text = rspamc(service, *options, *envelope, "symbols", str(SPAM))
    assert "Action: add header\nSpam: true\n" in text
    assert re.search(r"Score: 1[5-9]\.\d+ / 15\.00\nSymbol: HAMLET_SPAM \(1[5-9]\.\d+\)\[0\.9\d+\]\n", text)
    reply = as_json(service, *options, *envelope, "symbols", str(HAM))
    assert (reply["action"], list(reply["symbols"])) == ("no action", ["HAMLET_HAM"])
    probability = service.score(HAM.read_bytes())["spam_probability"]
    assert float(reply["symbols"]["HAMLET_HAM"]["options"][0]) == pytest.approx(probability, abs=1e-4)


def test_learning_and_statistics(service: Process) -> None:
    """learn_spam and learn_ham teach the journal, -z or not; stat and uptime count."""
    before = as_json(service, "stat")
    assert "success = true" in rspamc(service, "-u", "ann", "learn_spam", str(SPAM))
    assert "has been learned as spam already" in rspamc(service, "-z", "learn_spam", str(SPAM))
    assert "success = true" in rspamc(service, "-z", "learn_ham", str(HAM))
    entries = service.client.get("/v1/feedback").json()["feedback"]
    assert [(entry["label"], entry["reporter"]) for entry in entries] == [("ham", "rspamc"), ("spam", "ann")]
    exported = service.client.get("/v1/feedback/export").text
    assert len(exported.splitlines()) == 2
    rspamc(service, "symbols", str(SPAM))
    after = as_json(service, "stat")
    assert after["learned"] - before["learned"] == 2
    assert after["actions"]["add header"] - before["actions"]["add header"] == 1
    assert "Messages scanned:" in rspamc(service, "stat")
    assert re.search(r"Uptime: \d+ second", rspamc(service, "uptime"))
    assert "HAMLET_SPAM" in rspamc(service, "counters")


def test_with_and_without_password(locked: Process) -> None:
    """A key for scoring does not teach; the right password opens each; the reason is shown to the person."""
    refused = "HTTP error: 401, A valid key is needed: send it as the header Password"
    for command in (("symbols", str(HAM)), ("stat",), ("uptime",)):
        assert refused in rspamc(locked, *command)
        assert refused in rspamc(locked, "-P", "wrong", *command)
        assert "HTTP error" not in rspamc(locked, "-P", "scoring", *command)
    for password in ((), ("-P", "wrong"), ("-P", "scoring")):
        assert "HTTP error: 401, A key of HAMLET_ADMIN_KEYS is needed" in rspamc(
            locked, *password, "learn_ham", str(HAM)
        )
    assert "success = true" in rspamc(locked, "-P", "boss", "learn_ham", str(HAM))


def test_refusals_are_sentences(service: Process, tmp_path: Path) -> None:
    """rspamc shows nothing of an error but the reason phrase, so that is where the sentence is."""
    empty = tmp_path / "empty.eml"
    empty.write_bytes(b"")
    assert "HTTP error: 400, The body is empty" in rspamc(service, "learn_spam", str(empty))
    assert "HTTP error: 404, There is no fuzzy storage" in rspamc(service, "-f", "1", "-w", "1", "fuzzy_add", str(SPAM))


def test_shared_memory_is_refused_to_a_stock_client(service: Process, tmp_path: Path) -> None:
    """rspamd_proxy hands a message to a backend on its own machine as a file, unless it is a milter."""
    need("rspamd")
    with RspamdProxy(tmp_path, f"127.0.0.1:{service.port}", milter=False) as proxy:
        said = run("rspamc", "-h", f"127.0.0.1:{proxy.port}", "symbols", str(HAM)).stdout
    assert "HTTP error: 422, Send the message in the body" in said
