"""Token ids to logits, as cheaply as they can be had without another verdict.

The wide half weighs every message. Where the verdict is settled with that, whatever the deep half might say, the LSTM
does not read it. The rest it reads in bfloat16 where that is asked for, and again in float32 what is then near a
threshold, so that no verdict changes.
"""

import copy
from collections.abc import Sequence

import torch
from torch import nn

from classifier.calibration import Calibration
from classifier.encoding import EncodingConfig, bucketed, make_batch
from classifier.network import score_batch
from classifier.verdict import Thresholds, Verdict
from classifier.wide_and_deep import WideAndDeep

# Padded tokens a call of a half, which groups their windows by itself; bounds the memory of a large batch.
_CALL_TOKENS = 65_536
# How near a threshold log-odds found in bfloat16 are to be found again in float32, in nats. On 7,560 raw mails bfloat16
# moved them by at most 0.043 (0.017 for all but one in a thousand), and a probability by at most 0.008.
_NEAR_NATS = 0.1
# Of the bounds on what the deep half says of one window: how far it is taken to go, and how far it goes for messages
# that are settled. `python -m tests.benchmarks.settled`: at most 0.82 on 20,002 messages, and 0.73 in the middle.
_REACHED = 0.85
_TYPICAL = 0.75


class Scorer:
    """Runs the halves of one model."""

    def __init__(
        self, model: WideAndDeep, encoding: EncodingConfig, calibration: Calibration, thresholds: Thresholds
    ) -> None:
        self._exact = model
        self.model = model  # or its copy in other arithmetic
        self._encoding = encoding
        self._calibration = calibration
        self._thresholds = thresholds
        self._deep_scale: float
        self._wide_scale: float
        self._deep_scale, self._wide_scale = model.scales.tolist()
        self._least, self._most = sorted(self._deep_scale * bound for bound in model.deep.logit_bounds())

    @property
    def in_bfloat16(self) -> bool:
        """Whether the deep half computes in bfloat16."""
        return self.model is not self._exact

    def use_bfloat16(self, *, wanted: bool) -> None:
        """Choose the arithmetic of the deep half. The model that was given is not touched."""
        self.model = self._exact
        if wanted:
            wide = self._exact.wide
            self.model = copy.deepcopy(self._exact, {id(wide): wide})  # the wide half is shared
            self.model.deep.to_bfloat16()

    def logits(self, messages: Sequence[Sequence[int]], *, read_all: bool = False) -> list[float]:
        """Return the logit of each message, in order; it does not depend on the others (to 1e-4).

        Args:
            messages: token ids of each, as they are read.
            read_all: let the LSTM read those too whose verdict is settled.
        """
        wide = [self._wide_scale * logit for logit in self._run(self.model.wide, messages)]
        known = [None if read_all else self.settled(logit) for logit in wide]
        logits = [0.0 if logit is None else logit for logit in known]

        def read(deep: nn.Module, places: list[int]) -> None:
            found = self._run(deep, [messages[place] for place in places])
            for place, logit in zip(places, found, strict=True):
                logits[place] = wide[place] + self._deep_scale * logit

        unsettled = [place for place, logit in enumerate(known) if logit is None]
        read(self.model.deep, unsettled)
        if self.in_bfloat16:
            read(self._exact.deep, [place for place in unsettled if self._is_near_a_threshold(logits[place])])
        return logits

    def settled(self, wide_logit: float) -> float | None:
        """Return the logit of a message whose verdict the deep half cannot change, None if it can.

        Args:
            wide_logit: what the wide half adds to its logit, in nats.
        """
        if self._verdict(wide_logit + _REACHED * self._most) is Verdict.HAM:
            return wide_logit + _TYPICAL * self._least
        if self._verdict(wide_logit + _REACHED * self._least) is Verdict.SPAM:
            return wide_logit + _TYPICAL * self._most
        return None

    def _run(self, half: nn.Module, messages: Sequence[Sequence[int]]) -> list[float]:
        """The logit of each message by one half, in order."""
        logits = [0.0] * len(messages)
        with torch.inference_mode():
            for group in bucketed(messages, self._encoding, _CALL_TOKENS):
                batch = make_batch([messages[position] for position in group], self._encoding)
                scored = score_batch(half, batch, torch.device("cpu")).tolist()
                for position, logit in zip(group, scored, strict=True):
                    logits[position] = logit
        return logits

    def _verdict(self, logit: float) -> Verdict:
        return self._thresholds.verdict(self._calibration.probability(logit))

    def _is_near_a_threshold(self, logit: float) -> bool:
        reach = _NEAR_NATS / self._calibration.slope
        return self._verdict(logit - reach) is not self._verdict(logit + reach)
