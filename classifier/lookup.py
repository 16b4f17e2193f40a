"""Looking up what a network reads, to be learned of: all windows both ways at once, with one way back to the embedding.

Shape letters: G windows of a group, T tokens of its longest window, E embedding width, V ids.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Reading(NamedTuple):
    """A group of windows to look up."""

    forwards_TG: Tensor  # int64 ids
    backwards_TG: Tensor  # the same in reverse
    kept_GE: Tensor  # what each width of a window's tokens is multiplied by

    @classmethod
    def both_ways(cls, token_ids_GT: Tensor, lengths_G: Tensor, kept_GE: Tensor) -> "Reading":
        """Read each window to its length, and that in reverse."""
        return cls(token_ids_GT.t(), in_reverse(token_ids_GT, lengths_G).t(), kept_GE)


class LookedUp(NamedTuple):
    """What was found of a group."""

    forwards_TGE: Tensor
    backwards_TGE: Tensor
    sum_GE: Tensor  # of `forwards_TGE` over T


def in_reverse(token_ids_GT: Tensor, lengths_G: Tensor) -> Tensor:
    """The first `length` tokens of each window in reverse; the rest wraps round into places that are never read."""
    position_T = torch.arange(token_ids_GT.shape[1], device=token_ids_GT.device)
    return token_ids_GT.gather(1, (lengths_G[:, None] - 1 - position_T) % token_ids_GT.shape[1])


def looked_up(embedding: nn.Embedding, groups: Sequence[Reading]) -> list[LookedUp]:
    """Return the embedding of the ids of each group, in the type that autocast gives to multiplications.

    All of it goes there. torch's own operations would look up and multiply float32, and on the way back fill and add
    two gradients of the whole embedding for each group (docs/experiments.md, 2026-11-29). The gradient is
    summed in float32 as theirs is.
    """
    device = embedding.weight.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else embedding.weight.dtype
    found: tuple[Tensor, ...] = _Lookup.apply(  # type: ignore[no-untyped-call]  # torch's own lacks types
        embedding.weight, groups, embedding.padding_idx, dtype
    )
    return [LookedUp(*found[start : start + 3]) for start in range(0, len(found), 3)]


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight_VE: Tensor, groups: Sequence[Reading], padding_idx: int, dtype: torch.dtype
    ) -> tuple[Tensor, ...]:
        ctx.groups, ctx.rows, ctx.padding_idx = groups, len(weight_VE), padding_idx
        found: list[Tensor] = []
        with torch.autocast(weight_VE.device.type, enabled=False):
            table_VE = weight_VE.to(dtype)
            for group in groups:
                kept_GE = group.kept_GE.to(dtype)
                forwards_TGE = nn.functional.embedding(group.forwards_TG, table_VE).mul_(kept_GE)
                backwards_TGE = nn.functional.embedding(group.backwards_TG, table_VE).mul_(kept_GE)
                found += (forwards_TGE, backwards_TGE, forwards_TGE.sum(0))
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        token_ids = [ids_TG.flatten() for group in ctx.groups for ids_TG in (group.forwards_TG, group.backwards_TG)]
        width = ctx.groups[0].kept_GE.shape[1]
        of_tokens_NE = ctx.groups[0].kept_GE.new_empty(sum(map(len, token_ids)), width)
        places = iter(of_tokens_NE.split([len(ids) for ids in token_ids]))
        for number, group in enumerate(ctx.groups):
            of_forwards_TGE, of_backwards_TGE, of_sum_GE = slopes[3 * number : 3 * number + 3]
            kept_GE = group.kept_GE
            torch.addcmul(of_sum_GE * kept_GE, of_forwards_TGE, kept_GE, out=next(places).view(of_forwards_TGE.shape))
            torch.mul(of_backwards_TGE, kept_GE, out=next(places).view(of_backwards_TGE.shape))
        of_weight_VE = torch.ops.aten.embedding_dense_backward(
            of_tokens_NE, torch.cat(token_ids), ctx.rows, ctx.padding_idx, False
        )
        return of_weight_VE, None, None, None
