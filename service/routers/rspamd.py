"""rspamd's paths, for mail servers and scripts that have a client of rspamd. Errors are in rspamd's words too."""

import asyncio
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request
from prometheus_client import Counter
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from classifier.verdict import Verdict
from service.dependencies import Deadline, State, read_body, unless_gone, within
from service.errors import ApiError, ClientGoneError, ErrorCode
from service.feedback.journal import Outcome
from service.feedback.report import Label
from service.keys import require_admin_password, require_password
from service.learning import TOO_LATE, learn_mail
from service.models import ActiveModel
from service.parsing.parser import Mail
from service.routers.responses import json_response
from service.rspamd import reply
from service.rspamd.request import NoMessageError, decompressed, message_id, refuse_other_places, reporter
from service.rspamd.scale import Choices
from service.state import ServiceState

# The protocol is rspamd's, and documented there: it stays out of our own OpenAPI document.
router = APIRouter(include_in_schema=False)
for_users = [Depends(require_password)]
for_admins = [Depends(require_admin_password)]

CHECK_PATH = "/checkv2"


@router.post(CHECK_PATH, dependencies=for_users)
@router.get(CHECK_PATH, dependencies=for_users)  # with a body: rspamd_proxy to a backend on its own machine
async def check(request: Request, state: State, deadline: Deadline) -> Response:
    """Score one message, and say what the mail server is to do with it."""
    started = state.clock.now()
    with state.admitted(deadline) as model:
        async with within(deadline, state):
            refuse_other_places(request.headers)
            body = await _read_or_skip(request, state)
            if body is None:
                why = f"Not scored: larger than {state.settings.max_message_bytes} bytes (HAMLET_MAX_MESSAGE_BYTES)."
                return json_response(reply.skipped(why, seconds=state.clock.now() - started))
            answer = await unless_gone(request, _check(state, model, body, deadline, started))
    return json_response(answer)


@router.post("/learnspam", dependencies=for_admins)
@router.get("/learnspam", dependencies=for_admins)  # rspamc, when it has nothing to send
async def learn_spam(request: Request, state: State, deadline: Deadline) -> Response:
    """Write down that a message is spam."""
    return await _learn(request, state, deadline, "spam")


@router.post("/learnham", dependencies=for_admins)
@router.get("/learnham", dependencies=for_admins)  # rspamc, when it has nothing to send
async def learn_ham(request: Request, state: State, deadline: Deadline) -> Response:
    """Write down that a message is ham."""
    return await _learn(request, state, deadline, "ham")


@router.post("/fuzzyadd")
@router.post("/fuzzydel")
async def fuzzy() -> Response:
    """Say that there are no fuzzy hashes."""
    raise ApiError(
        ErrorCode.NOT_FOUND, "There is no fuzzy storage here; learn_spam and learn_ham teach Hamlet the same."
    )


@router.get("/ping")
async def ping() -> Response:
    """Answer while the process runs."""
    return PlainTextResponse("pong\r\n")


@router.get("/healthy")
async def healthy() -> Response:
    """Answer while the process runs."""
    return json_response({"success": True})


@router.get("/ready")
async def ready(state: State) -> Response:
    """Answer 200 when a message sent now would be scored."""
    reason = state.why_not_ready()
    if reason is not None:
        raise reason
    return json_response({"success": True})


@router.get("/auth", dependencies=for_users)
async def auth(state: State) -> Response:
    """Say that the password is right, if one is needed."""
    return json_response({"auth": "ok", "error": "", **_about(state)})


@router.get("/stat", dependencies=for_users)
async def stat(state: State) -> Response:
    """Show what was scored and learned since the service started."""
    learned = {"spam": 0, "ham": 0}
    for labels, count in await _counted(state, state.metrics.feedback):
        if labels["outcome"] in (Outcome.LEARNED, Outcome.RELABELLED):
            learned[labels["label"]] += count
    statistics = reply.statistics(await _verdicts(state), learned, _choices(state))
    return json_response(_about(state) | statistics)


@router.get("/counters", dependencies=for_users)
async def counters(state: State) -> Response:
    """Show how often each symbol was given."""
    return json_response(reply.counters(await _verdicts(state), state.uptime_s))


async def _check(
    state: ServiceState, model: ActiveModel, body: bytes, deadline: float, started: float
) -> dict[str, Any]:
    ids: list[str] = []

    def read() -> bytes:
        raw = decompressed(body, state.settings.max_message_bytes)
        ids.append(message_id(raw))
        return raw

    scored = await state.scoring.score(
        model, [Mail(len(body), read)], deadline=deadline, parse_started=state.clock.now()
    )
    (result,) = scored.results
    if isinstance(result, ApiError):
        raise result
    return reply.checked(
        result.score,
        model,
        _choices(state),
        message_id=ids[0],
        seconds=state.clock.now() - started,
    )


async def _learn(request: Request, state: ServiceState, deadline: float, label: Label) -> Response:
    with state.counted(), state.holding() as hold:
        async with within(deadline, state, TOO_LATE):
            refuse_other_places(request.headers)
            # Whatever the content type says: mailcow sends a message as a form (curl --data-binary).
            body = await read_body(request, state, max_message_bytes=state.settings.max_message_bytes)
            if not body:
                raise NoMessageError
            raw = await state.parser.run(partial(decompressed, body, state.settings.max_message_bytes))
            hold(len(raw) - len(body))  # decompressed it is held too, until it is written down
            learning = learn_mail(state, raw, label, deadline=deadline, reporter=reporter(request.headers))
            learned = await unless_gone(request, learning)
    state.metrics.feedback_given(learned.label, learned.outcome)
    if learned.outcome is Outcome.ALREADY_LEARNED:
        known = {"error": f"This message has been learned as {label} already.", "error_domain": learned.outcome.value}
        return json_response(known, 208)
    return json_response({"success": True, "id": learned.id, "outcome": learned.outcome})


async def _read_or_skip(request: Request, state: ServiceState) -> bytes | None:
    """Return the body; None, after all of it, when it is too large for a message.

    A mail server would send such a message again for days and then give it back to its sender.

    Raises:
        NoMessageError: there is no body.
        ApiError: request_too_large.
    """
    try:
        body = await read_body(request, state, max_message_bytes=state.settings.max_message_bytes)
    except ApiError as error:
        if error.code is not ErrorCode.MESSAGE_TOO_LARGE:
            raise
        try:
            async for _ in request.stream():
                pass
        except ClientDisconnect:
            raise ClientGoneError from None
        return None
    if not body:
        raise NoMessageError
    return body


async def _verdicts(state: ServiceState) -> dict[Verdict, int]:
    return {Verdict(labels["verdict"]): count for labels, count in await _counted(state, state.metrics.predictions)}


async def _counted(state: ServiceState, counter: Counter) -> list[tuple[dict[str, str], int]]:
    # In a thread: the files of many workers take a while to read.
    return await asyncio.to_thread(state.metrics.counted, counter)


def _choices(state: ServiceState) -> Choices:
    return Choices(reject=state.settings.rspamd_reject, mark_unsure=state.settings.rspamd_mark_unsure)


def _about(state: ServiceState) -> dict[str, Any]:
    version = state.model.classifier.version if state.model else "without a model"
    return {"version": f"hamlet {version}", "uptime": int(state.uptime_s), "read_only": False}
