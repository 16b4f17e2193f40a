"""What every request gets: ids, keys, one shape of error, health, metrics, logs."""

import logging
import re
import subprocess
import sys

import httpx
import pytest

from classifier.errors import ArtifactMissingError
from service.app import create_app
from service.errors import CODES, STATUS, ErrorCode
from service.logs import JsonFormatter
from service.settings import Settings
from service.state import ServiceState
from tests.service.conftest import OpenApp

PATHS = {
    "/v1/predict": "post",
    "/v1/predict/raw": "post",
    "/v1/feedback": "post",
    "/v1/feedback/export": "get",
    "/v1/feedback/{entry_id}": "delete",
    "/v1/model": "get",
    "/v1/models": "get",
    "/v1/models/{version}/activate": "post",
    "/health/live": "get",
    "/health/ready": "get",
    "/health": "get",
    "/metrics": "get",
    "/v2": "get",
    "/v2/health/live": "get",
    "/v2/health/ready": "get",
    "/v2/models/{model_name}": "get",
    "/v2/models/{model_name}/ready": "get",
    "/v2/models/{model_name}/infer": "post",
    "/v2/models/{model_name}/versions/{version}": "get",
    "/v2/models/{model_name}/versions/{version}/ready": "get",
    "/v2/models/{model_name}/versions/{version}/infer": "post",
}
METRICS = """
    requests_total request_seconds parse_seconds queue_seconds inference_seconds batch_messages batch_tokens
    padding_ratio queue_messages queue_tokens rejected_total dropped_total predictions_total spam_probability
    feedback_total model_info model_reloads_total ready
"""


