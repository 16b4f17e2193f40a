"""The probes: /health/live, /health/ready and /health. None needs a key, none waits for a message."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from service.dependencies import State
from service.errors import ErrorCode
from service.routers.responses import json_response, refusals
from service.schemas import Alive, Health, Ready

router = APIRouter(prefix="/health", tags=["health"])

_NOT_READY = (ErrorCode.MODEL_NOT_LOADED, ErrorCode.WORKER_DEAD, ErrorCode.DRAINING)


@router.get("/live", response_model=Alive, responses=refusals())
async def live() -> Response:
    """Answer 200 while the process runs."""
    return json_response({"status": "alive"})


@router.get("/ready", response_model=Ready, responses=refusals(*_NOT_READY))
async def ready(state: State) -> Response:
    """Answer 200 when a message sent now would be scored, else 503 with the reason."""
    reason = state.why_not_ready()
    if reason is not None:
        raise reason
    return json_response({"status": "ready"})


@router.get(
    "",
    response_model=Health,
    responses=refusals() | {503: {"model": Health, "description": "The same, with `error` saying why not ready."}},
)
async def health(state: State) -> Response:
    """Show both probes with details; 503 when not ready."""
    reason = state.why_not_ready()
    content: dict[str, Any] = {
        "live": True,
        "ready": reason is None,
        "uptime_s": round(state.uptime_s, 1),
        "model": state.model.identity if state.model else None,
        "queue": {
            "messages_in_flight": state.batcher.messages_in_flight,
            "queued_messages": state.batcher.queued_messages,
            "queued_tokens": state.batcher.queued_tokens,
        },
        "feedback": {"problem": state.feedback.problem},
    }
    if reason is not None:
        content |= reason.body()
    return json_response(content, 200 if reason is None else 503)
