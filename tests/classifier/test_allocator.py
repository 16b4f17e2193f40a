"""Memory that is freed and taken again."""

import platform
import subprocess
import sys

import pytest

# Each round frees so many MiB in pieces, as a batch frees its arrays, and takes them again.
ROUNDS = """
import resource
import threading
import numpy
def rounds():
    for number in range(60):
        arrays = [numpy.ones(1 << 20, numpy.uint8) for _ in range({mebibytes})]
        del arrays
        if number == 9:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
HERE = ROUNDS.format(mebibytes=24) + "rounds()"
# More than glibc lets a thread's own heap hold.
IN_A_THREAD = ROUNDS.format(mebibytes=96) + "threading.Thread(target=rounds).start()"
A_STEP_OF_TRAINING = """
import contextlib
from training.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(None):
    main(["--help"])
"""
TOLD_BY = {
    "itself": "from classifier.allocator import keep_freed_memory; assert keep_freed_memory(64 << 20)",
    "a process of the service": "from service.process_setup import set_up_process; set_up_process(1)",
    "a step of training": A_STEP_OF_TRAINING,
}


pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="another C library's allocator is left as it is"
)


@pytest.mark.parametrize("told_by", TOLD_BY)
def test_memory_that_is_kept_is_not_cleared_anew(told_by: str) -> None:
    """Fifty batches of 24 MiB touch hardly a new page; without, the kernel clears thousands."""
    faults = _faults(TOLD_BY[told_by] + HERE)
    assert faults < 500
    assert _faults(HERE) > 10 * max(faults, 50)


def test_a_thread_keeps_what_a_training_step_frees() -> None:
    """The directions of a network are learned from in threads."""
    faults = _faults(A_STEP_OF_TRAINING + IN_A_THREAD)
    assert faults < 500
    assert _faults(IN_A_THREAD) > 10 * max(faults, 50)


def _faults(program: str) -> int:
    command = [sys.executable, "-c", program]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
