"""POST, GET and DELETE /v1/feedback, and GET /v1/feedback/export."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from classifier.errors import MessageError
from classifier.message import MailFields
from service.batcher_contract import BatcherError, Outcome
from service.decoding import decode_mail, decode_object
from service.dependencies import Deadline, State, read_body, require_content_type, unless_gone, within
from service.errors import ApiError, ErrorCode
from service.feedback.export import Wanted
from service.feedback.journal import Learned
from service.feedback.journal import Outcome as FeedbackOutcome
from service.feedback.report import Report, stored_message
from service.keys import require_admin, require_key
from service.predictor import Work
from service.routers.responses import json_response, refusals
from service.schemas_feedback import FeedbackList, FeedbackOut, FeedbackRequest
from service.state import ServiceState

router = APIRouter(prefix="/v1/feedback", tags=["feedback"])
for_users = [Depends(require_key)]
for_admins = [Depends(require_admin)]

EXAMPLE = '{"raw": "...", "label": "spam", "reporter": "ann"}'
MAX_LISTED = 1000
MODEL_PATIENCE_S = 2.0  # then an entry goes without what the model thinks of it
FORGOTTEN = "forgotten"
TOO_LATE = "The deadline passed before the journal answered; it may be done all the same, and to repeat it is harmless."

_COMMON = (ErrorCode.UNAUTHORIZED, ErrorCode.FEEDBACK_UNAVAILABLE, ErrorCode.DRAINING, ErrorCode.DEADLINE_EXCEEDED)


@router.post(
    "",
    status_code=201,
    response_model=FeedbackOut,
    dependencies=for_users,
    responses=refusals(
        ErrorCode.REQUEST_TOO_LARGE,
        ErrorCode.MESSAGE_TOO_LARGE,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        ErrorCode.INVALID_JSON,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.INVALID_HEADER,
        ErrorCode.INVALID_BASE64,
        ErrorCode.EMPTY_MESSAGE,
        ErrorCode.MESSAGE_ERROR,
        ErrorCode.OVERLOADED,
        *_COMMON,
    )
    | {200: {"model": FeedbackOut, "description": "The last entry on this message says the same."}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FeedbackRequest"}}},
        }
    },
)
async def learn(request: Request, state: State, deadline: Deadline) -> Response:
    """Say what a message is. 201 once that is on disk; 200 when the journal says so already."""
    with state.counted():
        async with within(deadline, state, TOO_LATE):
            if not request.headers.get("content-type"):
                # A page in somebody's browser may send this without asking, but only without naming JSON.
                raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Send this with Content-Type: application/json.")
            require_content_type(request, "application/json")
            body = await read_body(request, state)
            learned = await unless_gone(request, _learn(state, body, deadline))
    state.metrics.feedback_given(learned.label, learned.outcome)
    status = 200 if learned.outcome is FeedbackOutcome.ALREADY_LEARNED else 201
    return json_response({"id": learned.id, "label": learned.label, "outcome": learned.outcome}, status)


@router.get(
    "",
    response_model=FeedbackList,
    dependencies=for_users,
    responses=refusals(ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_HEADER, *_COMMON),
)
async def look(
    state: State,
    deadline: Deadline,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 100,
    before: Annotated[str | None, Query(description="Only entries older than the one with this id.")] = None,
) -> Response:
    """Show entries, newest first, without their messages."""
    async with within(deadline, state):
        rows = await state.feedback.latest(limit=limit, before=before)
    if rows is None:
        raise ApiError(ErrorCode.INVALID_REQUEST, "There is no entry with this id.", field="before")
    entries = [{str(name): value for name, value in row.items()} for row in rows]
    return json_response({"feedback": entries, "next": entries[-1]["id"] if len(entries) == limit else None})


@router.get(
    "/export",
    dependencies=for_admins,
    response_class=StreamingResponse,
    responses=refusals(ErrorCode.INVALID_REQUEST, ErrorCode.FORBIDDEN, *_COMMON)
    | {200: {"content": {"application/x-ndjson": {}}, "description": "One JSON object a line."}},
)
async def export(
    state: State,
    since: Annotated[datetime | None, Query(description="Nothing said before this moment; RFC 3339.")] = None,
    history: Annotated[bool, Query(description="Also labels that a later entry took back.")] = False,
    forgotten: Annotated[bool, Query(description="Also ids that were forgotten: `id`, `forgotten_at`.")] = False,
) -> Response:
    """Stream the journal with its messages, oldest first, as `training` reads it."""
    if since is not None:
        since = since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)
    pages = await state.feedback.export(Wanted(since, history, forgotten))
    return StreamingResponse(_counted(state, pages), media_type="application/x-ndjson")


@router.delete(
    "/{entry_id}",
    status_code=204,
    dependencies=for_users,
    responses=refusals(ErrorCode.NOT_FOUND, ErrorCode.INVALID_HEADER, *_COMMON),
)
async def forget(entry_id: str, state: State, deadline: Deadline) -> Response:
    """Forget the message of an entry, and all that was said of it; the next training does without."""
    with state.counted():
        async with within(deadline, state, TOO_LATE):
            label = await state.feedback.forget(entry_id)
    if label is None:
        raise ApiError(ErrorCode.NOT_FOUND, "There is no entry with this id; it may have been forgotten already.")
    state.metrics.feedback_given(label, FORGOTTEN)
    return Response(status_code=204)


async def _learn(state: ServiceState, body: bytes, deadline: float) -> Learned:
    def read() -> tuple[FeedbackRequest, bytes | MailFields]:
        request = decode_object(body, FeedbackRequest, EXAMPLE)
        return request, decode_mail(request, state.settings.max_message_bytes)

    said, mail = await state.parser.run(read)
    version, probability = await _ask_model(state, mail, deadline)
    report = Report(
        message=stored_message(mail),
        label=said.label,
        reporter=said.reporter,
        reason=said.reason,
        request_id=said.request_id,
        model_version=version,
        spam_probability=probability,
    )
    return await state.feedback.learn(report)


async def _ask_model(
    state: ServiceState, mail: bytes | MailFields, deadline: float
) -> tuple[str, float] | tuple[None, None]:
    """Return the version in service and what it says, or nothing where it has no time: the label is what counts.

    It is no prediction, and not counted as one: nobody has asked for it.
    """
    model = state.model
    if model is None:
        return None, None
    try:
        prepared = await state.parser.run(partial(model.classifier.prepare, mail))
    except MessageError as error:
        known = error.code in ErrorCode.__members__.values()
        raise ApiError(ErrorCode(error.code) if known else ErrorCode.MESSAGE_ERROR, str(error)) from None
    now = state.clock.now()
    patience_s = min(MODEL_PATIENCE_S, (deadline - now) / 2)
    try:
        async with asyncio.timeout(patience_s):
            with state.batcher.reserve(1, now + patience_s) as reservation:
                (outcome,) = await reservation.score([(Work(model, prepared), prepared.tokens)])
    except (BatcherError, TimeoutError):
        return None, None
    return (
        (model.classifier.version, outcome.output.score.probability) if isinstance(outcome, Outcome) else (None, None)
    )


async def _counted(state: ServiceState, pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass the pages on; the drain waits for the last one."""
    with state.counted():
        async for lines in pages:
            yield lines
