"""rspamd's paths: what they answer, to good input and to bad. The stock clients are in tests/mail_servers."""

import sys
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from classifier.verdict import Thresholds, Verdict
from service.errors import RSPAMD_PATHS
from service.routers.rspamd import router
from service.rspamd.request import ZSTD_WINDOW_LOG, message_id
from service.rspamd.scale import ADD_HEADER_SCORE, HIGHEST_SCORE, REJECT_SCORE, Choices, action_of, score_of
from tests.service.conftest import OpenApp

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SPAM = b"From: a@b.example\r\nMessage-ID: <1@b.example>\r\n\r\nspam\r\n"
HAM = b"From: a@b.example\r\nSubject: lunch\r\n\r\nat noon?\r\n"
KEYS = {"api_keys": "scoring", "admin_keys": "boss"}
PROBABILITIES = st.floats(0, 1)
LEARN_PATHS = ("/learnspam", "/learnham")


async def test_the_reply_has_what_the_clients_read(client: httpx.AsyncClient) -> None:
    """Names and types are those of rspamd's /checkv2; the forged header goes whatever the verdict."""
    reply = (await client.post("/checkv2", content=SPAM)).json()
    seconds = reply.pop("time_real")
    assert 0 < seconds < 10
    assert reply == {
        "is_skipped": False,
        "score": 17.5,  # the middle of the band from 0.8 to 1
        "required_score": 15.0,
        "action": "add header",
        "thresholds": {"reject": 15.0, "add header": 6.0},
        "symbols": {
            "HAMLET_SPAM": {
                "name": "HAMLET_SPAM",
                "score": 17.5,
                "metric_score": 17.5,
                "description": "The model calls this spam; the option is the probability of spam",
                "options": ["0.9000"],
            }
        },
        "messages": {},
        "urls": [],
        "emails": [],
        "message-id": "1@b.example",
        "milter": {
            "add_headers": {"X-Hamlet": "spam; probability=0.9000; model=2026.11.22-fake"},
            "remove_headers": {"X-Spam": 0, "X-Hamlet": 0},
        },
    }
    ham = (await client.request("GET", "/checkv2", content=HAM)).json()
    assert (ham["action"], ham["score"], ham["message-id"]) == ("no action", 3.0, "undef")
    assert ham["milter"] == {"add_headers": {}, "remove_headers": {"X-Spam": 0, "X-Hamlet": 0}}


@given(st.lists(PROBABILITIES, min_size=2, max_size=2).map(sorted), st.lists(PROBABILITIES, min_size=2).map(sorted))
def test_scores_grow_with_the_probability_and_keep_to_the_bands(thresholds: list[float], some: list[float]) -> None:
    """Whatever the thresholds of a model, they lie at 6 and 15, and a score never says more than its verdict."""
    bounds = Thresholds(*thresholds)
    scores = [score_of(probability, bounds) for probability in some]
    assert scores == sorted(scores)
    bands = {Verdict.HAM: (0, 5.99), Verdict.UNSURE: (ADD_HEADER_SCORE, 14.99), Verdict.SPAM: (REJECT_SCORE, 20)}
    for probability, score in zip(some, scores, strict=True):
        low, high = bands[bounds.verdict(probability)]
        assert low <= score <= high
    if bounds.ham_below < bounds.spam_from:
        assert score_of(bounds.ham_below, bounds) == ADD_HEADER_SCORE
    assert score_of(bounds.spam_from, bounds) == REJECT_SCORE
    assert score_of(1.0, Thresholds(0.1, 0.9)) == HIGHEST_SCORE


@pytest.mark.parametrize(
    ("reject", "mark_unsure", "actions"),
    [
        (False, False, ["no action", "no action", "add header"]),
        (False, True, ["no action", "add header", "add header"]),
        (True, False, ["no action", "no action", "reject"]),
        (True, True, ["no action", "add header", "reject"]),
    ],
)
def test_only_spam_is_rejected_and_only_when_told_to(reject: bool, mark_unsure: bool, actions: list[str]) -> None:
    """Nothing is rejected and nothing unsure is marked by default."""
    verdicts = (Verdict.HAM, Verdict.UNSURE, Verdict.SPAM)
    assert [action_of(verdict, Choices(reject, mark_unsure)) for verdict in verdicts] == actions


