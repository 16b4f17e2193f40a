"""How long a batch will take: a line through the recent ones.

Tokens are counted without padding: the network cuts a batch into windows and reads those of like length together.
"""

from collections import deque

RECENT_BATCHES = 64


class TimeEstimate:
    """Least-squares fit of seconds ≈ a + b x tokens, with a and b never negative."""

    def __init__(self, recent_batches: int = RECENT_BATCHES) -> None:
        self._seen: deque[tuple[int, float]] = deque(maxlen=recent_batches)
        self._per_batch_s = 0.0
        self._per_token_s = 0.0

    def observe(self, tokens: int, seconds: float) -> None:
        """Take in one finished batch."""
        self._seen.append((tokens, seconds))
        count = len(self._seen)
        mean_tokens = sum(of_batch for of_batch, _ in self._seen) / count
        mean_seconds = sum(took for _, took in self._seen) / count
        spread = sum((of_batch - mean_tokens) ** 2 for of_batch, _ in self._seen)
        together = sum((of_batch - mean_tokens) * (took - mean_seconds) for of_batch, took in self._seen)
        slope = together / spread if spread > 0 else 0.0
        # With one size of batch, or noise that slopes down, all the time is put on the tokens;
        # a line that cuts the axis below zero is turned into one through the origin.
        if slope <= 0 or mean_seconds - slope * mean_tokens < 0:
            slope = mean_seconds / mean_tokens if mean_tokens else 0.0
        self._per_token_s = slope
        self._per_batch_s = max(mean_seconds - slope * mean_tokens, 0.0)

    def seconds(self, tokens: int, batches: int) -> float:
        """Return the expected time for so many tokens in so many batches; 0.0 before the first observation."""
        return self._per_batch_s * batches + self._per_token_s * tokens

    def reset(self) -> None:
        """Forget everything: another model is in service."""
        self._seen.clear()
        self._per_batch_s = self._per_token_s = 0.0
