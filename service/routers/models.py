"""GET /v1/model."""

from fastapi import APIRouter, Depends
from starlette.responses import Response

from service.dependencies import State
from service.errors import ApiError, ErrorCode
from service.keys import require_key
from service.routers.responses import json_response, refusals
from service.schemas import ModelOut

router = APIRouter(dependencies=[Depends(require_key)], tags=["models"])


@router.get(
    "/v1/model",
    response_model=ModelOut,
    responses=refusals(ErrorCode.UNAUTHORIZED, ErrorCode.MODEL_NOT_LOADED),
)
async def model(state: State) -> Response:
    """Show what is serving: the card, its metrics, the digest and the thresholds."""
    if state.model is None:
        raise ApiError(ErrorCode.MODEL_NOT_LOADED, "No model is loaded yet; /health says why.")
    return json_response(state.model.describe())
