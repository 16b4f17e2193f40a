"""/v2: the Open Inference Protocol, version 2 (that of KServe and Triton), over the same model and the same limits.

A refusal is {"error": "a sentence"}. The protocol has no error for one element of a tensor, so that a message that
cannot be scored refuses its whole request; the sentence names the element.
"""

from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from classifier.message import MailFields
from service.dependencies import Deadline, State, read_body, require_content_type, unless_gone, within
from service.errors import ApiError, ErrorCode
from service.keys import require_key
from service.models import ActiveModel
from service.parsing.parser import Mail
from service.routers.oip_tensors import (
    HEADER_LENGTH,
    INPUTS,
    OUTPUTS,
    InferRequest,
    about_element,
    decode_infer_request,
    encode_infer_response,
)
from service.routers.predict import DECODE_AT_ONCE_BYTES
from service.routers.responses import json_response, refusals
from service.scoring import Scored
from service.state import ServiceState

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
for_users = [Depends(require_key)]

EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "hamlet_pytorch"

# Each route of a model is there twice: with its version, and without for the one in service.
MODEL, VERSION = "/models/{model_name}", "/models/{model_name}/versions/{version}"
INFER_PATHS = f"/v2{MODEL}/infer", f"/v2{VERSION}/infer"
_INFER_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {}, "application/octet-stream": {}}}
}


def _in_path(*names: str) -> dict[str, Any]:
    """Describe strings in the path, which the routes check themselves, for the OpenAPI document."""
    return {
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    }


_OF_MODEL, _OF_VERSION = _in_path("model_name"), _in_path("model_name", "version")


class OipError(BaseModel):
    """The body of every refusal under /v2."""

    error: str


_NOT_READY = (ErrorCode.MODEL_NOT_LOADED, ErrorCode.WORKER_DEAD, ErrorCode.DRAINING)
_no_server = refusals(ErrorCode.UNAUTHORIZED, body=OipError)
_not_ready = refusals(*_NOT_READY, body=OipError)
_no_probe = refusals(ErrorCode.NOT_FOUND, *_NOT_READY, body=OipError)
_no_model = refusals(ErrorCode.UNAUTHORIZED, ErrorCode.NOT_FOUND, ErrorCode.MODEL_NOT_LOADED, body=OipError)
_no_infer = refusals(
    ErrorCode.UNAUTHORIZED,
    ErrorCode.NOT_FOUND,
    ErrorCode.REQUEST_TOO_LARGE,
    ErrorCode.TOO_MANY_MESSAGES,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.INVALID_JSON,
    ErrorCode.INVALID_REQUEST,
    ErrorCode.INVALID_HEADER,
    ErrorCode.EMPTY_MESSAGE,
    ErrorCode.MESSAGE_ERROR,
    ErrorCode.OVERLOADED,
    ErrorCode.PREDICTION_FAILED,
    *_NOT_READY,
    ErrorCode.DEADLINE_EXCEEDED,
    body=OipError,
)


@router.get("", dependencies=for_users, responses=_no_server)
async def server(request: Request) -> Response:
    """Show the server and its extensions."""
    return json_response({"name": "hamlet", "version": request.app.version, "extensions": EXTENSIONS})


@router.get("/health/live")
async def live() -> Response:
    """Answer 200 while the process runs."""
    return json_response({"live": True})


@router.get("/health/ready", responses=_not_ready)
async def ready(state: State) -> Response:
    """Answer 200 when a message sent now would be scored, else 503 with the reason."""
    _require_ready(state)
    return json_response({"ready": True})


@router.get(f"{MODEL}/ready", responses=_no_probe, openapi_extra=_OF_MODEL)
@router.get(f"{VERSION}/ready", responses=_no_probe, openapi_extra=_OF_VERSION)
async def model_ready(request: Request, state: State) -> Response:
    """Answer 200 when a message sent to this model now would be scored."""
    _require_ready(state)
    model = _require_served(state.model, state, request)
    return json_response({"name": model.classifier.name, "ready": True})