async def test_learning_is_written_down_with_who_said_it(client: httpx.AsyncClient) -> None:
    """The journal of /v1/feedback: learned, 208 when it was, relabelled; the reporter is the user or the mailbox."""
    learned = await client.post("/learnspam", content=HAM, headers={"User": "ann", "Deliver-To": "bob"})
    assert learned.json()["success"]
    again = await client.post("/learnspam", content=zstd.compress(HAM))
    assert (again.status_code, again.json()["error"]) == (208, "This message has been learned as spam already.")
    form = {b"Content-Type": b"application/x-www-form-urlencoded", b"Deliver-To": b"bob\xff@x"}
    assert (await client.post("/learnham", content=HAM, headers=form)).json()["outcome"] == "relabelled"
    entries = (await client.get("/v1/feedback")).json()["feedback"]
    assert [(entry["label"], entry["reporter"]) for entry in entries] == [("ham", "bob\ufffd@x"), ("spam", "ann")]
    assert entries[0]["spam_probability"] == pytest.approx(0.1)
    stat = (await client.get("/stat")).json()
    assert (stat["learned"], stat["scanned"]) == (2, 0)
    assert {file["symbol"]: file["revision"] for file in stat["statfiles"]} == {"HAMLET_HAM": 1, "HAMLET_SPAM": 1}


async def test_a_forms_content_type_changes_nothing(open_app: OpenApp) -> None:
    """mailcow's curl --data-binary calls a message a form, and the host rspamd; the bytes are taken as they are."""
    form = {"Content-Type": "application/x-www-form-urlencoded", "Host": "rspamd", "Password": "boss"}
    async with open_app(**KEYS) as (client, _):
        assert (await client.post("/checkv2", content=SPAM, headers=form)).json()["action"] == "add header"
        assert (await client.post("/learnspam", content=SPAM, headers=form)).json()["success"]
        assert (await client.post("/fuzzyadd", content=SPAM, headers=form | {"Flag": "11"})).status_code == 404


def test_every_path_answers_errors_in_rspamds_words() -> None:
    """A path that is added to the router is one of those whose errors have rspamd's shape."""
    assert {route.path for route in router.routes if isinstance(route, APIRoute)} == {
        f"/{path}" for path in RSPAMD_PATHS
    }


@pytest.mark.parametrize(
    "headers",
    [
        # Haraka's plugin, which sends the body in chunks
        [
            ("IP", "192.0.2.1"),
            ("Helo", "mx"),
            ("From", "<a@b.example>"),
            ("Rcpt", "c@d"),
            ("Rcpt", "e@d"),
            ("Queue-Id", "A.1"),
        ],
        # others: names in any case, an empty sender, recipients in one line, a port behind the address
        [
            ("ip", "[2001:db8::1]:25"),
            ("FROM", ""),
            ("rcpt", "c@d, e@d"),
            ("Deliver-To", "c"),
            ("User", "c"),
            ("Flags", "milter"),
        ],
        [
            ("from", "a@b.example"),
            ("Hostname", "unknown"),
            ("Settings-ID", "x"),
            ("Password", "not needed"),
            ("Pass", "all"),
        ],
    ],
)
async def test_whatever_the_envelope_a_message_is_scored(
    client: httpx.AsyncClient, headers: list[tuple[str, str]]
) -> None:
    """The model reads the message alone; no form of these headers is in its way."""
    for content in (SPAM, pieces(SPAM)):
        response = await client.post("/checkv2", content=content, headers=headers)
        assert response.json()["action"] == "add header"


@pytest.mark.parametrize("path", ["/checkv2", *LEARN_PATHS])
@pytest.mark.parametrize("header", ["Shm", "shm-offset", "Shm-Length", "File", "PATH"])
async def test_a_message_elsewhere_is_refused(client: httpx.AsyncClient, path: str, header: str) -> None:
    """Nothing is ever read from files or shared memory that a request names."""
    response = await client.post(path, headers={header: "/etc/passwd"})
    assert response.status_code == 422
    assert response.json()["error"].startswith("Send the message in the body")
    assert response.headers["X-Error"] == response.json()["error"]


@pytest.mark.parametrize("path", ["/checkv2", *LEARN_PATHS])
async def test_an_empty_body_is_400(client: httpx.AsyncClient, path: str) -> None:
    """With GET too, which is what rspamc sends when a file is empty."""
    for method in ("GET", "POST"):
        response = await client.request(method, path)
        assert (response.status_code, response.json()["error_domain"]) == (400, "empty_message")


