"""The one path from a mail to its score, in training and in service alike.

raw bytes or fields -> Message -> text -> token ids      prepare(): no torch, any thread
token ids -> windows -> logit -> probability -> verdict  score():   torch, one thread at a time
"""

import base64
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

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

log = logging.getLogger(__name__)

_CUDA = torch.device("cuda")

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
        try:
            logits = self._scorer.logits(messages, read_all=read_all)
        except RuntimeError as error:
            if not self._scorer.on_device:
                raise
            log.error("the GPU failed; the CPU computes everything from now on, which is slower: %s", error)
            self._scorer.use_float32()
            self.use_bfloat16()
            self._scorer.compile()
            logits = self._scorer.logits(messages, read_all=read_all)
        return [self._score(logit) for logit in logits]

    def warm_up(self) -> None:
        """Compile the network and run it at short, middle and full lengths, so that no mail waits for set-up."""
        self._scorer.compile()
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

    def use_cuda(self) -> bool:
        """Have a GPU run the LSTM from now on, where torch sees one; return whether.

        Verdicts stay those of the CPU's float32: see `use_bfloat16`. The n-grams stay with the CPU, and so does what
        `weigh` reckons.
        """
        return torch.cuda.is_available() and self._adopt("CUDA", partial(self._scorer.use_device, _CUDA))

    def use_bfloat16(self) -> bool:
        """Score in bfloat16 from now on, where the CPU computes in it; return whether.

        What is near a threshold is scored again in float32, so that verdicts are those of float32; no probability
        moves by more than 0.01: see classifier.scoring. Where a golden message would leave the tolerance of the
        self-test, everything stays in float32. `network` is not touched.
        """
        return computes_in_bfloat16() and self._adopt("bfloat16", self._scorer.use_bfloat16)

    def _adopt(self, name: str, use: Callable[[], None]) -> bool:
        """Compute in another way from now on, unless it fails or a golden message leaves the tolerance."""
        try:
            use()
            moved = [golden.name for golden, found in self._golden_probabilities() if not _is_kept((golden, found))]
            why_not = f"it would move the golden messages {', '.join(moved)}" if moved else None
        except RuntimeError as error:  # what torch raises where a GPU's driver or memory does not do
            why_not = str(error)
        if why_not:
            self._scorer.use_float32()
            log.warning("%s is not used, which is slower: %s", name, why_not)
        else:
            log.info("%s is used", name)
        return not why_not

    def _golden_probabilities(self) -> list[tuple[GoldenMessage, float]]:
        """Each golden message with the probability that it gets here when both halves read it."""
        prepared = [self.prepare(base64.b64decode(golden.raw_base64)) for golden in self._artifact.golden]
        logits = self._scorer.logits([message.token_ids for message in prepared], read_all=True)
        found = map(self._artifact.calibration.probability, logits)
        return list(zip(self._artifact.golden, found, strict=True))

    def _score(self, logit: float) -> Score:
        probability = self._artifact.calibration.probability(logit)
        return Score(logit, probability, self.thresholds.verdict(probability))


def _is_kept(golden: tuple[GoldenMessage, float]) -> bool:
    """Whether a golden message got the probability that it was published with; NaN is not."""
    message, found = golden
    return abs(found - message.spam_probability) <= _GOLDEN_TOLERANCE
