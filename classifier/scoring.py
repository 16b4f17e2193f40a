"""Token ids to logits, as cheaply as they can be had without another verdict.

The wide half weighs every message. Where the verdict is settled with that, whatever the deep half might say, the LSTM
does not read it. The rest it reads in bfloat16 or on a GPU where that is asked for, and what is then near a threshold
again in float32 on the CPU, so that no verdict changes.
"""

import copy
from collections.abc import Sequence

import torch
from torch import nn

from classifier.calibration import Calibration
from classifier.encoding import EncodingConfig, bucketed, make_batch
from classifier.network import score_batch, scripted
from classifier.verdict import Thresholds, Verdict
from classifier.wide_and_deep import WideAndDeep

_CPU = torch.device("cpu")
# Padded tokens a call of a half, which groups their windows by itself; bounds the memory of a large batch.
_CALL_TOKENS = 65_536
# How near a threshold log-odds are found again in float32 on the CPU, in nats, where other arithmetic found them. On
# 7,560 raw mails bfloat16 moved them by at most 0.043 (0.017 for all but one in a thousand), and a probability by at
# most 0.008.
_NEAR_NATS = 0.1
# Of the bounds on what the deep half says of one window: how far it is taken to go, and how far it goes for messages
# that are settled. `python -m tests.benchmarks.settled`: at most 0.91 on 20,002 messages, and 0.86 in the middle.
_REACHED = 0.94
_TYPICAL = 0.87


class Scorer:
    """Runs the halves of one model. The wide one, which takes little, stays on the CPU."""

    def __init__(
        self, model: WideAndDeep, encoding: EncodingConfig, calibration: Calibration, thresholds: Thresholds
    ) -> None:
        self._exact = model
        self.model = model  # or its copy in other arithmetic
        self._deep = model.deep  # of `model`, compiled or on a GPU where that is asked for
        self._encoding = encoding
        self._calibration = calibration
        self._thresholds = thresholds
        self._deep_scale: float
        self._wide_scale: float
        self._deep_scale, self._wide_scale = model.scales.tolist()
        self._least, self._most = sorted(self._deep_scale * bound for bound in model.deep.logit_bounds())

    def use_float32(self) -> None:
        """Have the CPU run the deep half in float32, as it does at first."""
        self.model = self._exact
        self._deep = self.model.deep

    def use_bfloat16(self) -> None:
        """Have the CPU run a copy of the deep half in bfloat16."""
        wide = self._exact.wide
        self.model = copy.deepcopy(self._exact, {id(wide): wide})  # the wide half is shared
        self.model.deep.to_bfloat16()
        self._deep = self.model.deep

    def use_device(self, device: torch.device) -> None:
        """Have a device run a copy of the deep half in float32, or what that device takes for it (TF32)."""
        self.model = self._exact
        self._deep = copy.deepcopy(self._exact.deep).to(device)

    def compile(self) -> None:
        """Compile the deep half in the arithmetic that was chosen, unless a device runs it; takes about 50 ms."""
        if not self.on_device:
            self._deep = scripted(self.model.deep)

    @property
    def on_device(self) -> bool:
        """Whether another device than the CPU runs the deep half."""
        return self._device != _CPU

    @property
    def _device(self) -> torch.device:
        return self._deep.embedding.weight.device

    @property
    def _is_exact(self) -> bool:
        """Whether the deep half is the CPU's in float32."""
        return self.model is self._exact and not self.on_device

    def logits(self, messages: Sequence[Sequence[int]], *, read_all: bool = False) -> list[float]:
        """Return the logit of each message, in order; it does not depend on the others (to 1e-4).

        Args:
            messages: token ids of each, as they are read.
            read_all: let the LSTM read those too whose verdict is settled.
        """
        wide = [self._wide_scale * logit for logit in self._run(self.model.wide, messages)]
        known = [None if read_all else self.settled(logit) for logit in wide]
        logits = [0.0 if logit is None else logit for logit in known]

        def read(deep: nn.Module, places: list[int], device: torch.device) -> None:
            found = self._run(deep, [messages[place] for place in places], device)
            for place, logit in zip(places, found, strict=True):
                logits[place] = wide[place] + self._deep_scale * logit

        unsettled = [place for place, logit in enumerate(known) if logit is None]
        read(self._deep, unsettled, self._device)
        if not self._is_exact:
            read(self._exact.deep, [place for place in unsettled if self._is_near_a_threshold(logits[place])], _CPU)
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

    def _run(self, half: nn.Module, messages: Sequence[Sequence[int]], device: torch.device = _CPU) -> list[float]:
        """The logit of each message by one half, which is on that device, in order."""
        logits = [0.0] * len(messages)
        with torch.inference_mode():
            for group in bucketed(messages, self._encoding, _CALL_TOKENS):
                batch = make_batch([messages[position] for position in group], self._encoding)
                scored = score_batch(half, batch, device).tolist()
                for position, logit in zip(group, scored, strict=True):
                    logits[position] = logit
        return logits

    def _verdict(self, logit: float) -> Verdict:
        return self._thresholds.verdict(self._calibration.probability(logit))

    def _is_near_a_threshold(self, logit: float) -> bool:
        reach = _NEAR_NATS / self._calibration.slope
        return self._verdict(logit - reach) is not self._verdict(logit + reach)
