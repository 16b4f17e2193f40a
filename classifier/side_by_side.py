"""Parts of a network computed at the same time, each on threads of its own, for gradients to be taken of.

The steps of an LSTM wait for each other, and one is too small to be shared by cores. Its directions wait for nothing.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Part(NamedTuple):
    """What is computed: `function(module, *inputs)`, where nothing is drawn by lot."""

    module: nn.Module
    function: Callable[..., tuple[Tensor, ...]]
    inputs: tuple[Tensor, ...]


def side_by_side(parts: Sequence[Part]) -> list[tuple[Tensor, ...]]:
    """Return what the function of each part returns: at the same time where that is faster, on a CPU's cores.

    A thread for each part, which share torch's threads; one part after the other where torch has fewer, on a GPU, and
    where no gradient is wanted. The result and its gradients are the same but for rounding.
    """
    threads = torch.get_num_threads() // len(parts)
    on_cpu = all(tensor.is_cpu for part in parts for tensor in part.inputs)
    if threads < 1 or not on_cpu or not torch.is_grad_enabled():
        return [part.function(part.module, *part.inputs) for part in parts]
    runs = [_Run(part) for part in parts]
    learned_of = [tensor for run in runs for tensor in run.learned_of]
    computed: tuple[Tensor, ...] = _SideBySide.apply(  # type: ignore[no-untyped-call]  # torch's own lacks types
        _workers(len(parts), threads), runs, *learned_of
    )
    left = iter(computed)
    return [tuple(next(left) for _ in run.outputs) for run in runs]


class _Run:
    """One part, with the graph of its own that it leaves behind."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self.learned_of = [tensor for tensor in (*part.inputs, *part.module.parameters()) if tensor.requires_grad]
        self._autocast = torch.is_autocast_enabled("cpu")  # a thread begins without
        self._dtype = torch.get_autocast_dtype("cpu")
        self._leaves: list[Tensor] = []
        self.outputs: tuple[Tensor, ...] = ()

    def forward(self) -> None:
        inputs = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in self._part.inputs]
        # All threads have one cache of weights in another type, and who comes to an end first empties it: with it the
        # gradients of a weight that is used twice would be summed in one type or the other, as it happens.
        autocast = torch.autocast("cpu", self._dtype, enabled=self._autocast, cache_enabled=False)
        with torch.enable_grad(), autocast:
            self.outputs = self._part.function(self._part.module, *inputs)
        self._leaves = [leaf for leaf in (*inputs, *self._part.module.parameters()) if leaf.requires_grad]

    def backward(self, slopes: Sequence[Tensor]) -> Sequence[Tensor | None]:
        if not self._leaves:  # only other parts may move
            return ()
        return torch.autograd.grad(self.outputs, self._leaves, slopes, allow_unused=True)


class _SideBySide(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, workers: ThreadPoolExecutor, runs: Sequence[_Run], *learned_of: Tensor) -> tuple[Tensor, ...]:
        ctx.workers, ctx.runs = workers, runs
        list(workers.map(_Run.forward, runs))
        return tuple(output.detach() for run in runs for output in run.outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        left = iter(slopes)
        slopes_of = [[next(left) for _ in run.outputs] for run in ctx.runs]
        gradients = ctx.workers.map(_Run.backward, ctx.runs, slopes_of)
        return None, None, *(gradient for of_run in gradients for gradient in of_run)


@cache
def _workers(parts: int, threads: int) -> ThreadPoolExecutor:
    """Threads that stay: what torch and its library set up for one is not set up anew."""
    return ThreadPoolExecutor(parts, "side_by_side", torch.set_num_threads, (threads,))


os.register_at_fork(after_in_child=_workers.cache_clear)  # a forked process has none of these threads
