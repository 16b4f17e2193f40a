"""Looking up with one way back, beside torch's own operations."""

import pytest
import torch
from torch import nn

from classifier.lookup import Reading, looked_up
from classifier.tokenizer import PADDING_ID

STEPS, WINDOWS, WIDTH, VOCABULARY = 9, 4, 6, 20


@pytest.mark.parametrize("bfloat16", [False, True])
def test_what_is_looked_up_and_its_gradient(bfloat16: bool) -> None:
    """Ids that stand more than once, in both directions, are summed up in float32; padding learns nothing."""
    torch.manual_seed(5)
    embedding = nn.Embedding(VOCABULARY, WIDTH, padding_idx=PADDING_ID)
    token_ids_TW, reversed_TW = torch.randint(0, VOCABULARY, (2, STEPS, WINDOWS))
    kept_WE = 2.0 * (torch.rand(WINDOWS, WIDTH) < 0.5)
    slopes = [torch.randn(shape) for shape in ((STEPS, WINDOWS, WIDTH), (STEPS, WINDOWS, WIDTH), (WINDOWS, WIDTH))]
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        # The same windows as two groups.
        groups = [
            Reading(token_ids_TW[:, :1], reversed_TW[:, :1], kept_WE[:1]),
            Reading(token_ids_TW[:, 1:], reversed_TW[:, 1:], kept_WE[1:]),
        ]
        parts = looked_up(embedding, groups)
    found = [torch.cat(sides, dim=-2) for sides in zip(*parts, strict=True)]
    assert {tensor.dtype for tensor in found} == {torch.bfloat16 if bfloat16 else torch.float32}
    (gradient,) = torch.autograd.grad(found, embedding.weight, [slope.to(found[0].dtype) for slope in slopes])

    forwards, backwards = (embedding(token_ids) * kept_WE for token_ids in (token_ids_TW, reversed_TW))
    plain = (forwards, backwards, forwards.sum(0))
    (expected,) = torch.autograd.grad(plain, embedding.weight, slopes)
    tolerance = 0.05 if bfloat16 else 1e-5
    for tensor, other in zip(found, plain, strict=True):
        torch.testing.assert_close(tensor.float(), other, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(gradient, expected, atol=tolerance, rtol=tolerance)
    assert gradient.dtype == torch.float32
    assert not gradient[PADDING_ID].any()


def test_an_embedding_that_may_not_move_has_no_gradient() -> None:
    """As when the layers above are fitted first."""
    embedding = nn.Embedding(VOCABULARY, WIDTH, padding_idx=PADDING_ID).requires_grad_(False)
    token_ids_TW = torch.ones(STEPS, WINDOWS, dtype=torch.int64)
    (found,) = looked_up(embedding, [Reading(token_ids_TW, token_ids_TW, torch.ones(WINDOWS, WIDTH))])
    assert not any(tensor.requires_grad for tensor in found)
