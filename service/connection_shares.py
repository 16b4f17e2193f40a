"""How many connections each worker has, where all of them can see it: a number each in memory that they share."""

import contextlib
import mmap
import sys
import tempfile
from collections.abc import Iterator

_NUMBER_BYTES = 8
_ABSENT = -1


@contextlib.contextmanager
def shared_numbers(workers: int) -> Iterator[int]:
    """Yield the descriptor of a file without a name for so many workers, all absent: it is what they are given."""
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(_ABSENT.to_bytes(_NUMBER_BYTES, sys.byteorder, signed=True) * workers)
        yield file.fileno()


class ConnectionShares:
    """The numbers, as one worker sees them, or the supervisor in its place."""

    def __init__(self, descriptor: int, number: int) -> None:
        """Open what `shared_numbers` made, for the worker with this number, counted from 1."""
        self._numbers = memoryview(mmap.mmap(descriptor, 0)).cast("q")
        self._place = number - 1

    def set(self, connections: int) -> None:
        """Tell the others how many this worker has."""
        self._numbers[self._place] = connections

    def leave(self) -> None:
        """Tell the others that this worker accepts no more."""
        self._numbers[self._place] = _ABSENT

    def another_has_fewer(self) -> bool:
        """Whether a worker that accepts has fewer connections than this one."""
        own = self._numbers[self._place]
        return any(_ABSENT < number < own for number in self._numbers)
