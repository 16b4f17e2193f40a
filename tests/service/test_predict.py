"""POST /v1/predict and /v1/predict/raw, as the contract has them."""

import asyncio
import base64
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import OpenApp
from tests.service.fakes import FakeClassifier, settle, until

RFC822 = {"Content-Type": "message/rfc822"}


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


async def post(client: httpx.AsyncClient, *messages: Any) -> httpx.Response:
    return await client.post("/v1/predict", json={"messages": list(messages)})


async def test_each_form_of_a_message_is_scored_in_order(client: httpx.AsyncClient) -> None:
    """base64, a string and fields are all read; ids are echoed, or are the position."""
    response = await post(
        client,
        {"id": "a", "raw_base64": encoded(b"Subject: x\r\n\r\nspam spam")},
        {"raw": "Subject: hi\r\n\r\nlunch?"},
        {"id": "c", "subject": "hi", "from": "x@example.org", "text": "lunch?", "html": None},
    )
    answer = response.json()
    assert response.status_code == 200
    assert answer["model"] == {"name": "hamlet", "version": "2026.11.22-fake", "digest": "sha256:fake"}
    assert [(one["id"], one["verdict"]) for one in answer["results"]] == [("a", "spam"), ("1", "ham"), ("c", "ham")]
    assert answer["results"][2] == {
        "id": "c", "verdict": "ham", "spam_probability": 0.1, "tokens": 2, "truncated": False, "defects": [],
    }  # fmt: skip
    assert set(answer["timing_ms"]) == {"parse", "queue", "inference"}


async def test_reasons_are_given_where_they_are_asked_for(client: httpx.AsyncClient) -> None:
    """Of each message of a request, or of the one raw message; without asking there is nothing of it."""
    request = {"messages": [{"raw": "spam now"}, {"raw": ""}, {"raw": "lunch?"}], "explain": True}
    spam, empty, ham = (await client.post("/v1/predict", json=request)).json()["results"]
    assert spam["verdict"] == "spam"
    assert spam["reasons"] == [{"text": "spam", "field": "body", "start": 0, "end": 4, "weight": 1.5}]
    assert spam["shown"] == {"body": "spam now"}
    assert spam["facts"] == [{"code": "fake", "text": "This is a fake."}]
    assert ham["reasons"][0]["text"] == "lunch?"
    assert empty["error"]["code"] == "empty_message"
    raw = (await client.post("/v1/predict/raw?explain=true", content=b"spam now")).json()["result"]
    assert {name: raw[name] for name in ("reasons", "shown", "facts")} == {
        name: spam[name] for name in ("reasons", "shown", "facts")
    }
    for result in (
        (await post(client, {"raw": "spam now"})).json()["results"][0],
        (await client.post("/v1/predict/raw?explain=false", content=b"spam now")).json()["result"],
    ):
        assert not {"reasons", "shown", "facts"} & set(result)
    unclear = await client.post("/v1/predict/raw?explain=perhaps", content=b"spam now")
    assert (unclear.status_code, unclear.json()["error"]["code"]) == (422, "invalid_request")


async def test_more_messages_than_are_explained_at_once_are_413(open_app: OpenApp) -> None:
    """The sentence says how many there may be; without reasons the same request is answered."""
    async with open_app(max_explained_messages=2) as (client, _):
        request = {"messages": [{"raw": "x"}] * 3}
        response = await client.post("/v1/predict", json=request | {"explain": True})
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_many_messages")
        assert "2" in response.json()["error"]["message"]
        assert (await client.post("/v1/predict", json=request)).status_code == 200


