"""GET /v1/model, GET /v1/models and POST /v1/models/{version}/activate."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from service.dependencies import State
from service.errors import ApiError, ErrorCode
from service.keys import require_admin, require_key
from service.routers.responses import json_response, refusals
from service.schemas import ActivationOut, ModelOut, ModelsOut

VersionName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]

router = APIRouter(tags=["models"])


@router.get(
    "/v1/model",
    dependencies=[Depends(require_key)],
    response_model=ModelOut,
    responses=refusals(ErrorCode.UNAUTHORIZED, ErrorCode.MODEL_NOT_LOADED),
)
async def model(state: State) -> Response:
    """Show what is serving: the card, its metrics, the digest and the thresholds."""
    if state.model is None:
        raise ApiError(ErrorCode.MODEL_NOT_LOADED, "No model is loaded yet; /health says why.")
    return json_response(state.model.describe())


@router.get(
    "/v1/models",
    dependencies=[Depends(require_key)],
    response_model=ModelsOut,
    responses=refusals(ErrorCode.UNAUTHORIZED),
)
async def models(state: State) -> Response:
    """List the versions, every byte of each verified; one that cannot be served says why."""
    active = state.activation.version
    versions = await state.predictor.load(state.models.describe_all)
    return json_response(
        {
            "active": active,
            "versions": [{**version, "active": version["version"] == active} for version in versions],
            "refused": state.activation.refused,
        }
    )


@router.post(
    "/v1/models/{version}/activate",
    dependencies=[Depends(require_admin)],
    response_model=ActivationOut,
    responses=refusals(
        ErrorCode.UNAUTHORIZED,
        ErrorCode.FORBIDDEN,
        ErrorCode.NOT_FOUND,
        ErrorCode.MODEL_REFUSED,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.MODEL_NOT_LOADED,
        ErrorCode.DRAINING,
    ),
)
async def activate(version: VersionName, state: State) -> Response:
    """Put a version into service, a newer one or an older one; what goes wrong leaves the old one there.

    No request is dropped: what has begun is scored by the version it began with.
    """
    if state.refusing_work:
        raise ApiError(ErrorCode.DRAINING, "The service is shutting down; send this to another instance.")
    if state.model is None:
        raise state.why_not_ready() or ApiError(ErrorCode.MODEL_NOT_LOADED, "The model is being loaded.")
    return json_response(await state.activate(version))
