"""Looking up what a network reads, to be learned of: both directions at once, with one way back to the embedding.

Shape letters: W windows, T tokens of the longest window, E embedding width, V ids.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def looked_up(
    embedding: nn.Embedding, token_ids_TW: Tensor, reversed_TW: Tensor, kept_WE: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the embedding of the ids, of the ids in reverse, (T, W, E) both, and the first one's sum (W, E).

    In the type that autocast gives to multiplications, for that is where all of it goes. torch's own operations would
    look up and multiply float32, and on the way back fill and add two gradients of the whole embedding: half as fast
    (docs/experiments.md, 2026-11-29). The gradient is summed in float32 as theirs is.

    Args:
        kept_WE: what each width of a window's tokens is multiplied by.
    """
    device = embedding.weight.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else embedding.weight.dtype
    found: tuple[Tensor, Tensor, Tensor] = _Lookup.apply(  # type: ignore[no-untyped-call]  # torch's own lacks types
        embedding.weight, token_ids_TW, reversed_TW, kept_WE, embedding.padding_idx, dtype
    )
    return found


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight_VE: Tensor,
        token_ids_TW: Tensor,
        reversed_TW: Tensor,
        kept_WE: Tensor,
        padding_idx: int,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(torch.cat([token_ids_TW, reversed_TW]), kept_WE)
        ctx.rows, ctx.padding_idx = len(weight_VE), padding_idx
        with torch.autocast(weight_VE.device.type, enabled=False):
            table_VE, kept_WE = weight_VE.to(dtype), kept_WE.to(dtype)
            forwards_TWE, backwards_TWE = (
                nn.functional.embedding(ids_TW, table_VE).mul_(kept_WE) for ids_TW in (token_ids_TW, reversed_TW)
            )
            return forwards_TWE, backwards_TWE, forwards_TWE.sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        of_forwards_TWE, of_backwards_TWE, of_sum_WE = slopes
        token_ids_DW, kept_WE = ctx.saved_tensors  # D: both directions' T
        steps = len(of_forwards_TWE)
        of_tokens_DWE = kept_WE.new_empty(2 * steps, *kept_WE.shape)
        torch.addcmul(of_sum_WE * kept_WE, of_forwards_TWE, kept_WE, out=of_tokens_DWE[:steps])
        torch.mul(of_backwards_TWE, kept_WE, out=of_tokens_DWE[steps:])
        of_weight_VE = torch.ops.aten.embedding_dense_backward(
            of_tokens_DWE, token_ids_DW, ctx.rows, ctx.padding_idx, False
        )
        return of_weight_VE, None, None, None, None, None