async def test_a_bad_message_gets_its_own_error(open_app: OpenApp) -> None:
    """Empty, not base64, too large or poisonous: each is told why, and its neighbours get their scores."""
    async with open_app(max_message_bytes=100) as (client, _):
        response = await post(
            client,
            {"raw": "spam"},
            {"raw_base64": "%%%"},
            {"raw": ""},
            {"text": ""},
            {"raw_base64": encoded(b"x" * 101)},
            {"text": "é" * 51},
            {"raw": "poison"},
            {"raw": "lunch?"},
        )
    results = response.json()["results"]
    assert response.status_code == 200
    assert [one.get("verdict") or one["error"]["code"] for one in results] == [
        "spam", "invalid_base64", "empty_message", "empty_message", "message_too_large", "message_too_large",
        "prediction_failed", "ham",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "invalid_json", None),
        (b"not json", "invalid_json", None),
        (b'{"messages": [{"raw": "\xff"}]}', "invalid_json", None),
        (b"[" * 100_000, "invalid_json", None),
        (b"[]", "invalid_request", None),
        (b"{}", "invalid_request", "messages"),
        (b'{"messages": []}', "invalid_request", "messages"),
        (b'{"messages": {}}', "invalid_request", "messages"),
        (b'{"messages": ["hello"]}', "invalid_request", "messages.0"),
        (b'{"messages": [{"raw": "x"}, {}]}', "invalid_request", "messages.1"),
        (b'{"messages": [{"from": "x@example.org"}]}', "invalid_request", "messages.0"),
        (b'{"messages": [{"raw": "x", "text": "y"}]}', "invalid_request", "messages.0"),
        (b'{"messages": [{"raw": "x", "raw_base64": "eA=="}]}', "invalid_request", "messages.0"),
        (b'{"messages": [{"raw": 5}]}', "invalid_request", "messages.0.raw"),
        (b'{"messages": [{"id": 5, "raw": "x"}]}', "invalid_request", "messages.0.id"),
        (b'{"messages": [{"text": "x", "from": []}]}', "invalid_request", "messages.0.from"),
        (b'{"messages": [{"txt": "x"}]}', "invalid_request", "messages.0.txt"),
        (b'{"messages": [{"raw": "x"}], "explian": true}', "invalid_request", "explian"),
        (b'{"messages": [{"raw": "x"}], "explain": "yes"}', "invalid_request", "explain"),
    ],
)
async def test_a_malformed_request_names_the_field(
    client: httpx.AsyncClient, body: bytes, code: str, field: str | None
) -> None:
    """A request of the wrong shape is 422 with a code, a sentence, and the field where there is one."""
    response = await client.post("/v1/predict", content=body, headers={"Content-Type": "application/json"})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error.get("field")) == (422, code, field)
    assert error["message"].endswith(".")


async def test_a_refusal_never_quotes_the_message(client: httpx.AsyncClient) -> None:
    """What a client sends does not come back in an error, not even the name of a key that may be content."""
    for message in (
        {"raw_base64": "secret words"},
        {"raw": 1, "text": "secret words"},
        {"secret words": 1},
        {"text": ["secret words"]},
        "secret words",
    ):
        assert "secret" not in (await post(client, message)).text
    assert "secret" not in (await client.post("/v1/predict", content=b'{"secret')).text


async def test_too_many_messages_are_413_with_the_limit(client: httpx.AsyncClient) -> None:
    """300 messages are over the limit of 256, and the sentence says so."""
    response = await post(client, *[{"raw": "x"}] * 300)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "too_many_messages"
    assert "256" in response.json()["error"]["message"]


async def test_a_body_without_a_length_is_counted_while_it_arrives(open_app: OpenApp) -> None:
    """A chunked body is refused at the byte that is too many, and the rest of it is not waited for."""
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1000
            yield b"x" * 1000

    async with open_app(max_request_bytes=10_000, max_message_bytes=5_000) as (client, state):
        response = await client.post("/v1/predict", content=endless())
        assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
        assert sent <= 12_000
        response = await client.post("/v1/predict/raw", content=endless())
        assert (response.status_code, response.json()["error"]["code"]) == (413, "message_too_large")
        assert "5000" in response.json()["error"]["message"]
        assert state.buffered_bytes == 0


async def test_all_bodies_together_are_limited(open_app: OpenApp) -> None:
    """Many large uploads at once are refused before they fill the memory."""
    async with open_app(max_request_bytes=1000, max_message_bytes=1000, max_buffered_bytes=1000) as (client, state):
        state.buffered_bytes = 900
        response = await client.post("/v1/predict/raw", content=b"x" * 500)
        assert (response.status_code, response.json()["error"]["code"]) == (429, "overloaded")
        assert int(response.headers["Retry-After"]) >= 1
        assert state.buffered_bytes == 900


