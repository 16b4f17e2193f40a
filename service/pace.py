"""How fast messages get through the whole service, parsing and waiting for a core included."""

from collections import deque

RECENT_BATCHES = 64


class Pace:
    """Mean time between scored messages over recent batches, idle time left out.

    By Little's law so many messages in flight take that time each until the last is scored. A batch's own time tells
    less: where the cores are taken by parsing, messages wait before they are queued.
    """

    def __init__(self, recent_batches: int = RECENT_BATCHES) -> None:
        self._seen: deque[tuple[int, float]] = deque(maxlen=recent_batches)
        self._messages = 0
        self._seconds = 0.0
        self._since = 0.0

    def begin(self, now: float) -> None:
        """A message came while none was in flight."""
        self._since = now

    def scored(self, messages: int, now: float) -> None:
        """So many messages were scored."""
        if len(self._seen) == self._seen.maxlen:
            oldest_messages, oldest_seconds = self._seen[0]
            self._messages -= oldest_messages
            self._seconds -= oldest_seconds
        self._seen.append((messages, now - self._since))
        self._messages += messages
        self._seconds += now - self._since
        self._since = now

    def seconds(self, messages: int) -> float:
        """Return the expected time until so many are scored; 0.0 before the first."""
        return messages * max(self._seconds, 0.0) / self._messages if self._messages else 0.0
