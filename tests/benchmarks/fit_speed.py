"""How fast `fit` is beside the bare LSTM: tokens/s of its steps, with all that belongs to them, and of forward and
backward of the two cells alone on random numbers of the same shapes, in the same precision. Padding counts as tokens
where the cells read it: `fit` cuts a batch into groups of windows of like length. What the cells take for batches as
they stand, all their padding read, is the last line.

    python -m tests.benchmarks.fit_speed --data PATH... --out FOLDER [--preset quick] [--threads 2] [--steps 60]

The two take turns batch by batch in one process, so that what else the machine does falls on both. On a GPU where there
is one. FOLDER may be that of a run: what is prepared there is taken up.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from classifier.allocator import TRAINING_STEP_BYTES, keep_freed_memory
from classifier.network import cut_by_length
from training.batches import TrainingBatch
from training.config import TrainingConfig, load_preset
from training.fit import _Run, _spam_network
from training.prepare import prepare

_WARM_UP = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    keep_freed_memory(TRAINING_STEP_BYTES)
    torch.set_num_threads(options.threads)
    config = load_preset(options.preset)
    corpus, tokenizer = prepare(options.data, config, options.out / "prepared")
    run = _Run(_spam_network, corpus, tokenizer, config, options.out)
    bare = _Bare(config, run._device, run._autocast)
    tokens, draw_s, step_s, bare_s, whole_s = [], [], [], [], []
    batches = run._sampler.batches(0)
    for _ in range(_WARM_UP + options.steps):
        started = time.perf_counter()
        batch = next(batches)
        drawn = time.perf_counter()
        run._step(batch)
        _wait(run._device)
        step_s.append(time.perf_counter() - drawn)
        draw_s.append(drawn - started)
        shapes = _shapes(batch, run._device)
        bare_s.append(bare.step(shapes))
        whole_s.append(bare.step([batch.batch.token_ids_WT.shape]))
        tokens.append(sum(windows * width for windows, width in shapes))
    tokens_N, draw_N, step_N, bare_N, whole_N = (
        np.array(values)[_WARM_UP:] for values in (tokens, draw_s, step_s, bare_s, whole_s)
    )
    fit_N, alone_N = tokens_N / (draw_N + step_N), tokens_N / bare_N
    print(f"{run._device}, {'bfloat16' if run._autocast else 'float32'}, {options.threads} threads, {options.preset}")
    print(f"fit              {np.median(fit_N):10,.0f} tokens/s, median of {options.steps} steps")
    print(f"bare cells       {np.median(alone_N):10,.0f}")
    print(f"fit / bare cells {np.median(fit_N / alone_N):10.2f}")
    print(f"fit / bare cells {np.median(whole_N / (draw_N + step_N)):10.2f} for batches as they stand")
    print(f"drawing batches  {draw_N.sum() / (draw_N + step_N).sum():10.1%} of the time of fit")


class _Bare:
    """Both directions of the cells, and nothing else."""

    def __init__(self, config: TrainingConfig, device: torch.device, autocast: bool) -> None:
        width, hidden = config.network.embedding_width, config.network.hidden_width
        self._cells = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for _ in range(2)).to(device)
        self._width, self._device, self._autocast = width, device, autocast

    def step(self, shapes: Sequence[Sequence[int]]) -> float:
        """Forward, and backward to the input, as the embedding needs it; return the seconds that it took."""
        inputs = [torch.randn(*shape, self._width, device=self._device, requires_grad=True) for shape in shapes]
        self._cells.zero_grad(set_to_none=True)
        _wait(self._device)
        started = time.perf_counter()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            states = [cell(input_WTE)[0] for input_WTE in inputs for cell in self._cells]
        torch.autograd.backward(states, [torch.ones_like(state) for state in states])
        _wait(self._device)
        return time.perf_counter() - started


def _shapes(batch: TrainingBatch, device: torch.device) -> Sequence[Sequence[int]]:
    """Return windows and tokens of each group that the cells read."""
    if device.type != "cpu":
        return [batch.batch.token_ids_WT.shape]
    return [(len(rows_G), width) for rows_G, width in cut_by_length(torch.from_numpy(batch.batch.lengths_W))]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
