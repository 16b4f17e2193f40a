"""POST /v1/predict and POST /v1/predict/raw."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from service.decoding import decode_mail, decode_predict_request
from service.dependencies import Deadline, State, read_body, require_content_type, unless_gone, within
from service.errors import ApiError, ErrorCode
from service.keys import require_key
from service.models import ActiveModel
from service.parsing.parser import Mail
from service.routers.responses import json_response, refusals
from service.schemas import MessageIn, PredictRequest, PredictResponse, RawPredictResponse
from service.scoring import Scored, ScoredRequest
from service.state import ServiceState

router = APIRouter(dependencies=[Depends(require_key)], tags=["predict"])

JSON_PATH, RAW_PATH = PATHS = "/v1/predict", "/v1/predict/raw"

# A body below this is decoded at once (orjson takes well under a millisecond), so that a 429 need not wait
# for a parse thread; a larger one is decoded in a parse thread, so that nobody waits for it.
DECODE_AT_ONCE_BYTES = 128 * 1024

Explain = Annotated[bool, Query(description="Ask for `reasons`, `shown` and `facts`.")]

_COMMON = (
    ErrorCode.UNAUTHORIZED,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.INVALID_HEADER,
    ErrorCode.OVERLOADED,
    ErrorCode.MODEL_NOT_LOADED,
    ErrorCode.WORKER_DEAD,
    ErrorCode.DRAINING,
    ErrorCode.DEADLINE_EXCEEDED,
)


@router.post(
    JSON_PATH,
    response_model=PredictResponse,
    responses=refusals(
        ErrorCode.REQUEST_TOO_LARGE,
        ErrorCode.TOO_MANY_MESSAGES,
        ErrorCode.INVALID_JSON,
        ErrorCode.INVALID_REQUEST,
        *_COMMON,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictRequest"}}},
        }
    },
)
async def predict(request: Request, state: State, deadline: Deadline) -> Response:
    """Score messages. A message that cannot be scored has an `error` in its place; the others are not affected."""
    with state.admitted(deadline) as model:
        async with within(deadline, state):
            require_content_type(request, "application/json")
            body = await read_body(request, state)
            answer = await unless_gone(request, _score_messages(state, model, body, deadline))
    return json_response(answer)


@router.post(
    RAW_PATH,
    response_model=RawPredictResponse,
    responses=refusals(
        ErrorCode.MESSAGE_TOO_LARGE,
        ErrorCode.EMPTY_MESSAGE,
        ErrorCode.MESSAGE_ERROR,
        ErrorCode.PREDICTION_FAILED,
        *_COMMON,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def predict_raw(request: Request, state: State, deadline: Deadline, explain: Explain = False) -> Response:
    """Score one message as it stands on the wire."""
    with state.admitted(deadline) as model:
        async with within(deadline, state):
            require_content_type(request, "message/rfc822", "application/octet-stream", "text/plain")
            raw = await read_body(request, state, max_message_bytes=state.settings.max_message_bytes)
            if not raw:
                raise ApiError(ErrorCode.EMPTY_MESSAGE, "The body is empty; expected one message as it was received.")
            answer = await unless_gone(request, _score_raw(state, model, raw, deadline, explain))
    return json_response(answer)


async def _score_messages(state: ServiceState, model: ActiveModel, body: bytes, deadline: float) -> dict[str, Any]:
    parse_started = state.clock.now()
    decode = partial(decode_predict_request, body, state.settings.max_messages_per_request)
    if len(body) <= DECODE_AT_ONCE_BYTES:
        predict_request: PredictRequest = decode()
    else:
        predict_request = await state.parser.run(decode)
    explain, most = predict_request.explain, state.settings.max_explained_messages
    if explain and len(predict_request.messages) > most:
        raise ApiError(
            ErrorCode.TOO_MANY_MESSAGES,
            f"The request has {len(predict_request.messages)} messages; at most {most} are explained at once.",
            field="messages",
        )
    mails = [_mail(message, state.settings.max_message_bytes) for message in predict_request.messages]
    scored = await state.scoring.score(model, mails, deadline=deadline, parse_started=parse_started, explain=explain)
    results = [
        _result(str(position) if message.id is None else message.id, result)
        for position, (message, result) in enumerate(zip(predict_request.messages, scored.results, strict=True))
    ]
    return {
        "model": model.identity,
        "results": results,
        "timing_ms": _timing_ms(scored, state.clock.now() - parse_started),
    }


async def _score_raw(
    state: ServiceState, model: ActiveModel, raw: bytes, deadline: float, explain: bool
) -> dict[str, Any]:
    parse_started = state.clock.now()
    mail = Mail(len(raw), lambda: raw)
    scored = await state.scoring.score(model, [mail], deadline=deadline, parse_started=parse_started, explain=explain)
    result = scored.results[0]
    if isinstance(result, ApiError):
        raise result
    return {
        "model": model.identity,
        "result": _result("0", result),
        "timing_ms": _timing_ms(scored, state.clock.now() - parse_started),
    }


def _mail(message: MessageIn, max_message_bytes: int) -> Mail:
    texts = (message.raw_base64, message.raw, message.subject, message.text, message.html)
    size_bytes = sum(len(text) for text in texts if text is not None)  # near enough to share the threads out
    return Mail(size_bytes, partial(decode_mail, message, max_message_bytes))


def _result(message_id: str, result: Scored | ApiError) -> dict[str, Any]:
    if isinstance(result, ApiError):
        return {"id": message_id, "error": {"code": result.code.value, "message": str(result)}}
    prediction = {
        "id": message_id,
        "verdict": result.score.verdict.value,
        "spam_probability": result.score.probability,
        "tokens": result.prepared.tokens,
        "truncated": result.prepared.truncated,
        "defects": list(result.prepared.defects),
    }
    if result.explanation is not None:
        prediction |= asdict(result.explanation)
    return prediction


def _timing_ms(scored: ScoredRequest, total_s: float) -> dict[str, float]:
    """Split the time after the body was read; what is neither queue nor inference is parsing."""
    parse_s = max(total_s - scored.queue_s - scored.inference_s, 0.0)
    seconds = {"parse": parse_s, "queue": scored.queue_s, "inference": scored.inference_s}
    return {name: round(value * 1000, 3) for name, value in seconds.items()}
