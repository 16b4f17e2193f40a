"""What the service answers, as types. Reading an answer raises BadAnswerError where it is not one of this service."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from classifier.verdict import Verdict
from service.client.errors import BadAnswerError, MessageRefusedError

Result = TypeVar("Result")
Label = Literal["spam", "ham"]


@dataclass(frozen=True, slots=True)
class Model:
    """The model that gave a score."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model in service: ham is below `ham_below`, spam from `spam_from`, unsure between."""

    model: Model
    ham_below: float
    spam_from: float
    card: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reason:
    """Words that moved the score, by `weight` nats of log-odds (positive leans spam): `shown[field][start:end]`."""

    text: str
    field: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Fact:
    """Something odd about how the message is built."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """The verdict on one message; `reasons`, `shown` and `facts` are there where `explain` was true."""

    verdict: Verdict
    spam_probability: float  # calibrated, in [0, 1]
    tokens: int
    truncated: bool
    defects: tuple[str, ...]
    model: Model
    reasons: tuple[Reason, ...] = ()
    shown: dict[str, str] | None = None
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Learned:
    """The entry of the journal that says so now; `id` is for `forget`."""

    id: str
    label: Label
    outcome: Literal["learned", "already_learned", "relabelled"]


@dataclass(frozen=True, slots=True)
class FeedbackEntry:
    """An entry of the journal, without its message."""

    id: str
    label: Label
    reporter: str | None
    reason: str | None
    created_at: datetime
    model_version: str | None
    spam_probability: float | None


@dataclass(frozen=True, slots=True)
class FeedbackPage:
    """Entries, newest first; `next` is for `before`, to see older ones."""

    entries: tuple[FeedbackEntry, ...]
    next: str | None


def read_answer(body: bytes, read: Callable[[Any], Result]) -> Result:
    """Read a body with one of the functions below."""
    try:
        return read(json.loads(body))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BadAnswerError(f"The answer is not one of this service: {error!r:.200}.") from error


def predictions(count: int) -> Callable[[Any], list[Prediction | MessageRefusedError]]:
    """Return a function that reads the answer to a request with so many messages."""

    def read(answer: Any) -> list[Prediction | MessageRefusedError]:
        model, results = _model(answer["model"]), answer["results"]
        if [result["id"] for result in results] != [str(place) for place in range(count)]:
            raise ValueError(f"results are not those of {count} messages, in order")
        return [_prediction(result, model) for result in results]

    return read


def model_info(answer: Any) -> ModelInfo:
    """Read GET /v1/model."""
    thresholds = answer["thresholds"]
    return ModelInfo(_model(answer), float(thresholds["ham_below"]), float(thresholds["spam_from"]), answer["card"])


def learned(answer: Any) -> Learned:
    """Read POST /v1/feedback."""
    return Learned(str(answer["id"]), answer["label"], answer["outcome"])


def feedback_page(answer: Any) -> FeedbackPage:
    """Read GET /v1/feedback."""
    return FeedbackPage(tuple(map(_entry, answer["feedback"])), answer["next"])


def _entry(entry: Any) -> FeedbackEntry:
    return FeedbackEntry(
        id=str(entry["id"]),
        label=entry["label"],
        reporter=entry["reporter"],
        reason=entry["reason"],
        created_at=datetime.fromisoformat(entry["created_at"]),
        model_version=entry["model_version"],
        spam_probability=entry["spam_probability"],
    )


def _model(model: Any) -> Model:
    return Model(str(model["name"]), str(model["version"]), str(model["digest"]))


def _prediction(result: Any, model: Model) -> Prediction | MessageRefusedError:
    if "error" in result:
        return MessageRefusedError(str(result["error"]["message"]), code=str(result["error"]["code"]))
    probability = float(result["spam_probability"])
    if not 0 <= probability <= 1:
        raise ValueError("a spam_probability is not within 0 and 1")
    return Prediction(
        verdict=Verdict(result["verdict"]),
        spam_probability=probability,
        tokens=int(result["tokens"]),
        truncated=bool(result["truncated"]),
        defects=tuple(map(str, result["defects"])),
        model=model,
        reasons=tuple(
            Reason(one["text"], one["field"], one["start"], one["end"], one["weight"])
            for one in result.get("reasons", ())
        ),
        shown=result.get("shown"),
        facts=tuple(Fact(one["code"], one["text"]) for one in result.get("facts", ())),
    )
