"""POST, GET and DELETE /v1/feedback, and GET /v1/feedback/export."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from classifier.message import MailFields
from service.decoding import decode_mail, decode_object
from service.dependencies import Deadline, State, read_body, require_content_type, unless_gone, within
from service.errors import ApiError, ErrorCode
from service.feedback.export import Wanted
from service.feedback.journal import Learned
from service.feedback.journal import Outcome as FeedbackOutcome
from service.keys import require_admin, require_key
from service.learning import TOO_LATE, learn_mail
from service.routers.responses import json_response, refusals
from service.schemas_feedback import FeedbackList, FeedbackOut, FeedbackRequest
from service.state import ServiceState

router = APIRouter(prefix="/v1/feedback", tags=["feedback"])
for_users = [Depends(require_key)]
for_admins = [Depends(require_admin)]

EXAMPLE = '{"raw": "...", "label": "spam", "reporter": "ann"}'
MAX_LISTED = 1000
FORGOTTEN = "forgotten"

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
    return await learn_mail(
        state,
        mail,
        said.label,
        deadline=deadline,
        reporter=said.reporter,
        reason=said.reason,
        request_id=said.request_id,
    )


async def _counted(state: ServiceState, pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass the pages on; the drain waits for the last one."""
    with state.counted():
        async for lines in pages:
            yield lines
