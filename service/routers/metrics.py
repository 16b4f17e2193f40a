"""GET /metrics."""

import asyncio

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from service.dependencies import State
from service.routers.responses import refusals

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=PlainTextResponse, responses=refusals())
async def metrics(state: State) -> Response:
    """Show the metrics as Prometheus reads them."""
    # In a thread: the files of many workers take a while to read.
    return Response(await asyncio.to_thread(state.metrics.render), headers={"Content-Type": state.metrics.content_type})
