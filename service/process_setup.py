"""What one process of the service tells the libraries that compute: how many threads, and what memory to keep."""

import os

from classifier.allocator import keep_freed_memory
from classifier.threads import limit_threads


def set_up_process(inference_threads: int) -> None:
    """Tell them, before torch is imported: how many threads there are is read once."""
    keep_freed_memory()
    # One, whatever the cores: a step of the LSTM is too short to share, so that of two threads each waits for the other
    # at every token. `HAMLET_INFERENCE_THREADS=2 python -m tests.benchmarks sizes` shows what two do.
    limit_threads(inference_threads)
    # Threads that spin while they wait take the cores from parsing and from neighbours.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
