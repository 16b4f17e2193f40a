"""Probability to verdict: two thresholds cut [0, 1] into ham, unsure and spam."""

from dataclasses import dataclass
from enum import StrEnum

from classifier.errors import ThresholdError


class Verdict(StrEnum):
    """What to do with a message."""

    HAM = "ham"
    UNSURE = "unsure"
    SPAM = "spam"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Half-open bands: ham is [0, ham_below), unsure [ham_below, spam_from), spam [spam_from, 1]."""

    ham_below: float
    spam_from: float

    def __post_init__(self) -> None:
        # A NaN fails every comparison, so it ends here too.
        if not 0 <= self.ham_below <= self.spam_from <= 1:
            raise ThresholdError(f"need 0 <= ham_below <= spam_from <= 1, got {self.ham_below} and {self.spam_from}")

    def verdict(self, probability: float) -> Verdict:
        """Return the band that a spam probability in [0, 1] falls into."""
        if probability >= self.spam_from:
            return Verdict.SPAM
        return Verdict.HAM if probability < self.ham_below else Verdict.UNSURE
