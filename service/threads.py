"""How many threads one process of the service may use."""

import os

from classifier.threads import available_cores, limit_threads
from service.settings import Settings


def set_threads(settings: Settings) -> None:
    """Say how many threads one inference may use; the libraries read this once, when they load."""
    limit_threads(settings.inference_threads or threads_of_worker(available_cores(), settings.workers))
    # Threads that spin while they wait take the cores from parsing and from neighbours: 32 messages of 768 tokens
    # on two cores shared with another busy process took 1.74 s with spinning and 0.24 s without (one run each).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def threads_of_worker(cores: int, workers: int) -> int:
    """Return the share of one worker, at least 1."""
    return max(cores // workers, 1)
