"""Which waiting messages go into the next batch."""

from collections.abc import Sequence


def select_batch(lengths: Sequence[int], *, max_tokens: int, max_messages: int) -> list[int]:
    """Choose the positions of the next batch: always the oldest, then those closest to it in length.

    Args:
        lengths: tokens of the waiting messages, oldest first; at least one.
        max_tokens: limit on padded tokens, longest x messages. The oldest goes even if it alone is over it.
        max_messages: limit on messages.

    Returns:
        Positions in `lengths`, oldest first.
    """
    by_length = sorted(range(len(lengths)), key=lambda position: (lengths[position], position))
    below = by_length.index(0) - 1
    above = below + 2
    chosen = [0]
    oldest = longest = lengths[0]
    while len(chosen) < max_messages:
        shorter = lengths[by_length[below]] if below >= 0 else None
        longer = lengths[by_length[above]] if above < len(by_length) else None
        if longer is not None and max(longest, longer) * (len(chosen) + 1) > max_tokens:
            longer = None  # and so are all that are longer still
        if shorter is not None and longest * (len(chosen) + 1) > max_tokens:
            shorter = None
        if shorter is None and longer is None:
            break
        if longer is None or (shorter is not None and oldest - shorter <= longer - oldest):
            chosen.append(by_length[below])
            below -= 1
        else:
            chosen.append(by_length[above])
            longest = max(longest, longer)
            above += 1
    return sorted(chosen)
