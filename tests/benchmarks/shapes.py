"""`python -m tests.benchmarks.shapes`: what the CPU library keeps for each shape of a batch, in time and memory.

Reads random tokens in bfloat16, where the CPU has it, at one width of windows after the other and at 1 to 32 windows,
first as they are, then rounded up as classifier.network does.
"""

import time
from collections.abc import Callable

import psutil
import torch

from classifier.artifact import active_folder, bundled_models
from classifier.network import computes_in_bfloat16
from classifier.pipeline import SpamClassifier
from tests.benchmarks.in_process import threads
from tests.benchmarks.load import apart

WIDTHS = (16, 64, 128, 256)
WINDOWS = range(1, 33)

Read = Callable[[torch.Tensor, torch.Tensor], None]


def main() -> None:
    """Measure each way in a process of its own and print the table."""
    print("| windows | shapes | first time, ms each | again, ms each | MB each |\n|---|---|---|---|---|")
    with threads(1):
        for what, is_rounded in (("as they are", False), ("rounded up", True)):
            print(f"| {what} | {apart(measure, is_rounded)}")


def measure(is_rounded: bool) -> str:
    """Return the cells of one way."""
    network = SpamClassifier.load(active_folder(bundled_models())).network.deep
    if computes_in_bfloat16():
        network.to_bfloat16()

    def read(token_ids_WT: torch.Tensor, lengths_W: torch.Tensor) -> None:
        if is_rounded:
            network(token_ids_WT, lengths_W, torch.arange(len(lengths_W)), len(lengths_W))
        else:
            network._read(token_ids_WT, lengths_W)

    _read_all(read, WIDTHS[:1], range(1, 3))
    before, first_s = psutil.Process().memory_info().rss, _read_all(read, WIDTHS, WINDOWS)
    grown, again_s = psutil.Process().memory_info().rss - before, _read_all(read, WIDTHS, WINDOWS)
    shapes = len(WIDTHS) * len(WINDOWS)
    return f"{shapes} | {first_s / shapes * 1000:.1f} | {again_s / shapes * 1000:.1f} | {grown / shapes / 1e6:.2f} |"


def _read_all(read: Read, widths: tuple[int, ...], windows: range) -> float:
    started = time.perf_counter()
    with torch.inference_mode():
        for width in widths:
            for number in windows:
                read(torch.randint(1, 1000, (number, width)), torch.full((number,), width))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
