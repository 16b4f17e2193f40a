"""One retraining job at a time on one folder of models. The kernel gives the lock back however a job ends."""

import datetime
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import RetrainError

_NAME = ".retrain.lock"


@contextmanager
def locked(models: Path) -> Iterator[None]:
    """Hold the lock of this folder.

    Raises:
        RetrainError: another job holds it, or the folder cannot be written.
    """
    path = models / _NAME
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise RetrainError(
            f"cannot write to {models} ({error.strerror}): new versions are published there, so the job needs to; "
            "nothing was done"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RetrainError(
                f"another job is at work on {models} ({file.read().strip()}); this one does nothing"
            ) from None
        file.truncate(0)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {now}")
        file.flush()
        yield
