"""A thread for jobs: one in which torch runs, one that reads models."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from service.batcher_contract import WorkerDeadError

Returned = TypeVar("Returned")

_STOP = None
_Job = tuple[Future[Any], Callable[[], Any]]


class InferenceThread:
    """Runs jobs one after the other in one thread; if the thread dies, every job fails instead of hanging."""

    def __init__(self, name: str = "inference") -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._lock = threading.Lock()
        self._dead = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether jobs are being run."""
        return self._thread.is_alive() and not self._dead

    async def run(self, job: Callable[[], Returned]) -> Returned:
        """Run a job in the thread and return what it returns.

        Raises:
            WorkerDeadError: the thread has died, before or during the job.
        """
        future: Future[Returned] = Future()
        with self._lock:
            if self._dead:
                raise WorkerDeadError("The inference thread has died.")
            self._jobs.put((future, job))
        return await asyncio.wrap_future(future)

    def stop(self, timeout_s: float = 1.0) -> None:
        """Let the thread end after the jobs that it has."""
        self._jobs.put(_STOP)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _work(self) -> None:
        try:
            while (item := self._jobs.get()) is not _STOP:
                future, job = item
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(job())
                except Exception as error:
                    future.set_exception(error)
                except BaseException:  # SystemExit and the like end the thread, but not silently
                    future.set_exception(WorkerDeadError("The inference thread has died."))
                    return
        finally:
            with self._lock:
                self._dead = True
            while not self._jobs.empty():
                item = self._jobs.get()
                if item is not _STOP and item[0].set_running_or_notify_cancel():
                    item[0].set_exception(WorkerDeadError("The inference thread has died."))