@router.get(MODEL, dependencies=for_users, responses=_no_model, openapi_extra=_OF_MODEL)
@router.get(VERSION, dependencies=for_users, responses=_no_model, openapi_extra=_OF_VERSION)
async def model_metadata(request: Request, state: State) -> Response:
    """Show the tensors of the model in service. A request gives one of the inputs."""
    classifier = _require_served(state.model, state, request).classifier
    return json_response(
        {
            "name": classifier.name,
            "versions": [classifier.version],
            "platform": PLATFORM,
            "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in INPUTS],
            "outputs": [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in OUTPUTS.items()],
        }
    )


@router.post(f"{MODEL}/infer", dependencies=for_users, responses=_no_infer, openapi_extra=_OF_MODEL | _INFER_BODY)
@router.post(f"{VERSION}/infer", dependencies=for_users, responses=_no_infer, openapi_extra=_OF_VERSION | _INFER_BODY)
async def infer(request: Request, state: State, deadline: Deadline) -> Response:
    """Score messages, all or none of them."""
    with state.admitted(deadline) as active:
        _require_served(active, state, request)
        async with within(deadline, state):
            require_content_type(request, "application/json", "application/octet-stream")
            body = await read_body(request, state)
            decode = partial(
                decode_infer_request,
                body,
                request.headers.get(HEADER_LENGTH),
                max_messages=state.settings.max_messages_per_request,
                max_message_bytes=state.settings.max_message_bytes,
            )
            return await unless_gone(request, _infer(state, active, decode, len(body), deadline))


async def _infer(
    state: ServiceState, active: ActiveModel, decode: "partial[InferRequest]", body_bytes: int, deadline: float
) -> Response:
    parse_started = state.clock.now()
    wanted = decode() if body_bytes <= DECODE_AT_ONCE_BYTES else await state.parser.run(decode)
    if wanted.timeout_us is not None:
        deadline = min(deadline, parse_started + wanted.timeout_us / 1e6)
    mails = [_mail(wanted.input_name, element) for element in wanted.elements]
    async with within(deadline, state):
        answer = await state.scoring.score(active, mails, deadline=deadline, parse_started=parse_started)
    scored: list[Scored] = []
    for place, result in enumerate(answer.results):
        if isinstance(result, ApiError):
            raise about_element(result, wanted.input_name, place)
        scored.append(result)
    body, header_length = encode_infer_response(
        wanted,
        [one.score.probability for one in scored],
        [one.score.verdict.value for one in scored],
        model_name=active.classifier.name,
        version=active.classifier.version,
    )
    if header_length is None:
        return Response(body, media_type="application/json")
    return Response(body, headers={HEADER_LENGTH: str(header_length)}, media_type="application/octet-stream")


def _mail(input_name: str, element: bytes) -> Mail:
    if input_name == "raw_email":
        return Mail(len(element), lambda: element)

    def read() -> MailFields:
        try:
            return MailFields(text=element.decode())
        except UnicodeDecodeError:
            raise ApiError(ErrorCode.INVALID_REQUEST, "this is not UTF-8; send it as raw_email.") from None

    return Mail(len(element), read)


def _require_ready(state: ServiceState) -> None:
    reason = state.why_not_ready()
    if reason is not None:
        raise reason


def _require_served(active: ActiveModel | None, state: ServiceState, request: Request) -> ActiveModel:
    """Return the model in service, if it is the one that the path names."""
    if active is None:
        raise state.why_not_ready() or ApiError(ErrorCode.MODEL_NOT_LOADED, "The model is being loaded.")
    classifier, wanted = active.classifier, request.path_params
    if wanted["model_name"] != classifier.name or wanted.get("version", classifier.version) != classifier.version:
        raise ApiError(
            ErrorCode.NOT_FOUND, f"What is served here is model {classifier.name}, version {classifier.version}."
        )
    return active
