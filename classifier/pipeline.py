"""The one path from a mail to its score, in training and in service alike.

raw bytes or fields -> Message -> text -> token ids      prepare(): no torch, any thread
token ids -> windows -> logit -> probability -> verdict  score():   torch, one thread at a time
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from classifier.artifact import NAME, Artifact, GoldenMessage, load_artifact
from classifier.encoding import EncodingConfig, PreparedMessage, bucketed
from classifier.errors import ArtifactCorruptError, SelfTestError
from classifier.explanation import Weights, logit_of_nothing, token_weights
from classifier.message import MailFields, ParseLimits, read_mail
from classifier.network import computes_in_bfloat16
from classifier.reader import MailReader
from classifier.reasons import ExplainableMessage, WeighedMessage, explainable
from classifier.scoring import Scorer
from classifier.tokenizer import PADDING_ID, TextTokenizer
from classifier.verdict import Thresholds, Verdict
from classifier.wide_and_deep import WideAndDeep

# Padded tokens that are weighed in one go; bounds the memory of a large batch.
_CALL_TOKENS = 65_536
# How far a golden message may move on another machine: other kernels round otherwise.
_GOLDEN_TOLERANCE = 0.005


@dataclass(frozen=True, slots=True)
class Score:
    """What the network says of one message."""

    logit: float
    probability: float
    verdict: Verdict


class SpamClassifier:
    """One loaded model."""

    def __init__(self, artifact: Artifact, *, limits: ParseLimits | None = None) -> None:
        self._artifact = artifact
        self._reader = MailReader(artifact.tokenizer_json, artifact.encoding, limits or ParseLimits())
        self._network = WideAndDeep.of_sizes(artifact.network, artifact.ngrams)
        try:
            self._network.load_state_dict({name: tensor.float() for name, tensor in artifact.weights.items()})
        except RuntimeError as error:
            raise ArtifactCorruptError(
                f"the weights do not fit the network that config.json describes: {error}"
            ) from error
        self._network.eval().requires_grad_(False)
        self._scorer = Scorer(self._network, artifact.encoding, artifact.calibration, artifact.thresholds)

    @classmethod
    def load(cls, folder: Path, *, limits: ParseLimits | None = None) -> "SpamClassifier":
        """Read and verify the model in `folder`. Raises ArtifactError when it cannot be used."""
        return cls(load_artifact(folder), limits=limits)

    @property
    def name(self) -> str:
        return NAME

    @property
    def version(self) -> str:
        return self._artifact.version

    @property
    def digest(self) -> str:
        """sha256 of the manifest, which holds the sha256 of every file."""
        return self._artifact.digest

    @property
    def thresholds(self) -> Thresholds:
        return self._artifact.thresholds

    @property
    def card(self) -> dict[str, Any]:
        return self._artifact.card

    @property
    def tokenizer(self) -> TextTokenizer:
        return self._reader.tokenizer

    @property
    def reader(self) -> MailReader:
        """What `prepare` uses; another process may have its own."""
        return self._reader

    @property
    def network(self) -> WideAndDeep:
        """The network itself, in evaluation mode and frozen; score() is the way to scores."""
        return self._network

    @property
    def encoding(self) -> EncodingConfig:
        return self._artifact.encoding

    @property
    def max_tokens(self) -> int:
        return self._artifact.encoding.max_tokens

    def prepare(self, mail: bytes | MailFields) -> PreparedMessage:
        """Parse, normalise and tokenise one mail. Thread-safe; loads nothing, needs no torch.

        Raises:
            MessageError: there is nothing in it to score. Broken mail does not raise.
        """
        return self._reader.prepare(mail)

    def prepare_to_explain(self, mail: bytes | MailFields) -> ExplainableMessage:
        """As `prepare`, for `weigh`; takes several times as long."""
        return explainable(read_mail(mail, self._reader.limits), self.tokenizer, self.encoding)

    def weigh(self, prepared: Sequence[ExplainableMessage]) -> list[WeighedMessage]:
        """Weigh the tokens of messages by how far each moves the log-odds of the probability; in order."""
        weights = self.token_weights([message.token_ids for message in prepared])
        return [
            WeighedMessage(message, of_message.tolist()) for message, of_message in zip(prepared, weights, strict=True)
        ]

    def token_weights(self, messages: Sequence[Sequence[int]]) -> list[Weights]:
        """Return how far each token moves the log-odds of each message's probability, in nats.

        What is weighed is what made the score: where the LSTM does not read a message, the n-grams alone.

        Args:
            messages: token ids of each, as they are read.
        """
        weights: list[Weights] = [np.empty(0, np.float32)] * len(messages)
        for group in bucketed(messages, self.encoding, _CALL_TOKENS):
            found = token_weights(
                self._scorer.model,
                [messages[position] for position in group],
                self.encoding,
                is_settled=lambda wide_logit: self._scorer.settled(wide_logit) is not None,
            )
            for position, of_message in zip(group, found, strict=True):
                weights[position] = self._artifact.calibration.slope * of_message
        return weights

    @property
    def log_odds_of_nothing(self) -> float:
        """The log-odds of spam from which the weights start where both halves read a message."""
        calibration = self._artifact.calibration
        return calibration.slope * logit_of_nothing(self._network) + calibration.offset

    def score(self, prepared: Sequence[PreparedMessage], *, read_all: bool = False) -> list[Score]:
        """Score messages in one go, in the order given. A score does not depend on the others (to 1e-4).

        Args:
            prepared: messages that `prepare` of this model gave.
            read_all: let the LSTM read those too whose verdict it cannot change; see classifier.scoring.
        """
        messages = [message.token_ids for message in prepared]
        return [self._score(logit) for logit in self._scorer.logits(messages, read_all=read_all)]

    def warm_up(self) -> None:
        """Run the network at short, middle and full lengths, so that the first mail need not wait for set-up."""
        for tokens in (16, 128, self.encoding.window_tokens, self.max_tokens):
            self.score([PreparedMessage([PADDING_ID + 1] * tokens, False)] * 2, read_all=True)

    def self_test(self) -> None:
        """Score the golden messages.

        Raises:
            SelfTestError: one of them does not get the probability that it was published with.
        """
        for golden, found in self._golden_probabilities():
            if not _is_kept((golden, found)):
                raise SelfTestError(
                    f"model {self.version} gives its golden message {golden.name} the probability {found:.4f}, "
                    f"published was {golden.spam_probability:.4f}: this installation computes something else"
                )

    def use_bfloat16(self) -> bool:
        """Score in bfloat16 from now on, where the CPU computes in it; return whether.

        What is near a threshold is scored again in float32, so that verdicts are those of float32; no probability
        moves by more than 0.01: see classifier.scoring. Where a golden message would leave the tolerance of the
        self-test, everything stays in float32. `network` is not touched.
        """
        if not computes_in_bfloat16():
            return False
        self._scorer.use_bfloat16(wanted=True)
        if not all(map(_is_kept, self._golden_probabilities())):
            self._scorer.use_bfloat16(wanted=False)
        return self._scorer.in_bfloat16

    def _golden_probabilities(self) -> list[tuple[GoldenMessage, float]]:
        """Each golden message with the probability that it gets here when both halves read it."""
        prepared = [self.prepare(base64.b64decode(golden.raw_base64)) for golden in self._artifact.golden]
        scores = self.score(prepared, read_all=True)
        return [(golden, score.probability) for golden, score in zip(self._artifact.golden, scores, strict=True)]

    def _score(self, logit: float) -> Score:
        probability = self._artifact.calibration.probability(logit)
        return Score(logit, probability, self.thresholds.verdict(probability))


def _is_kept(golden: tuple[GoldenMessage, float]) -> bool:
    """Whether a golden message got the probability that it was published with; NaN is not."""
    message, found = golden
    return abs(found - message.spam_probability) <= _GOLDEN_TOLERANCE