async def test_the_document_has_every_path_status_and_code(client: httpx.AsyncClient) -> None:
    """The OpenAPI document lists the paths of the contract, their refusals with codes, and the request's schema."""
    document = (await client.get("/openapi.json")).json()
    assert {path: next(iter(verbs)) for path, verbs in document["paths"].items()} == PATHS
    assert set(document["components"]["schemas"]["ErrorCode"]["enum"]) == {code.value for code in ErrorCode}
    message = document["components"]["schemas"]["MessageIn"]["properties"]
    assert set(message) == {"id", "raw_base64", "raw", "subject", "from", "to", "reply_to", "text", "html"}
    predict = document["paths"]["/v1/predict"]["post"]["responses"]
    assert set(predict) == {"200", "401", "413", "415", "422", "429", "500", "503", "504"}
    assert "too_many_messages" in predict["413"]["description"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    references = set(re.findall(r"#/components/schemas/(\w+)", (await client.get("/openapi.json")).text))
    assert references <= set(document["components"]["schemas"])
    assert (await client.get("/docs")).status_code == 200


def test_every_code_has_a_status() -> None:
    """The one table of errors is complete."""
    assert set(STATUS) == set(ErrorCode)
    assert set(CODES.values()) <= set(STATUS)


async def test_errors_of_the_router_have_the_same_shape(client: httpx.AsyncClient) -> None:
    """404 and 405 are answered in the words of the contract too."""
    missing = await client.get("/v1/nothing")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    wrong = await client.get("/v1/predict")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "POST"


async def test_a_bug_is_answered_without_its_text(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that nobody foresaw is 500 in the usual shape, and its text is neither sent nor logged."""
    async with open_app() as (client, state):

        def fail() -> None:
            raise RuntimeError("secret words")

        monkeypatch.setattr(state, "why_not_ready", fail)
        response = await client.get("/health")
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any("RuntimeError" in line for line in lines)
    assert not any("secret" in line for line in lines)


async def test_the_request_id_is_echoed_or_made(client: httpx.AsyncClient) -> None:
    """A plain id comes back; one that could break a log or a header is replaced."""
    assert (await client.get("/health/live", headers={"X-Request-Id": "abc-1"})).headers["X-Request-Id"] == "abc-1"
    for bad in ("", "a b", "x" * 200, "ü"):
        given = (await client.get("/health/live", headers={b"X-Request-Id": bad.encode()})).headers["X-Request-Id"]
        assert re.fullmatch(r"[0-9a-f]{32}", given)
    assert "X-Request-Id" in (await client.get("/nothing")).headers


async def test_keys_guard_scoring_and_nothing_else(open_app: OpenApp) -> None:
    """With keys set, any of them opens scoring; without a right one it is 401. Probes and metrics need none."""
    async with open_app(api_keys="first, second") as (client, _):
        no_header: dict[str, str] = {}
        for header in (no_header, {"Authorization": "Bearer third"}, {"Authorization": "Basic first"}):
            for path in ("/v1/predict", "/v1/predict/raw"):
                refused = await client.post(path, content=b"x", headers=header)
                assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
                assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert (await client.get("/v1/model", headers=header)).status_code == 401
        for key in ("first", "second"):
            header = {"Authorization": f"Bearer {key}"}
            assert (await client.post("/v1/predict/raw", content=b"x", headers=header)).status_code == 200
        for path in ("/health/live", "/health/ready", "/health", "/metrics"):
            assert (await client.get(path)).status_code == 200


async def test_the_model_is_described(client: httpx.AsyncClient) -> None:
    """GET /v1/model shows card, metrics, digest and thresholds."""
    answer = (await client.get("/v1/model")).json()
    assert answer["digest"] == "sha256:fake"
    assert answer["thresholds"] == {"ham_below": 0.2, "spam_from": 0.8}
    assert answer["metrics"] == answer["card"]["measures"] == {"auc": 0.99}


async def test_ready_only_while_it_can_answer(open_app: OpenApp) -> None:
    """Ready says no, with the reason, while draining and once the worker is dead; live says yes throughout."""
    async with open_app() as (client, state):
        assert (await client.get("/health/ready")).json() == {"status": "ready"}
        state.draining = state.refusing_work = True
        refused = await client.get("/health/ready")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        work = await client.post("/v1/predict/raw", content=b"x")
        assert (work.status_code, work.json()["error"]["code"]) == (503, "draining")
        assert int(work.headers["Retry-After"]) >= 1
        state.draining = state.refusing_work = False
        state.predictor.stop()
        for response in (await client.get("/health/ready"), await client.post("/v1/predict/raw", content=b"x")):
            assert (response.status_code, response.json()["error"]["code"]) == (503, "worker_dead")
        health = (await client.get("/health")).json()
        assert (health["live"], health["ready"], health["error"]["code"]) == (True, False, "worker_dead")
        assert (await client.get("/health/live")).status_code == 200


async def test_a_model_that_cannot_be_loaded_is_told() -> None:
    """Without a model the process is alive, not ready, says why, and asks to be ended."""

    def fail(*_: object) -> None:
        raise ArtifactMissingError("models/active is missing; set HAMLET_MODELS.")

    app = create_app(Settings(), fail)  # type: ignore[arg-type]  # it never returns
    state: ServiceState = app.state.service
    ended: list[bool] = []
    state.on_failure = lambda: ended.append(True)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        await state.started()
        assert ended == [True]
        ready, work = await client.get("/health/ready"), await client.post("/v1/predict/raw", content=b"x")
        for response in (ready, work):
            assert (response.status_code, response.json()["error"]["code"]) == (503, "model_not_loaded")
        assert "models/active is missing" in ready.json()["error"]["message"]
        assert (await client.get("/health/live")).status_code == 200


async def test_the_metrics_have_the_names_of_the_contract(client: httpx.AsyncClient) -> None:
    """Every name is there, routes are labelled by template, verdicts and probabilities are counted."""
    await client.post("/v1/predict/raw", content=b"spam")
    await client.get("/v1/nothing/secret")
    text = (await client.get("/metrics")).text
    for name in METRICS.split():
        assert f"# HELP hamlet_{name.removesuffix('_total')}" in text, name
    assert 'hamlet_requests_total{code="200",route="/v1/predict/raw"} 1.0' in text
    assert 'hamlet_requests_total{code="404",route="unmatched"} 1.0' in text
    assert "secret" not in text
    assert 'hamlet_predictions_total{verdict="spam"} 1.0' in text
    assert 'hamlet_spam_probability_count{version="2026.11.22-fake"} 1.0' in text
    assert 'hamlet_model_info{digest="sha256:fake",version="2026.11.22-fake"} 1.0' in text
    assert "hamlet_ready 1.0" in text


async def test_the_log_has_the_route_and_not_the_message(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """One line a request: id, template, status, time; nothing of what was sent."""
    with caplog.at_level(logging.DEBUG):
        body = {"messages": [{"raw": "secret words"}]}
        await client.post("/v1/predict?q=secret", json=body, headers={"X-Request-Id": "r1"})
    lines = [JsonFormatter().format(record) for record in caplog.records if record.name.startswith("service")]
    assert any('"request_id":"r1","method":"POST","route":"/v1/predict","status":200' in line for line in lines)
    assert not any("secret" in line for line in lines)


def test_importing_the_service_loads_no_torch() -> None:
    """Every module of the service but the loaded model itself works without torch in the process."""
    code = "import service.app, service.server, service.serve, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
