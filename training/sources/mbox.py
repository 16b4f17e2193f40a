"""mbox: messages one after another, each behind a line `From sender date`."""

from collections.abc import Iterator
from pathlib import Path

from classifier.mailboxes import split_mbox
from training.sources.opened import opened


def mbox_messages(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the place (the number of its From line) and the bytes of each message, From quoting undone (mboxrd)."""
    with opened(path) as lines:
        for message in split_mbox(lines):
            if message.stored:
                yield f"{path}:{message.line_number}", message.raw