def bad_zstd() -> Iterator[tuple[str, bytes, int]]:
    """Give bodies that begin as zstd does, each with the status that it gets."""
    bomb = zstd.compress(b"\0" * (200 << 20), 19)
    assert len(bomb) < 30_000
    yield "bomb", bomb, 413
    yield "cut", zstd.compress(SPAM)[:-3], 422
    yield "two frames", zstd.compress(SPAM) * 2, 422
    yield "magic alone", zstd.compress(b"")[:4], 422
    yield "noise", zstd.compress(b"")[:4] + bytes(range(256)), 422
    window = {int(zstd.CompressionParameter.window_log): ZSTD_WINDOW_LOG + 1}
    compressor = zstd.ZstdCompressor(options=window)
    yield "window", compressor.compress(SPAM * 400_000) + compressor.flush(), 422
    trained = zstd.train_dict([b"%d: From: someone@example.org" % number for number in range(200)], 1000)
    yield "dictionary", zstd.compress(b"7: From: someone@example.org", zstd_dict=trained), 422


@pytest.mark.parametrize("path", ["/checkv2", *LEARN_PATHS])
async def test_zstd_that_cannot_be_taken_is_refused(client: httpx.AsyncClient, path: str) -> None:
    """A bomb is cut at the limit of a message; half a frame is not scored as if it were a whole one."""
    for kind, body, status in bad_zstd():
        response = await client.post(path, content=body, headers={"Compression": "zstd"})
        assert response.status_code == status, kind
        assert response.json()["error"], kind
    gzip = await client.post(path, content=SPAM, headers={"Content-Encoding": "gzip"})
    assert gzip.status_code == 415


async def test_zstd_is_seen_without_a_header(client: httpx.AsyncClient) -> None:
    """rspamc -z of 3.4 says Compression, that of 4 Content-Encoding, others nothing."""
    for headers in ({}, {"Compression": "zstd"}, {"Content-Encoding": "zstd"}):
        response = await client.post("/checkv2", content=zstd.compress(SPAM), headers=headers)
        assert response.json()["action"] == "add header"


async def test_a_message_over_the_limit_is_let_through_unread(open_app: OpenApp) -> None:
    """A 413 would make the mail server try for days; learning it is refused, and so is what is over every limit."""
    async with open_app(max_message_bytes=1000, max_request_bytes=5000) as (client, _):
        large = SPAM + b"." * 1000
        for body in (large, pieces(large)):
            reply = (await client.post("/checkv2", content=body)).json()
            assert (reply["is_skipped"], reply["action"], reply["score"]) == (True, "no action", 0.0)
            assert "HAMLET_MAX_MESSAGE_BYTES" in reply["messages"]["hamlet"]
            assert reply["milter"]["remove_headers"] == {"X-Spam": 0, "X-Hamlet": 0}
        assert (await client.post("/learnspam", content=large)).status_code == 413
        assert (await client.post("/checkv2", content=large * 5)).status_code == 413


async def test_mail_to_learn_counts_decompressed(open_app: OpenApp) -> None:
    """A hundred small bodies that hold large messages cannot fill the memory; for scoring they are read one by one."""
    large = zstd.compress(SPAM + b"." * 900)
    async with open_app(max_message_bytes=1000, max_request_bytes=1000, max_buffered_bytes=1000) as (client, state):
        state.buffered_bytes = 500
        learned = await client.post("/learnspam", content=large)
        assert (learned.status_code, learned.json()["error_domain"]) == (429, "overloaded")
        assert state.buffered_bytes == 500
        assert (await client.post("/checkv2", content=large)).status_code == 200
        state.buffered_bytes = 0
        assert (await client.post("/learnspam", content=large)).status_code == 200
        assert state.buffered_bytes == 0


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 300):
        yield body[start : start + 300]


