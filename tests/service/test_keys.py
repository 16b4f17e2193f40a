"""Who may call what."""

import logging

import httpx
import pytest
from fastapi import Depends

from service.app import create_app
from service.keys import require_admin
from service.settings import Settings

ADMIN_PATH = "/admin"


async def admin_call(settings: Settings, caller: str = "127.0.0.1", headers: dict[str, str] | None = None) -> int:
    """Return the status of an admin call from an address."""
    app = create_app(settings)
    app.get(ADMIN_PATH, dependencies=[Depends(require_admin)])(lambda: "done")
    transport = httpx.ASGITransport(app, client=(caller, 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get(ADMIN_PATH, headers=headers)
    assert response.status_code == 200 or response.json()["error"]["message"]
    return response.status_code


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer scoring"}, 401),
        ({"Authorization": "Basic boss"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Bearer boss"}, 200),
        ({"Authorization": "Bearer second"}, 200),
    ],
)
async def test_admin_calls_need_an_admin_key_wherever_they_come_from(header: dict[str, str], status: int) -> None:
    """With admin keys set, being local is not enough, and a key for scoring is not one of them."""
    settings = Settings.model_validate({"api_keys": "scoring", "admin_keys": "boss,second"})
    for caller in ("127.0.0.1", "192.0.2.7"):
        assert await admin_call(settings, caller, header) == status


@pytest.mark.parametrize(
    ("caller", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {"Host": "[::1]:8000", "Origin": "http://localhost:8000"}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("192.0.2.7", {}, 403),
        ("192.0.2.7", {"Authorization": "Bearer scoring"}, 403),
        ("192.0.2.7", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, 403),
        ("127.0.0.1", {"Host": "rebound.example:8000"}, 403),
        ("127.0.0.1", {"Origin": "https://foreign.example"}, 403),
        ("127.0.0.1", {"Origin": "null"}, 403),
        ("127.0.0.1", {"Origin": "http://[half"}, 403),
    ],
)
async def test_without_admin_keys_only_this_machine_may(caller: str, headers: dict[str, str], status: int) -> None:
    """Loopback may; another machine, what came through a proxy, and a foreign page in a local browser may not."""
    settings = Settings.model_validate({"api_keys": "scoring"})
    assert await admin_call(settings, caller, headers) == status


async def test_an_admin_key_opens_scoring_too() -> None:
    """Whoever may change the model may ask what it is."""
    app = create_app(Settings.model_validate({"api_keys": "scoring", "admin_keys": "boss"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        statuses = [
            (await client.get("/v1/model", headers={"Authorization": f"Bearer {key}"})).status_code
            for key in ("scoring", "boss", "other")
        ]
    assert statuses == [503, 503, 401]  # 503: let in, and there is no model, as nothing was started


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, ["HAMLET_API_KEYS", "HAMLET_ADMIN_KEYS"]),
        ({"api_keys": "a"}, ["HAMLET_ADMIN_KEYS"]),
        ({"admin_keys": "a"}, ["HAMLET_API_KEYS"]),
        ({"api_keys": "a", "admin_keys": "b"}, []),
    ],
)
async def test_the_start_says_in_one_line_what_is_open(
    keys: dict[str, str], told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Each kind of key that is not set is named, in one warning."""
    app = create_app(Settings.model_validate(keys))
    with caplog.at_level(logging.WARNING):
        async with app.router.lifespan_context(app):
            await app.state.service.started()
    lines = [record.getMessage() for record in caplog.records if "is not set" in record.getMessage()]
    assert len(lines) == bool(told)
    assert all(name in lines[0] for name in told)
