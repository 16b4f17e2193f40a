"""Memory that is freed and taken again."""

import platform
import subprocess
import sys

import pytest

# Each round frees 24 MiB in pieces, as a batch frees its arrays, and takes them again.
ROUNDS = """
import resource, sys
import numpy
from classifier.allocator import keep_freed_memory
print(keep_freed_memory(64 << 20) if sys.argv[1] == "kept" else None)
def batch():
    arrays = [numpy.ones(1 << 20, numpy.uint8) for _ in range(24)]
    del arrays
for number in range(60):
    batch()
    if number == 9:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's allocator is left as it is")
def test_memory_that_is_kept_is_not_cleared_anew() -> None:
    """Fifty batches of 24 MiB touch hardly a new page; without, the kernel clears thousands."""
    told, faults = _faults("kept")
    assert told == "True"
    assert faults < 500
    assert _faults("given back")[1] > 10 * max(faults, 50)


def _faults(mode: str) -> tuple[str, int]:
    command = [sys.executable, "-c", ROUNDS, mode]
    told, faults = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    return told, int(faults)
