"""How many threads one process of the service may use."""

import os

from classifier.threads import limit_threads
from service.settings import Settings


def set_threads(settings: Settings) -> None:
    """Say how many threads one inference may use; the libraries read this once, when they load."""
    # One, whatever the cores: a step of the LSTM is too short to share, so that of two threads each waits for the other
    # at every token. Four clients on two cores got 430 messages/s with one and 315 with two, one alone 6 and 10 ms.
    limit_threads(settings.inference_threads)
    # Threads that spin while they wait take the cores from parsing and from neighbours: 32 messages of 768 tokens
    # on two cores shared with another busy process took 1.74 s with spinning and 0.24 s without (one run each).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
