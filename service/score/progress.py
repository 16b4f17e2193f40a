"""How far it is, on a terminal alone: one line on standard error that is drawn over."""

import sys
import time
from typing import TextIO

_WIDTH = 30
_EVERY_S = 0.1
_CLEAR = "\r\x1b[K"


class Progress:
    """A bar of the bytes that are done."""

    def __init__(self, total_bytes: int, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._total_bytes = total_bytes
        self._shown = total_bytes > 0 and self._stream.isatty()
        self._started = time.monotonic()
        self._drawn = self._started

    def show(self, done_bytes: int, mails: int) -> None:
        """Draw the bar, unless that was done a moment ago."""
        now = time.monotonic()
        if not self._shown or now - self._drawn < _EVERY_S:
            return
        self._drawn = now
        part = min(done_bytes / self._total_bytes, 1.0)
        passed_s = now - self._started
        left = f", {passed_s / part - passed_s:.0f} s left" if part > 0 else ""
        bar = "#" * round(part * _WIDTH)
        self._stream.write(f"{_CLEAR}[{bar:-<{_WIDTH}}] {mails} mails, {mails / passed_s:.0f}/s{left}")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        if self._shown:
            self._stream.write(_CLEAR)
            self._stream.flush()
