"""What the service asks of a model, and the one that is in service."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from classifier.reasons import Explanation
from classifier.verdict import Thresholds, Verdict
from service.parsing.jobs import Reader


class Prepared(Protocol):
    """A message that is ready for the model; see classifier.encoding.PreparedMessage."""

    @property
    def tokens(self) -> int:
        """Tokens that the model will read."""

    @property
    def truncated(self) -> bool:
        """Whether the message had more tokens than the model reads."""

    @property
    def defects(self) -> tuple[str, ...]:
        """What was wrong with the message."""


class Score(Protocol):
    """The model's answer; see classifier.pipeline.Score."""

    @property
    def probability(self) -> float:
        """Calibrated probability of spam."""

    @property
    def verdict(self) -> Verdict:
        """The band it falls into."""


class Weighed(Protocol):
    """A message whose tokens are weighed; see classifier.reasons.WeighedMessage."""

    def explanation(self) -> Explanation:
        """Put it into words; needs no torch, any thread."""


class Classifier(Protocol):
    """What the service asks of a model; see classifier.pipeline.SpamClassifier."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def version(self) -> str:
        """Version of the artifact."""

    @property
    def digest(self) -> str:
        """`sha256:...` of the artifact."""

    @property
    def thresholds(self) -> Thresholds:
        """Where ham ends and spam begins."""

    @property
    def card(self) -> Mapping[str, Any]:
        """The model card."""

    @property
    def max_tokens(self) -> int:
        """Tokens that the model reads of one message."""

    @property
    def reader(self) -> Reader | None:
        """What another process may prepare with as `prepare` does; None where it has to be done here."""

    def prepare(self, mail: Any) -> Any:
        """Turn `bytes` or `MailFields` into what `score` takes; raises MessageError."""

    def prepare_to_explain(self, mail: Any) -> Any:
        """As `prepare`, what it gives can be followed back to the mail: see classifier.reasons.ExplainableMessage."""

    def weigh(self, prepared: Sequence[Any]) -> "Sequence[Weighed]":
        """Weigh the tokens of messages that were prepared to be explained, in order."""

    def score(self, prepared: Sequence[Any]) -> Sequence[Any]:
        """Score prepared messages, in order."""

    def warm_up(self) -> None:
        """Run real inferences at several lengths."""

    def self_test(self) -> None:
        """Raise SelfTestError unless the golden messages get their scores."""

    def use_cuda(self) -> bool:
        """Have a GPU score from now on where there is one; return whether."""

    def use_bfloat16(self) -> bool:
        """Score in bfloat16 from now on where the CPU computes in it; return whether."""


class ActiveModel:
    """A model in service and since when. Requests keep the one they began with."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.loaded_at = datetime.now(UTC)
        # What every answer says of the model; made once.
        self.identity = {"name": classifier.name, "version": classifier.version, "digest": classifier.digest}

    def describe(self) -> dict[str, Any]:
        """Return what GET /v1/model shows."""
        card = dict(self.classifier.card)
        return {
            **self.identity,
            "thresholds": {
                "ham_below": self.classifier.thresholds.ham_below,
                "spam_from": self.classifier.thresholds.spam_from,
            },
            "max_tokens": self.classifier.max_tokens,
            "loaded_at": self.loaded_at.isoformat(timespec="seconds"),
            "metrics": card.get("measures"),
            "card": card,
        }
