"""Work in several processes, any of which may be killed: by the kernel for its memory, or by someone at night."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from training.errors import DataError
from training.progress import say

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items in work or waiting, and results waiting for an earlier one, for each process.
_AHEAD = 8
_LOST = 3  # times in a row, without a result, mean that something is wrong


def in_processes(function: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Iterator[Result]:
    """Yield `function(item)` of each item, in their order; at most a few items are taken from `items` ahead.

    What a killed process had not finished is done again, so the function may run twice for an item. When this process
    is killed the others end too.

    Args:
        function: of a module, or a partial of one, as it is found by name in the other processes.

    Raises:
        DataError: processes are lost again and again; the rest is what `function` raises.
    """
    items = iter(items)
    waiting: deque[tuple[Item, Future[Result]]] = deque()  # taken, and not yielded yet
    lost = 0
    while True:
        # Spawned: a fork after torch has started its threads may hang.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(processes, context, initializer=_watch_parent)
        try:
            waiting = deque((item, job if _has_result(job) else _asked(pool, function, item)) for item, job in waiting)
            while True:
                some = islice(items, processes * _AHEAD - len(waiting))
                waiting += ((item, _asked(pool, function, item)) for item in some)
                if not waiting:
                    return
                result = waiting[0][1].result()
                waiting.popleft()
                lost = 0
                yield result
        except BrokenProcessPool as error:
            lost += 1
            if lost == _LOST:
                raise DataError(
                    f"worker processes were killed {lost} times in a row, as the kernel does when memory runs out: "
                    "free some, and run the same command again"
                ) from error
            say("a worker process was killed; what it had not finished is done again")
        finally:
            pool.shutdown(cancel_futures=True)


def _asked(pool: ProcessPoolExecutor, function: Callable[[Item], Result], item: Item) -> Future[Result]:
    try:
        return pool.submit(function, item)
    except BrokenProcessPool as error:
        broken: Future[Result] = Future()
        broken.set_exception(error)
        return broken


def _has_result(job: Future[Result]) -> bool:
    return job.done() and not job.cancelled() and job.exception() is None


def _watch_parent() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker waits for its next item for ever when the process that would send it was killed."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
