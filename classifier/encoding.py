"""Token ids to windows, and windows to padded batches.

A long message is cut into windows that are read side by side, so that the way back through time stays short and good
words at either end cannot drown what stands between. Lengths are padded to a few bucket sizes: the CPU library keeps
a compiled kernel per shape, and memory grows with every new one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifier.tokenizer import PADDING_ID

Ids = npt.NDArray[np.int64]

BUCKETS = (16, 32, 64, 96, 128, 192, 256)


@dataclass(frozen=True, slots=True)
class EncodingConfig:
    """How many tokens of a message are read, and in what pieces."""

    window_tokens: int = 256
    head_tokens: int = 512
    tail_tokens: int = 256

    @property
    def max_tokens(self) -> int:
        return self.head_tokens + self.tail_tokens


@dataclass(frozen=True, slots=True)
class PreparedMessage:
    """One message, ready for the network."""

    token_ids: Sequence[int]
    truncated: bool
    defects: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of some messages. W windows, T tokens of the longest (a bucket size), B messages."""

    token_ids_WT: Ids  # right-padded with PADDING_ID
    lengths_W: Ids  # 1 <= length <= T
    message_W: Ids  # which message a window belongs to, 0 <= message < B, ascending
    messages: int  # B


def select_tokens(token_ids: Sequence[int], config: EncodingConfig) -> tuple[Sequence[int], bool]:
    """Return the tokens that are read (the head and the tail of a long message) and whether some are not."""
    if len(token_ids) <= config.max_tokens:
        return token_ids, False
    tail = token_ids[-config.tail_tokens :] if config.tail_tokens else token_ids[:0]
    return [*token_ids[: config.head_tokens], *tail], True


def bucket(length: int) -> int:
    """Return the padded length for windows of up to `length` tokens."""
    return next((size for size in BUCKETS if length <= size), -(-length // 64) * 64)


def make_batch(messages: Sequence[Sequence[int]], config: EncodingConfig) -> Batch:
    """Cut messages into windows and pad them. An empty message becomes one window of one padding token."""
    windows: list[Sequence[int]] = []
    owners: list[int] = []
    for position, token_ids in enumerate(messages):
        for start in range(0, max(len(token_ids), 1), config.window_tokens):
            windows.append(token_ids[start : start + config.window_tokens] or (PADDING_ID,))
            owners.append(position)
    width = bucket(max(map(len, windows)))
    token_ids_WT = np.full((len(windows), width), PADDING_ID, dtype=np.int64)
    for row, window in enumerate(windows):
        token_ids_WT[row, : len(window)] = window
    lengths_W = np.array([len(window) for window in windows], dtype=np.int64)
    return Batch(token_ids_WT, lengths_W, np.array(owners, dtype=np.int64), len(messages))


def bucketed(messages: Sequence[Sequence[int]], config: EncodingConfig, max_tokens: int) -> Iterator[list[int]]:
    """Split messages into groups of like length; yields positions, shortest messages first.

    Args:
        messages: token ids of each.
        max_tokens: padded tokens (windows x bucket) of a group; a single message may exceed it.
    """
    group: list[int] = []
    windows = 0
    for position in sorted(range(len(messages)), key=lambda position: len(messages[position])):
        length = len(messages[position])
        more = max(1, -(-length // config.window_tokens))
        width = bucket(min(length, config.window_tokens) or 1)
        if group and (windows + more) * width > max_tokens:
            yield group
            group, windows = [], 0
        group.append(position)
        windows += more
    if group:
        yield group
