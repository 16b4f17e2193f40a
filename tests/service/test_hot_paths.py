"""The short way past FastAPI gives the answers that FastAPI's routes give; a query makes a request go the long way."""

from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from service.state import ServiceState
from tests.service.conftest import OpenApp

KEY = "k" * 32
JSON, RAW = "/v1/predict", "/v1/predict/raw"
AUTHORISED = {"Authorization": f"Bearer {KEY}"}
MESSAGES = b'{"messages": [{"raw": "spam now"}, {"raw": ""}]}'

REQUESTS: dict[str, tuple[str, bytes, dict[str, str], int]] = {
    "scored": (RAW, b"spam now", {}, 200),
    "scored, JSON": (JSON, MESSAGES, {}, 200),
    "empty": (RAW, b"", {}, 422),
    "not JSON": (JSON, b"{", {}, 422),
    "no messages": (JSON, b"{}", {}, 422),
    "too large": (RAW, b"x" * 300, {}, 413),
    "another type": (RAW, b"x", {"Content-Type": "image/png"}, 415),
    "compressed": (JSON, MESSAGES, {"Content-Encoding": "gzip"}, 415),
    "a time that is none": (RAW, b"x", {"X-Request-Timeout-Ms": "soon"}, 422),
    "no key": (RAW, b"x", {"Authorization": ""}, 401),
    "another key": (JSON, MESSAGES, {"Authorization": "Bearer x"}, 401),
    "a key sent otherwise": (RAW, b"x", {"Authorization": f"Basic {KEY}"}, 401),
}


async def ask(client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]) -> tuple[Any, ...]:
    """Return all of an answer that does not change from time to time."""
    response = await client.post(path, content=body, headers={**AUTHORISED, "X-Request-Id": "mine", **headers})
    answer = response.json()
    answer.pop("timing_ms", None)
    kept = {name: value for name, value in response.headers.items() if name != "content-length"}  # it counts the times
    return response.status_code, kept, answer


def requests_to(state: ServiceState, path: str) -> float:
    lines = [line for line in state.metrics.render().decode().splitlines() if f'route="{path}"' in line]
    return sum(float(line.split()[-1]) for line in lines if line.startswith("hamlet_requests_total"))


@pytest.mark.parametrize("name", REQUESTS)
async def test_both_ways_give_one_answer(open_app: OpenApp, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, headers and body, and the place in the metrics; whatever is wrong with the request."""
    path, body, headers, status = REQUESTS[name]
    long_ways = []
    handle = APIRoute.handle

    async def counted(route: APIRoute, *asgi: Any) -> None:
        long_ways.append(route.path)
        await handle(route, *asgi)

    monkeypatch.setattr(APIRoute, "handle", counted)
    async with open_app(api_keys=(KEY,), max_message_bytes=200) as (client, state):
        short = await ask(client, path, body, headers)
        assert (short[0], long_ways) == (status, []), short
        assert short == await ask(client, f"{path}?x=1", body, headers)
        assert long_ways == [path]
        assert requests_to(state, path) == 2
