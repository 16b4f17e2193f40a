"""How many threads one process of the service may use."""

import os

from classifier.threads import limit_threads
from service.settings import Settings


def set_threads(settings: Settings) -> None:
    """Say how many threads one inference may use; the libraries read this once, when they load."""
    # One, whatever the cores: a step of the LSTM is too short to share, so that of two threads each waits for the other
    # at every token. `HAMLET_INFERENCE_THREADS=2 python -m tests.benchmarks sizes` shows what two do.
    limit_threads(settings.inference_threads)
    # Threads that spin while they wait take the cores from parsing and from neighbours.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
