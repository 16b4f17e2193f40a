"""What there is no room for is refused by the HTTP parser, over real connections."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service import early_refusal
from service.app import create_app
from service.server import make_server
from service.settings import Settings
from service.state import ServiceState
from tests.service.fakes import FakeClassifier, until

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# A second message finds the service full.
ONE = {"max_messages_in_flight": 1, "max_messages_per_request": 1, "max_batch_messages": 1}
KEY = "a" * 32


@asynccontextmanager
async def serving(classifier: FakeClassifier, **settings: object) -> AsyncIterator[tuple[int, ServiceState]]:
    """Yield the port and the state of a server that runs in this event loop."""
    app = create_app(Settings(**{**ONE, **settings}), lambda *_: classifier)  # type: ignore[arg-type]  # of one test
    state = app.state.service
    server = make_server(app, state, state.settings)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = asyncio.create_task(server.serve([listening]))
        await until(lambda: state.model is not None)
        try:
            yield listening.getsockname()[1], state
        finally:
            classifier.may_score.set()
            server.stop()
            await running


@asynccontextmanager
async def full(classifier: FakeClassifier, **settings: object) -> AsyncIterator[tuple[int, ServiceState]]:
    """As `serving`, with a message under way, until `classifier.may_score` is set or the `async with` ends."""
    async with serving(classifier, **settings) as (port, state):
        classifier.may_score.clear()
        async with sent(port, request(b"first", f"Authorization: Bearer {KEY}")) as (reader, _):
            await until(lambda: bool(state.batcher.batch_running_s))
            yield port, state
            classifier.may_score.set()
            assert (await answer(reader))[0] == 200


def request(body: bytes, *headers: str, path: str = "/v1/predict/raw") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def verdict(reader: asyncio.StreamReader) -> str:
    """Read one answer to a mail that was scored."""
    status, _, body = await answer(reader)
    assert status == 200, body
    return str(json.loads(body)["result"]["verdict"])


@asynccontextmanager
async def sent(port: int, content: bytes) -> AsyncIterator[Connection]:
    """A connection over which so much has been sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(content)
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer: status, headers with names in lower case, body."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def test_a_full_service_refuses_before_the_body_comes(classifier: FakeClassifier) -> None:
    """The headers are enough for a 429 with all that belongs to one."""
    headers_alone = request(b"x" * 1000, "X-Request-Id: mine")[:-1000]
    async with full(classifier) as (port, state), sent(port, headers_alone) as (reader, _):
        status, headers, body = await answer(reader)
        assert (status, json.loads(body)["error"]["code"]) == (429, "overloaded")
        assert headers["x-request-id"] == "mine"
        assert headers["content-type"] == "application/json"
        assert int(headers["retry-after"]) >= 1
        assert "date" in headers
        text = state.metrics.render().decode()
        assert 'hamlet_requests_total{code="429",route="/v1/predict/raw"} 1.0' in text
        assert 'hamlet_rejected_total{reason="messages"} 1.0' in text


@pytest.mark.parametrize("model", ["hamlet", "hamlet/versions/2026.1.1-abcdef"])
async def test_the_inference_protocol_is_refused_in_its_words(classifier: FakeClassifier, model: str) -> None:
    """Whatever model is named: a full service has not looked yet."""
    headers_alone = request(b"{}", path=f"/v2/models/{model}/infer?x=1")[:-2]
    async with full(classifier) as (port, state), sent(port, headers_alone) as (reader, _):
        status, headers, body = await answer(reader)
        assert (status, list(json.loads(body))) == (429, ["error"])
        assert int(headers["retry-after"]) >= 1
        text = state.metrics.render().decode()
        template = model.replace("hamlet", "{model_name}").replace("2026.1.1-abcdef", "{version}")
        assert f'hamlet_requests_total{{code="429",route="/v2/models/{template}/infer"}} 1.0' in text


async def test_the_connection_goes_on_after_a_refusal(classifier: FakeClassifier) -> None:
    """The body of what was refused is read over, and what comes next on the connection is answered as its own."""
    async with full(classifier) as (port, state), sent(port, request(b"a" * 200_000)) as (reader, writer):
        assert (await answer(reader))[0] == 429
        classifier.may_score.set()
        await until(lambda: state.batcher.messages_in_flight == 0)
        writer.write(request(b"spam") + request(b"hello"))
        assert [await verdict(reader) for _ in range(2)] == ["spam", "ham"]


async def test_answers_keep_the_order_of_the_requests(classifier: FakeClassifier) -> None:
    """A request sent behind one that is still being scored is not answered before it."""
    async with serving(classifier) as (port, state):
        classifier.may_score.clear()
        async with sent(port, request(b"spam") + request(b"hello")) as (reader, _):
            await until(lambda: bool(state.batcher.batch_running_s))
            classifier.may_score.set()
            assert [await verdict(reader) for _ in range(2)] == ["spam", "ham"]


@pytest.mark.parametrize("header", ["Connection: close", "Expect: 100-continue"])
async def test_a_client_that_wants_to_leave_is_let_go(classifier: FakeClassifier, header: str) -> None:
    """The whole answer comes, then the connection ends."""
    async with full(classifier) as (port, _), sent(port, request(b"x" * 1000, header)) as (reader, _):
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (429, "close")
        assert await asyncio.wait_for(reader.read(), 10) == b""


JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /v1/predict/raw HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (request(b"{}", JSON, path="/v1/feedback"), 422),
        (request(b"{}", JSON, path="/v1/predict"), 429),
        (request(b"x", path="/v1/predict/raw?a=b"), 429),
        (request(b"x", path="/checkv2"), 429),
        (request(b"x", "X-Request-Timeout-Ms: soon"), 422),
    ],
)
async def test_only_scoring_is_refused(classifier: FakeClassifier, content: bytes, status: int) -> None:
    """Everything else is answered while there is no room to score, and a bad header is told of."""
    async with full(classifier) as (port, _), sent(port, content) as (reader, _):
        assert (await answer(reader))[0] == status


async def test_a_full_service_does_not_look_at_keys(classifier: FakeClassifier) -> None:
    """429 comes before 401, which comes again once there is room."""
    async with full(classifier, api_keys=KEY) as (port, state), sent(port, request(b"x")) as (reader, writer):
        assert (await answer(reader))[0] == 429
        classifier.may_score.set()
        await until(lambda: state.batcher.messages_in_flight == 0)
        writer.write(request(b"x"))
        assert (await answer(reader))[0] == 401


async def test_many_refusals_are_one_line_of_the_log(
    classifier: FakeClassifier, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says how many there were, and does not grow with them."""
    monkeypatch.setattr(early_refusal, "LOG_EVERY_S", 0.2)
    caplog.set_level(logging.INFO, "service.access")

    def lines() -> list[object]:
        return [record.__dict__["fields"] for record in caplog.records if "room" in record.message]

    async with full(classifier) as (port, _), sent(port, request(b"x") * 3) as (reader, _):
        assert [(await answer(reader))[0] for _ in range(3)] == [429] * 3
        assert not lines()
        await until(lambda: bool(lines()))
        assert lines() == [{"route": "/v1/predict/raw", "requests": 3}]
