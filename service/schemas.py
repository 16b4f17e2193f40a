"""The bodies of the HTTP contract. Loads without torch and does no work but checking shapes."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from classifier.shown_message import SHOWN_FIELDS
from service.errors import ErrorCode

MAX_ID_CHARACTERS = 256
FORMS = "raw_base64, raw, or the fields subject, from, to, reply_to, text, html"

MessageId = Annotated[str, StringConstraints(max_length=MAX_ID_CHARACTERS)]


class MailForms(BaseModel):
    """A mail in exactly one form: raw_base64, raw, or fields with at least one of subject, text, html."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)

    raw_base64: str | None = Field(None, description="The message as it stands on the wire, in standard base64.")
    raw: str | None = Field(None, description="The message as it stands on the wire, as a string.")
    subject: str | None = Field(
        None, description="As a reader sees it, or as the header has it, in encoded words; `from` and `reply_to` too."
    )
    sender: str | None = Field(None, alias="from")
    to: str | None = None
    reply_to: str | None = None
    text: str | None = Field(None, description="The plain text body.")
    html: str | None = Field(None, description="The HTML body.")

    @model_validator(mode="after")
    def _exactly_one_form(self) -> Self:
        readable = [self.subject, self.text, self.html]
        any_field = any(value is not None for value in [*readable, self.sender, self.to, self.reply_to])
        forms = [self.raw_base64 is not None, self.raw is not None, any_field].count(True)
        if forms != 1:
            raise PydanticCustomError(
                "one_form", "{why}", {"why": f"Give exactly one of {FORMS}; got {forms} of them."}
            )
        if any_field and all(value is None for value in readable):
            raise PydanticCustomError("one_form", "{why}", {"why": "Give at least one of subject, text, html."})
        return self


class MessageIn(MailForms):
    """One message of a request, in exactly one form."""

    id: MessageId | None = Field(None, description="Echoed in the result; the position in the request without it.")


class PredictRequest(BaseModel):
    """Messages to score."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    messages: list[MessageIn] = Field(min_length=1)
    explain: bool = Field(False, description="Ask for `reasons`, `shown` and `facts` of each message.")


class ErrorDetail(BaseModel):
    """What was wrong and what was expected."""

    code: ErrorCode
    message: str
    field: str | None = None


class ErrorBody(BaseModel):
    """The body of every refusal."""

    error: ErrorDetail


class MessageFailure(BaseModel):
    """Why one message has no verdict."""

    code: ErrorCode
    message: str


class ModelIdentity(BaseModel):
    """The model that gave the scores."""

    name: str
    version: str
    digest: str


class ReasonOut(BaseModel):
    """Words that moved the score: `text` is `shown[field][start:end]`."""

    text: str
    field: str
    start: int = Field(ge=0, description="In Unicode code points of `shown[field]`.")
    end: int = Field(ge=1, description="Past the last code point.")
    weight: float = Field(description="How far it moved the log-odds of spam, in nats; positive leans spam.")


class FactOut(BaseModel):
    """Something about how the message is built."""

    code: str
    text: str = Field(description="One sentence; it may quote the message.")


class Prediction(BaseModel):
    """The verdict on one message; the last three fields are there where `explain` was true."""

    id: str
    verdict: Literal["ham", "unsure", "spam"]
    spam_probability: float = Field(ge=0, le=1, description="Calibrated.")
    tokens: int = Field(ge=0, description="Tokens that the model read.")
    truncated: bool = Field(description="Whether the message was longer than the model reads.")
    defects: list[str] = Field(description="What was wrong with the message; it is scored all the same.")
    reasons: list[ReasonOut] = Field([], description="The words that moved the score, strongest first.")
    shown: dict[str, str] = Field(
        {},
        description="The message as a person would see it, and what else was read of it, by field: "
        f"{', '.join(SHOWN_FIELDS)}; a field that says nothing is not there.",
    )
    facts: list[FactOut] = Field([], description="What is odd about how the message is built.")


class FailedMessage(BaseModel):
    """A message without a verdict; its neighbours are not affected."""

    id: str
    error: MessageFailure


class Timing(BaseModel):
    """Where the time went, in milliseconds."""

    parse: float
    queue: float
    inference: float


class PredictResponse(BaseModel):
    """Results in the order of the messages."""

    model: ModelIdentity
    results: list[Prediction | FailedMessage]
    timing_ms: Timing


class RawPredictResponse(BaseModel):
    """The one result."""

    model: ModelIdentity
    result: Prediction
    timing_ms: Timing


class ThresholdsOut(BaseModel):
    """Ham is below `ham_below`, spam from `spam_from`, unsure between."""

    ham_below: float
    spam_from: float


class ModelOut(ModelIdentity):
    """What is serving."""

    thresholds: ThresholdsOut
    max_tokens: int
    loaded_at: str
    metrics: dict[str, Any] | None
    card: dict[str, Any]


class VersionOut(BaseModel):
    """A version in the folder of models; one with an `error` cannot be served."""

    version: str
    active: bool
    digest: str | None = None
    thresholds: ThresholdsOut | None = None
    metrics: dict[str, Any] | None = None
    error: str | None = None


class RefusedOut(BaseModel):
    """The last version that was refused since the one in service was put there."""

    version: str
    message: str
    at: str


class ModelsOut(BaseModel):
    """The versions, and which is in service."""

    active: str | None
    versions: list[VersionOut]
    refused: RefusedOut | None


class ActivationOut(ModelIdentity):
    """The version that is in service now, in every worker process."""

    previous: str | None = Field(description="The version that was in service before.")
    recorded: bool = Field(description="Whether the file `active` names it, so that the next start takes it too.")


class Alive(BaseModel):
    """The process runs."""

    status: Literal["alive"]


class Ready(BaseModel):
    """The service can answer now."""

    status: Literal["ready"]


class QueueOut(BaseModel):
    """What is under way."""

    messages_in_flight: int
    queued_messages: int
    queued_tokens: int


class FeedbackHealth(BaseModel):
    """The journal; it does not make the service unready."""

    problem: str | None = Field(description="Why the last attempt to use the feedback database failed, if it did.")


class Health(BaseModel):
    """Both probes, with details; `error` says why it is not ready."""

    live: bool
    ready: bool
    uptime_s: float
    model: ModelIdentity | None
    queue: QueueOut
    feedback: FeedbackHealth
    error: ErrorDetail | None = None
