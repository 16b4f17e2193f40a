"""Feedback over HTTP, as the contract has it, on each database."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from classifier.message import MailFields
from service.feedback.export import PAGE_ENTRIES
from service.state import ServiceState
from tests.conftest import mail_files
from tests.service.conftest import OpenApp
from tests.service.fakes import FakeClassifier, until
from training.sources import SourceReport, read_sources

MAILS = [path.read_bytes() for path in mail_files("spam", "ham", "defects")]
HELLO = {"raw": "Subject: hello\r\n\r\nwhat spam is this", "label": "spam", "reporter": "ann"}


@pytest.fixture
async def service(open_app: OpenApp, database_url: str) -> AsyncIterator[tuple[httpx.AsyncClient, ServiceState]]:
    """A client of an app whose feedback goes to the database of the test."""
    async with open_app(database_url=database_url, admin_keys="boss") as opened:
        yield opened


@pytest.fixture
def client(service: tuple[httpx.AsyncClient, ServiceState]) -> httpx.AsyncClient:
    """The client alone."""
    return service[0]


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


async def say(client: httpx.AsyncClient, **said: Any) -> tuple[int, dict[str, Any]]:
    response = await client.post("/v1/feedback", json=said)
    return response.status_code, response.json()


async def exported(client: httpx.AsyncClient, **wanted: Any) -> list[dict[str, Any]]:
    response = await client.get("/v1/feedback/export", params=wanted, headers={"Authorization": "Bearer boss"})
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.content.splitlines()]


async def test_what_is_said_twice_is_learned_once(client: httpx.AsyncClient) -> None:
    """The same message with the same label gives the first id, whoever says it and in whatever form."""
    status, first = await say(client, **HELLO)
    assert (status, first["label"], first["outcome"]) == (201, "spam", "learned")
    again = {"raw_base64": encoded(HELLO["raw"].encode()), "label": "spam", "reporter": "bob"}
    assert await say(client, **again) == (200, {"id": first["id"], "label": "spam", "outcome": "already_learned"})
    assert len(await exported(client, history=True)) == 1


async def test_the_other_label_is_a_new_entry(client: httpx.AsyncClient) -> None:
    """Nothing is overwritten: each change of mind is an entry that names the one before; the export has the last."""
    _, first = await say(client, **HELLO)
    status, second = await say(client, **{**HELLO, "label": "ham", "reporter": "bob", "reason": "my own newsletter"})
    assert (status, second["outcome"], second["label"]) == (201, "relabelled", "ham")
    _, third = await say(client, **HELLO)
    assert third["outcome"] == "relabelled"
    assert len({first["id"], second["id"], third["id"]}) == 3
    history = await exported(client, history=True)
    assert [(one["id"], one["label"], one["reporter"]) for one in history] == [
        (first["id"], "spam", "ann"), (second["id"], "ham", "bob"), (third["id"], "spam", "ann"),
    ]  # fmt: skip
    assert [one["supersedes"] for one in history] == [None, first["id"], second["id"]]
    assert [one["id"] for one in await exported(client)] == [third["id"]]


async def test_the_same_message_from_many_at_once_is_learned_once(client: httpx.AsyncClient) -> None:
    """Of 32 that come together one is learned, the others are told its id."""
    answers = await asyncio.gather(*(say(client, **{**HELLO, "reporter": f"r{n}"}) for n in range(32)))
    assert sorted(answer["outcome"] for _, answer in answers) == ["already_learned"] * 31 + ["learned"]
    assert len({answer["id"] for _, answer in answers}) == 1


async def test_training_reads_what_was_said(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """The export goes into training as it is: same bytes or same fields, labels and reporters, all of the mails."""
    for raw in MAILS:
        assert (await say(client, raw_base64=encoded(raw), label="ham", reporter="ann"))[0] == 201
    fields = {"subject": "hi \U0001f600", "from": "x@example.org", "text": "lunch?", "html": None}
    assert (await say(client, **fields, label="spam"))[0] == 201
    path = tmp_path / "feedback.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in await exported(client)))
    report = SourceReport()
    mails = list(read_sources([path], report=report))
    assert report.bad == 0
    assert [one.mail for one in mails[:-1]] == MAILS
    assert {(one.label, one.source) for one in mails[:-1]} == {("ham", "feedback:ann")}
    assert mails[-1].mail == MailFields(subject="hi \U0001f600", sender="x@example.org", text="lunch?")
    assert mails[-1].label == "spam"


async def test_a_message_is_forgotten_with_all_that_was_said_of_it(client: httpx.AsyncClient) -> None:
    """By the id of any of its entries. Whoever keeps a copy is told the ids; the message can be learned anew."""
    _, first = await say(client, **HELLO)
    _, second = await say(client, **{**HELLO, "label": "ham"})
    _, other = await say(client, raw="Subject: other\r\n\r\nstays", label="ham")
    assert (await client.delete(f"/v1/feedback/{first['id']}")).status_code == 204
    assert [one["id"] for one in await exported(client, history=True)] == [other["id"]]
    traces = [line for line in await exported(client, forgotten=True) if "forgotten_at" in line]
    assert [set(trace) for trace in traces] == [{"id", "forgotten_at"}] * 2
    assert {trace["id"] for trace in traces} == {first["id"], second["id"]}
    for gone in (first["id"], second["id"], "never-there"):
        refused = await client.delete(f"/v1/feedback/{gone}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")
    status, anew = await say(client, **HELLO)
    assert (status, anew["outcome"]) == (201, "learned")
    assert anew["id"] not in (first["id"], second["id"])


async def test_an_export_since_a_moment_misses_nothing(client: httpx.AsyncClient) -> None:
    """Asked again from the newest time that it has seen, a reader gets what came since, and what was forgotten."""
    _, first = await say(client, **HELLO)
    (seen,) = await exported(client)
    _, second = await say(client, raw="Subject: second\r\n\r\nx", label="ham")
    await client.delete(f"/v1/feedback/{first['id']}")
    lines = await exported(client, since=seen["created_at"], forgotten=True)
    assert [line["id"] for line in lines if "forgotten_at" in line] == [first["id"]]
    assert [line["id"] for line in lines if "forgotten_at" not in line] == [second["id"]]
    newest = max(line.get("forgotten_at") or line["created_at"] for line in lines)
    assert [line["id"] for line in await exported(client, since=newest)] == []
    refused = await client.get("/v1/feedback/export?since=soon", headers={"Authorization": "Bearer boss"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "query.since")


async def test_an_export_is_of_one_moment(service: tuple[httpx.AsyncClient, ServiceState]) -> None:
    """What is said while it streams is left for the next one: no message comes twice, none is left out."""
    client, state = service
    said = [f"Subject: {n}\r\n\r\nbody" for n in range(PAGE_ENTRIES * 2 + 10)]
    for start in range(0, len(said), 64):
        await asyncio.gather(*(say(client, raw=raw, label="ham") for raw in said[start : start + 64]))
    from service.feedback.export import Wanted

    pages = await state.feedback.export(Wanted())
    lines = (await anext(pages)).splitlines()
    assert 0 < len(lines) <= PAGE_ENTRIES
    seen = [json.loads(line)["id"] for line in lines]
    assert (await say(client, raw=said[0], label="spam"))[1]["outcome"] == "relabelled"
    assert (await say(client, raw=said[-1], label="spam"))[1]["outcome"] == "relabelled"
    async for page in pages:
        seen += [json.loads(line)["id"] for line in page.splitlines()]
    assert len(seen) == len(set(seen)) == len(said)
    assert len(await exported(client)) == len(said)


async def test_looking_shows_entries_without_messages(client: httpx.AsyncClient) -> None:
    """Newest first, a page at a time."""
    ids = [(await say(client, raw=f"Subject: {n}\r\n\r\nsecret", label="ham", reason="r"))[1]["id"] for n in range(5)]
    first = await client.get("/v1/feedback", params={"limit": 3})
    assert "secret" not in first.text
    assert [one["id"] for one in first.json()["feedback"]] == ids[:1:-1]
    second = (await client.get("/v1/feedback", params={"limit": 3, "before": first.json()["next"]})).json()
    assert ([one["id"] for one in second["feedback"]], second["next"]) == (ids[1::-1], None)
    assert set(second["feedback"][0]) == {
        "id", "label", "reporter", "reason", "request_id", "created_at", "supersedes", "model_version",
        "spam_probability", "size_bytes",
    }  # fmt: skip
    assert (await client.get("/v1/feedback?before=nothing")).status_code == 422
    assert (await client.get("/v1/feedback?limit=0")).status_code == 422


async def test_an_entry_says_what_the_model_thought(
    service: tuple[httpx.AsyncClient, ServiceState], classifier: FakeClassifier
) -> None:
    """With the version in service, and the request that it is about; without either where the model has no time."""
    client, state = service
    await say(client, **HELLO, request_id="abc-1")
    classifier.may_score.clear()
    busy = asyncio.create_task(client.post("/v1/predict/raw", content=b"x"))
    await until(lambda: state.batcher.messages_in_flight == 1)
    late = {"raw": "Subject: x\r\n\r\nlate", "label": "ham"}
    answer = await client.post("/v1/feedback", json=late, headers={"X-Request-Timeout-Ms": "2000"})
    assert answer.status_code == 201
    classifier.may_score.set()
    assert (await busy).status_code == 200
    asked, unasked = await exported(client)
    assert (asked["model_version"], asked["spam_probability"], asked["request_id"]) == (
        classifier.version,
        0.9,
        "abc-1",
    )
    assert (unasked["model_version"], unasked["spam_probability"]) == (None, None)
    metrics = (await client.get("/metrics")).text
    assert 'hamlet_feedback_total{label="spam",outcome="learned"} 1.0' in metrics
    assert 'hamlet_predictions_total{verdict="spam"}' not in metrics


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ({"raw": "x"}, "invalid_request", "label"),
        ({"raw": "x", "label": "eggs"}, "invalid_request", "label"),
        ({"label": "spam"}, "invalid_request", None),
        ({"raw": "x", "text": "x", "label": "spam"}, "invalid_request", None),
        ({"raw": "x", "label": "spam", "id": "mine"}, "invalid_request", "id"),
        ({"raw": "x", "label": "spam", "reporter": "a\x00"}, "invalid_request", "reporter"),
        ({"raw": "x", "label": "spam", "reporter": "a" * 257}, "invalid_request", "reporter"),
        ({"raw": "x", "label": "spam", "reason": "\x00"}, "invalid_request", "reason"),
        ({"raw": "x", "label": "spam", "request_id": "a b"}, "invalid_request", "request_id"),
        ({"raw_base64": "?", "label": "spam"}, "invalid_base64", None),
        ({"raw": " ", "label": "spam"}, "empty_message", None),
        ({"raw": "x" * 2001, "label": "spam"}, "message_too_large", None),
    ],
)
async def test_what_cannot_be_learned_is_refused(open_app: OpenApp, said: Any, code: str, field: str | None) -> None:
    """With a sentence and the field, and nothing is stored."""
    async with open_app(max_message_bytes=2000) as (client, _):
        response = await client.post("/v1/feedback", json=said)
        error = response.json()["error"]
        assert (error["code"], error.get("field")) == (code, field), error
        assert response.status_code == (413 if code == "message_too_large" else 422)
        assert (await client.get("/v1/feedback")).json() == {"feedback": [], "next": None}


async def test_keys_guard_feedback_and_admin_keys_its_export(open_app: OpenApp) -> None:
    """A key for scoring opens learning, looking and forgetting; only an admin key opens the messages."""
    async with open_app(api_keys="user", admin_keys="boss") as (client, _):
        user, boss = {"Authorization": "Bearer user"}, {"Authorization": "Bearer boss"}
        assert (await client.post("/v1/feedback", json=HELLO)).status_code == 401
        assert (await client.get("/v1/feedback")).status_code == 401
        assert (await client.delete("/v1/feedback/x")).status_code == 401
        assert (await client.get("/v1/feedback/export", headers=user)).status_code == 401
        said = await client.post("/v1/feedback", json=HELLO, headers=user)
        assert said.status_code == 201
        assert len((await client.get("/v1/feedback/export", headers=boss)).content.splitlines()) == 1
        assert (await client.delete(f"/v1/feedback/{said.json()['id']}", headers=user)).status_code == 204


@pytest.mark.parametrize("header", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-ndjson"}])
async def test_a_page_in_a_browser_cannot_teach_unasked(client: httpx.AsyncClient, header: dict[str, str]) -> None:
    """Without the JSON content type, which browsers do not send for a foreign page, nothing is learned."""
    refused = await client.post("/v1/feedback", content=json.dumps(HELLO), headers=header)
    assert (refused.status_code, refused.json()["error"]["code"]) == (415, "unsupported_media_type")


async def test_feedback_drains_like_everything_else(service: tuple[httpx.AsyncClient, ServiceState]) -> None:
    """New feedback is refused while the service shuts down."""
    client, state = service
    state.draining = state.refusing_work = True
    status, answer = await say(client, **HELLO)
    assert (status, answer["error"]["code"]) == (503, "draining")
