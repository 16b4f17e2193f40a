"""Pooling over time, and its way back, beside torch's own operations."""

import pytest
import torch
from torch import Tensor

from classifier.pooling import highest_over_time, mean_and_highest_over_time

STEPS, WINDOWS, WIDTH = 17, 5, 6
LENGTHS_W = torch.tensor([17, 1, 9, 16, 2])


def states(dtype: torch.dtype = torch.float32) -> Tensor:
    """Every state another, in bfloat16 too, and what stands in the padding higher than all that is read."""
    torch.manual_seed(4)
    all_TWH = torch.randperm(STEPS * WINDOWS * WIDTH).reshape(STEPS, WINDOWS, WIDTH).float() / 512 - 0.5
    all_TWH += 7.0 * (torch.arange(STEPS)[:, None] >= LENGTHS_W)[:, :, None]
    return all_TWH.to(dtype)


def test_the_maximum_and_where_it_stands() -> None:
    """As `Tensor.max` says; of equal states the first; what is not a number stays so."""
    all_TWH = states()
    all_TWH[3, 2, 1] = float("nan")
    highest_WH, place_WH = highest_over_time(all_TWH)
    expected = all_TWH.max(0)
    torch.testing.assert_close(highest_WH, expected.values, atol=0, rtol=0, equal_nan=True)
    assert torch.equal(place_WH, expected.indices)
    assert not highest_over_time(torch.zeros(STEPS, WINDOWS, WIDTH))[1].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mean_and_maximum_with_their_gradients(dtype: torch.dtype) -> None:
    """Padding has no say and no gradient, whatever its states are; autocast changes nothing."""
    all_TWH = states(dtype).requires_grad_()
    slopes_WH = list(torch.randn(2, WINDOWS, WIDTH))
    with torch.autocast("cpu", torch.bfloat16):
        found = mean_and_highest_over_time(all_TWH, LENGTHS_W)
    (gradient,) = torch.autograd.grad(found, all_TWH, slopes_WH)

    exact_TWH = all_TWH.detach().double().requires_grad_()
    is_read_TW1 = (torch.arange(STEPS)[:, None] < LENGTHS_W)[:, :, None]
    mean_WH = exact_TWH.where(is_read_TW1, 0.0).sum(0) / LENGTHS_W[:, None]
    highest_WH = exact_TWH.where(is_read_TW1, float("-inf")).max(0).values
    (expected,) = torch.autograd.grad((mean_WH, highest_WH), exact_TWH, [slope.double() for slope in slopes_WH])

    tolerance = 1e-6 if dtype == torch.float32 else 0.01
    torch.testing.assert_close(found[0], mean_WH.float(), atol=tolerance, rtol=tolerance)
    assert torch.equal(found[1], highest_WH.float())
    torch.testing.assert_close(gradient, expected.to(dtype), atol=tolerance, rtol=tolerance)
    assert not gradient.masked_select(~is_read_TW1).any()