@pytest.mark.parametrize(
    ("path", "password", "status"),
    [
        ("/checkv2", None, 401),
        ("/checkv2", "wrong", 401),
        ("/checkv2", "scoring", 200),
        ("/checkv2", "boss", 200),
        ("/learnspam", None, 401),
        ("/learnspam", "scoring", 401),
        ("/learnspam", "boss", 200),
        ("/auth", "wrong", 401),
        ("/auth", "scoring", 200),
        ("/stat", None, 401),
        ("/counters", "boss", 200),
        ("/ping", None, 200),
        ("/healthy", None, 200),
        ("/ready", None, 200),
    ],
)
async def test_a_password_is_a_key(open_app: OpenApp, path: str, password: str | None, status: int) -> None:
    """As header, in the query or as a bearer token: scoring takes either kind, learning an admin key."""
    async with open_app(**KEYS) as (client, _):
        ways = [{"headers": {"Password": password}}, {"params": {"password": password}}] if password else [{}]
        ways += [{"headers": {"Authorization": f"Bearer {password}"}}] if password else []
        for number, way in enumerate(ways):
            method = "POST" if path in ("/checkv2", *LEARN_PATHS) else "GET"
            response = await client.request(method, path, content=SPAM + b"%d" % number, **way)  # type: ignore[arg-type]
            assert response.status_code == status
            if status == 401:
                assert "Password" in response.json()["error"]


async def test_without_keys_learning_is_for_this_machine(open_app: OpenApp) -> None:
    """rspamc names no host, which no browser can do: that is local. A foreign page, or a rebound name, is not."""
    async with open_app() as (client, _):
        without_host = client.build_request("POST", "/learnham", content=HAM)
        del without_host.headers["Host"]
        assert (await client.send(without_host)).status_code == 200
        for headers in ({"Host": "rebound.example"}, {"Origin": "https://page.example"}, {"X-Real-IP": "192.0.2.1"}):
            assert (await client.post("/learnspam", content=HAM, headers=headers)).status_code == 403


async def test_what_hamlet_has_not_is_an_honest_404(client: httpx.AsyncClient) -> None:
    """Fuzzy hashes above all, which mailcow's scripts send too; errors are in rspamd's words."""
    for path in ("/fuzzyadd", "/fuzzydel"):
        response = await client.post(path, content=SPAM)
        assert response.status_code == 404
        assert response.json()["error"].startswith("There is no fuzzy storage here")
    wrong = await client.put("/checkv2", content=SPAM)
    assert (wrong.status_code, wrong.json()["error_domain"]) == (405, "method_not_allowed")


async def test_small_answers(client: httpx.AsyncClient) -> None:
    """What monitoring asks."""
    ping = await client.get("/ping")
    assert (ping.content, ping.headers["Content-Type"]) == (b"pong\r\n", "text/plain; charset=utf-8")
    assert (await client.get("/healthy")).json() == (await client.get("/ready")).json() == {"success": True}
    await client.post("/checkv2", content=SPAM)
    (hits,) = [one["hits"] for one in (await client.get("/counters")).json() if one["symbol"] == "HAMLET_SPAM"]
    assert hits == 1
    assert (await client.get("/stat")).json()["actions"]["add header"] == 1
    auth = (await client.get("/auth")).json()
    assert (auth["auth"], auth["version"]) == ("ok", "hamlet 2026.11.22-fake")
    assert 'route="/checkv2"' in (await client.get("/metrics")).text


async def test_no_room_and_draining_are_said_in_rspamds_words(open_app: OpenApp) -> None:
    """429 and 503, which make a mail server keep the mail and try again."""
    async with open_app(max_messages_in_flight=1, max_messages_per_request=1, max_batch_messages=1) as (client, state):
        with state.batcher.reserve(1, state.clock.now() + 60):
            for method in ("POST", "GET"):
                full = await client.request(method, "/checkv2", content=HAM)
                assert (full.status_code, full.json()["error_domain"]) == (429, "overloaded")
                assert full.headers["Retry-After"]
                assert full.json()["action"] == "soft reject"
        state.draining = state.refusing_work = True
        for path in ("/checkv2", "/learnspam", "/ready"):
            response = await client.request("GET" if path == "/ready" else "POST", path, content=HAM)
            assert (response.status_code, response.json()["error_domain"]) == (503, "draining")
        assert (await client.get("/healthy")).status_code == 200


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"Message-Id: <a@b>\r\n\r\n", "a@b"),
        (b"From: x\nMESSAGE-ID:\n <a@b>\n\n", "a@b"),
        (b"Message-ID: a@b\n\n", "a@b"),
        (b"Message-ID: <>\n\n", "undef"),
        (b"From: x\n\nMessage-ID: <a@b>\n", "undef"),
        (b"Message-ID: <\xff@b>\n\n", "\ufffd@b"),
        (b"", "undef"),
    ],
)
def test_the_message_id_is_that_of_the_header(raw: bytes, found: str) -> None:
    """Without brackets, folded or not."""
    assert message_id(raw) == found
