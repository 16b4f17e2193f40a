"""Progress for a person: a bar on a terminal, plain lines elsewhere."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
_PLAIN_SECONDS = 15.0


def say(text: str) -> None:
    """Print one line for a person, on standard error: standard output is for results. Of several ranks, one speaks."""
    if _is_silent():
        return
    tqdm.write(text, file=sys.stderr)
    sys.stderr.flush()


def progress(items: Iterable[T], what: str, total: int | None = None, first: int = 0) -> Iterator[T]:
    """Yield the items and show how far it is.

    Args:
        items: what is left to do.
        what: a few words.
        total: how many there are with those done before, when known.
        first: how many were done before.
    """
    if sys.stderr.isatty() and not _is_silent():
        yield from tqdm(items, desc=what, total=total, initial=first, dynamic_ncols=True, smoothing=0.1)
        return
    started = shown = time.monotonic()
    done = first
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - shown >= _PLAIN_SECONDS:
            shown = now
            rate = (done - first) / (now - started)
            of = f" of {total}, {max(0.0, (total - done) / rate):.0f} s left" if total else ""
            say(f"{what}: {done}{of} ({rate:.1f}/s)")
    say(f"{what}: {done} in {time.monotonic() - started:.1f} s")


def _is_silent() -> bool:
    return os.environ.get("RANK", "0") != "0"  # of torchrun
