"""Logit to probability: Platt scaling (Platt 1999), a slope and an offset learned on mail of its own."""

import math
from dataclasses import dataclass

from classifier.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = sigmoid(slope * logit + offset)."""

    slope: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.offset) and self.slope > 0):
            raise ConfigError(f"calibration needs a finite slope > 0 and a finite offset, got {self}")

    def probability(self, logit: float) -> float:
        """Return the spam probability in (0, 1) for a logit in nats."""
        scaled = self.slope * logit + self.offset
        if scaled >= 0:
            return 1 / (1 + math.exp(-min(scaled, 700.0)))
        odds = math.exp(max(scaled, -700.0))
        return odds / (1 + odds)
