"""From what somebody says of a mail to an entry in the journal, with what the model in service thinks of the mail."""

import asyncio
from functools import partial

from classifier.errors import MessageError
from classifier.message import MailFields
from service.batcher_contract import BatcherError, Outcome
from service.errors import message_refusal
from service.feedback.journal import Learned
from service.feedback.report import Label, Report, stored_message
from service.predictor import Work
from service.state import ServiceState

MODEL_PATIENCE_S = 2.0  # then an entry goes without what the model thinks of it
TOO_LATE = "The deadline passed before the journal answered; it may be done all the same, and to repeat it is harmless."


async def learn_mail(
    state: ServiceState,
    mail: bytes | MailFields,
    label: Label,
    *,
    deadline: float,
    reporter: str | None,
    reason: str | None = None,
    request_id: str | None = None,
) -> Learned:
    """Write down what a mail is called; once this returns it is on disk.

    Raises:
        ApiError: the mail cannot be read.
        FeedbackUnavailableError: it is not known to be on disk.
    """
    version, probability = await _ask_model(state, mail, deadline)
    report = Report(
        message=stored_message(mail),
        label=label,
        reporter=reporter,
        reason=reason,
        request_id=request_id,
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
        raise message_refusal(error.code, str(error)) from None
    now = state.clock.now()
    patience_s = min(MODEL_PATIENCE_S, (deadline - now) / 2)
    try:
        async with asyncio.timeout(patience_s):
            with state.batcher.reserve(1, now + patience_s) as reservation:
                (outcome,) = await reservation.score([(Work(model, prepared), prepared.tokens)])
    except (BatcherError, TimeoutError):
        return None, None
    if not isinstance(outcome, Outcome):
        return None, None
    return model.classifier.version, outcome.output.score.probability
