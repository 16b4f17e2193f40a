"""Reasons over HTTP, by a real network."""

import asyncio
import base64
from collections.abc import AsyncIterator

import httpx
import pytest

from classifier.pipeline import SpamClassifier
from service.app import create_app
from service.scoring import EXPLAINED_COSTS
from service.settings import Settings
from service.state import ServiceState
from tests.classifier.models import small_artifact
from tests.conftest import mail_files
from tests.hostile_mail import every_kind
from tests.service.conftest import OpenApp
from tests.service.fakes import FakeClassifier, until

Client = tuple[httpx.AsyncClient, ServiceState]


@pytest.fixture
async def real() -> AsyncIterator[Client]:
    """A client of an app with a network in it, in bfloat16 where the CPU has it, and the state of the app."""
    app = create_app(Settings(), lambda *_: SpamClassifier(small_artifact()))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client,
    ):
        await app.state.service.started()
        yield client, app.state.service


def in_base64(raws: list[bytes]) -> list[dict[str, str]]:
    return [{"raw_base64": base64.b64encode(raw).decode()} for raw in raws]


async def test_each_span_cuts_what_is_shown(real: Client) -> None:
    """Of real mail, with the score that it gets without reasons."""
    client, _ = real
    messages = in_base64([path.read_bytes() for path in mail_files("spam", "ham")[::7]])
    plain = (await client.post("/v1/predict", json={"messages": messages})).json()["results"]
    told = (await client.post("/v1/predict", json={"messages": messages, "explain": True})).json()["results"]
    for without, result in zip(plain, told, strict=True):
        assert result["spam_probability"] == pytest.approx(without["spam_probability"], abs=1e-4)
        assert {name: result[name] for name in without if name != "spam_probability"} == {
            name: without[name] for name in without if name != "spam_probability"
        }
        assert result["reasons"]
        for reason in result["reasons"]:
            assert result["shown"][reason["field"]][reason["start"] : reason["end"]] == reason["text"]


async def test_hostile_mail_is_answered(real: Client) -> None:
    """Each kind gets its reasons, or the error that it gets without."""
    client, _ = real
    for name, raw in every_kind():
        response = await client.post("/v1/predict/raw?explain=true", content=raw)
        assert response.status_code == 200, (name, response.text[:200])
        assert len(response.content) < 1_000_000, name


async def test_a_swap_while_messages_are_explained(real: Client) -> None:
    """A request keeps the model that it began with; the next one is explained by the other."""
    client, state = real
    message = {"messages": [{"subject": "free", "text": "claim your prize"}], "explain": True}
    before = (await client.post("/v1/predict", json=message)).json()["results"][0]
    other = await state.predictor.prepare(lambda: SpamClassifier(small_artifact(seed=2)))
    under_way = asyncio.create_task(client.post("/v1/predict", json=message))
    state.predictor.model = other
    assert (await under_way).status_code == 200
    after = (await client.post("/v1/predict", json=message)).json()["results"][0]
    assert [reason["weight"] for reason in after["reasons"]] != [reason["weight"] for reason in before["reasons"]]
    assert after["shown"] == before["shown"]


async def test_what_is_to_be_explained_weighs_more_in_the_queue(open_app: OpenApp, classifier: FakeClassifier) -> None:
    """So that batches and refusals reckon with the time that it takes."""
    async with open_app() as (client, state):
        classifier.may_score.clear()
        busy = asyncio.create_task(client.post("/v1/predict/raw", content=b"a"))
        await until(lambda: bool(state.batcher.batch_running_s))
        waits = asyncio.create_task(client.post("/v1/predict/raw?explain=true", content=b"one two three"))
        await until(lambda: bool(state.batcher.queued_messages))
        assert state.batcher.queued_tokens == 3 * EXPLAINED_COSTS
        classifier.may_score.set()
        assert [(await one).status_code for one in (busy, waits)] == [200, 200]


async def test_a_message_that_cannot_be_explained_fails_alone(open_app: OpenApp, classifier: FakeClassifier) -> None:
    """The others of the request get theirs."""

    def weigh(prepared):  # type: ignore[no-untyped-def]  # as in the base
        if any("cursed" in one.text for one in prepared):
            raise RuntimeError("cursed")
        return FakeClassifier.weigh(classifier, prepared)

    classifier.weigh = weigh  # type: ignore[method-assign]
    async with open_app() as (client, _):
        request = {"messages": [{"raw": "a"}, {"raw": "cursed"}, {"raw": "c"}], "explain": True}
        results = (await client.post("/v1/predict", json=request)).json()["results"]
    assert [result.get("shown", {}).get("body") or result["error"]["code"] for result in results] == [
        "a", "prediction_failed", "c",
    ]  # fmt: skip