async def test_a_raw_message_is_scored(client: httpx.AsyncClient) -> None:
    """The bytes as they are, with the right type or none."""
    for headers in (RFC822, {"Content-Type": "application/octet-stream"}, {"Content-Type": "text/plain; x=y"}, {}):
        response = await client.post("/v1/predict/raw", content=b"Subject: x\r\n\r\nspam", headers=headers)
        assert response.status_code == 200
        assert response.json()["result"]["verdict"] == "spam"
        assert set(response.json()) == {"model", "result", "timing_ms"}


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", RFC822, 422, "empty_message"),
        (b" ", RFC822, 422, "empty_message"),
        (b"x", {"Content-Type": "application/json"}, 415, "unsupported_media_type"),
        (b"x", RFC822 | {"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
        (b"poison", RFC822, 500, "prediction_failed"),
        (b"x", RFC822 | {"X-Request-Timeout-Ms": "soon"}, 422, "invalid_header"),
        (b"x", RFC822 | {"X-Request-Timeout-Ms": "0"}, 422, "invalid_header"),
        (b"x", RFC822 | {"X-Request-Timeout-Ms": "-5"}, 422, "invalid_header"),
        (b"x", RFC822 | {"X-Request-Timeout-Ms": "9" * 5000}, 422, "invalid_header"),
    ],
)
async def test_a_bad_raw_request_is_refused(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    """Each refusal of the raw route has its status and its code."""
    response = await client.post("/v1/predict/raw", content=content, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_a_json_request_of_another_type_is_415(client: httpx.AsyncClient) -> None:
    """A form post is told which type to send."""
    response = await client.post("/v1/predict", data={"messages": "x"})
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert "application/json" in response.json()["error"]["message"]


async def test_a_passed_deadline_is_504_and_the_work_is_dropped(open_app: OpenApp, classifier: FakeClassifier) -> None:
    """A request with 20 ms to live, behind a model that is busy, is answered in time and leaves nothing behind."""
    async with open_app() as (client, state):
        classifier.may_score.clear()
        busy = asyncio.create_task(client.post("/v1/predict/raw", content=b"a"))
        await until(lambda: bool(state.batcher.batch_running_s))
        response = await client.post("/v1/predict/raw", content=b"b", headers={"X-Request-Timeout-Ms": "20"})
        assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert state.batcher.queued_messages == 0
        assert (await client.get("/health/live")).status_code == 200  # health is not behind inference
        classifier.may_score.set()
        assert (await busy).status_code == 200


async def test_overload_is_429_with_a_time_to_come_back(open_app: OpenApp, classifier: FakeClassifier) -> None:
    """With all the room taken, a request is refused at once and the one under way is not touched."""
    limits = {"max_messages_in_flight": 2, "max_messages_per_request": 2, "max_batch_messages": 2}
    async with open_app(**limits) as (client, state):
        classifier.may_score.clear()
        busy = asyncio.create_task(client.post("/v1/predict/raw", content=b"a"))
        await until(lambda: bool(state.batcher.batch_running_s))
        response = await post(client, {"raw": "b"}, {"raw": "c"})
        assert (response.status_code, response.json()["error"]["code"]) == (429, "overloaded")
        assert int(response.headers["Retry-After"]) >= 1
        assert state.batcher.messages_in_flight == 1
        more = asyncio.create_task(client.post("/v1/predict/raw", content=b"d"))
        await until(lambda: state.batcher.messages_in_flight == 2)
        response = await client.post("/v1/predict/raw", content=b"e", headers={"X-Request-Id": "full"})
        assert (response.status_code, response.json()["error"]["code"]) == (429, "overloaded")
        assert int(response.headers["Retry-After"]) >= 1
        assert response.headers["X-Request-Id"] == "full"
        classifier.may_score.set()
        assert [(await one).status_code for one in (busy, more)] == [200, 200]
        text = (await client.get("/metrics")).text
        assert 'hamlet_rejected_total{reason="messages"} 2.0' in text
        assert 'hamlet_requests_total{code="429",route="/v1/predict/raw"} 1.0' in text


async def test_a_client_that_hangs_up_takes_its_messages_along(classifier: FakeClassifier) -> None:
    """When the connection closes while the message is queued, it leaves the queue and nobody is answered."""
    app = create_app(Settings(), lambda *_: classifier)
    state = app.state.service
    hung_up = asyncio.Event()
    sent: list[Any] = []

    def request(body: bytes, until: asyncio.Event) -> Any:
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Any:
            for message in messages:
                return message
            await until.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": "/v1/predict/raw", "raw_path": b"/v1/predict/raw", "query_string": b"", "headers": [],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "root_path": "",
        }  # fmt: skip
        return asyncio.create_task(app(scope, receive, send))

    async with app.router.lifespan_context(app):
        await state.started()
        classifier.may_score.clear()
        stays = request(b"a", asyncio.Event())
        await until(lambda: bool(state.batcher.batch_running_s))
        goes = request(b"b", hung_up)
        await until(lambda: bool(state.batcher.queued_messages))
        hung_up.set()
        await goes
        assert state.batcher.queued_messages == 0
        assert sent == []
        await settle()
        classifier.may_score.set()
        await stays
        assert sent[0]["status"] == 200
        assert b'hamlet_dropped_total{reason="cancelled"} 1.0' in state.metrics.render()
        assert b'hamlet_requests_total{code="499",route="/v1/predict/raw"} 1.0' in state.metrics.render()
