"""Memory that is freed and taken again."""

import platform
import subprocess
import sys

import pytest

# Each round frees 24 MiB in pieces, as a batch frees its arrays, and takes them again.
ROUNDS = """
import resource
import numpy
def batch():
    arrays = [numpy.ones(1 << 20, numpy.uint8) for _ in range(24)]
    del arrays
for number in range(60):
    batch()
    if number == 9:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
TOLD_BY = {
    "itself": "from classifier.allocator import keep_freed_memory; assert keep_freed_memory(64 << 20)",
    "a process of the service": "from service.process_setup import set_up_process; set_up_process(1)",
    "who takes the steps of a run": """
import torch
from training.config import FitConfig
from training.steps import Stepper
layer = torch.nn.Linear(1, 1)
Stepper(layer, torch.optim.SGD(layer.parameters()), FitConfig(), 1)
""",
}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's allocator is left as it is")
@pytest.mark.parametrize("told_by", TOLD_BY)
def test_memory_that_is_kept_is_not_cleared_anew(told_by: str) -> None:
    """Fifty batches of 24 MiB touch hardly a new page; without, the kernel clears thousands."""
    faults = _faults(TOLD_BY[told_by] + ROUNDS)
    assert faults < 500
    assert _faults(ROUNDS) > 10 * max(faults, 50)


def _faults(program: str) -> int:
    command = [sys.executable, "-c", program]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
