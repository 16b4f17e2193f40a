"""What is kept of many states: their mean and maximum, over the tokens of a window and the windows of a message.

Shape letters: B messages, W windows, T tokens of the longest window, H hidden width, R readout width.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def highest_over_time(states_TWH: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum over time (W, H) and the first place where it stands, int64 (W, H).

    On a CPU by the kernel that pools pictures, one column each with a channel for every state: it is vectorised over
    channels. `Tensor.max` is not, and takes 12 to 20 times as long (docs/experiments.md, 2026-11-29).
    """
    if not states_TWH.is_cpu:
        highest_WH, place_WH = states_TWH.max(0)
        return highest_WH, place_WH
    steps, windows, width = states_TWH.shape
    column_1CT1 = states_TWH.reshape(1, steps, 1, windows * width).permute(0, 3, 1, 2)
    highest_1C11, place_1C11 = torch.nn.functional.max_pool2d(column_1CT1, (steps, 1), return_indices=True)
    return highest_1C11.reshape(windows, width), place_1C11.reshape(windows, width)


def mean_and_highest_over_time(states_TWH: Tensor, lengths_W: Tensor) -> tuple[Tensor, Tensor]:
    """Return float32 mean and maximum (W, H) of the first `length` states of each window, for gradients to be taken of.

    The way back goes over the states once: torch's own, through a mask, a mean and a maximum, goes over them six times.
    """
    pooled: tuple[Tensor, Tensor] = _MeanAndHighest.apply(  # type: ignore[no-untyped-call]  # torch's own lacks types
        states_TWH, lengths_W
    )
    return pooled


def pool_windows(window_WR: Tensor, message_W: Tensor, messages: int) -> Tensor:
    """Maximum and mean over the windows of each message, side by side (B, 2R)."""
    window_WR = window_WR.float()
    index_WR = message_W[:, None].expand_as(window_WR)
    empty_BR = window_WR.new_zeros(messages, window_WR.shape[1])
    highest_BR = empty_BR.scatter_reduce(0, index_WR, window_WR, "amax", include_self=False)
    mean_BR = empty_BR.scatter_reduce(0, index_WR, window_WR, "mean", include_self=False)
    return torch.cat([highest_BR, mean_BR], dim=1)


class _MeanAndHighest(torch.autograd.Function):
    """Autocast has no say here: all is in the type of the states, but for the results."""

    @staticmethod
    def forward(ctx: Any, states_TWH: Tensor, lengths_W: Tensor) -> tuple[Tensor, Tensor]:
        is_read_TW1 = (torch.arange(len(states_TWH), device=states_TWH.device)[:, None] < lengths_W)[:, :, None]
        with torch.autocast(states_TWH.device.type, enabled=False):
            mean_WH = (states_TWH * is_read_TW1.to(states_TWH.dtype)).sum(0) / lengths_W[:, None].float()
            floor_TW1 = is_read_TW1.new_zeros(is_read_TW1.shape, dtype=states_TWH.dtype)
            highest_WH, place_WH = highest_over_time(states_TWH + floor_TW1.masked_fill(~is_read_TW1, float("-inf")))
        ctx.save_for_backward(is_read_TW1, lengths_W, place_WH)
        ctx.dtype = states_TWH.dtype
        return mean_WH, highest_WH.float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes_WH: Tensor) -> tuple[Tensor, None]:
        of_mean_WH, of_highest_WH = slopes_WH
        is_read_TW1, lengths_W, place_WH = ctx.saved_tensors
        of_states_TWH = is_read_TW1.to(ctx.dtype) * (of_mean_WH / lengths_W[:, None]).to(ctx.dtype)
        # In one row, for `scatter_add_` copies the whole of what is bfloat16.
        places = place_WH.flatten() * place_WH.numel() + torch.arange(place_WH.numel(), device=place_WH.device)
        of_states_TWH.view(-1).index_add_(0, places, of_highest_WH.flatten().to(ctx.dtype))
        return of_states_TWH, None
