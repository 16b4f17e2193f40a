"""Parts computed at the same time, beside the same one after the other."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from classifier.side_by_side import Part, side_by_side


@pytest.fixture
def threads() -> Iterator[None]:
    """Two threads, whatever this machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def states_and_last(cell: nn.LSTM, input_WTE: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """The second is not learned from below; the factor has no gradient."""
    states_WTH, (last_1WH, _) = cell(input_WTE)
    return states_WTH * factor, last_1WH


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("bfloat16", [False, True])
def test_results_and_gradients_are_those_of_one_after_the_other(bfloat16: bool) -> None:
    """Of inputs and weights; what may not move gets none, and what is not used further none of its own."""
    torch.manual_seed(3)
    cells = [nn.LSTM(4, 5, batch_first=True) for _ in range(2)]
    cells[1].bias_hh_l0.requires_grad_(False)
    input_WTE = torch.randn(3, 7, 4, requires_grad=True)
    factor = torch.tensor(0.5)
    learned_of = [input_WTE, *cells[0].parameters(), *(p for p in cells[1].parameters() if p.requires_grad)]

    def outputs(at_once: bool) -> list[Tensor]:
        inputs = [(input_WTE, factor), (input_WTE.flip(1), factor)]
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            if not at_once:
                return [states_and_last(cell, *each)[0] for cell, each in zip(cells, inputs, strict=True)]
            parts = [Part(cell, states_and_last, each) for cell, each in zip(cells, inputs, strict=True)]
            return [states for states, _ in side_by_side(parts)]

    expected, found = outputs(at_once=False), outputs(at_once=True)
    slopes = [torch.randn_like(states) for states in expected]
    for states, other in zip(found, expected, strict=True):
        assert states.dtype == other.dtype
        torch.testing.assert_close(states, other)
    gradients = (torch.autograd.grad(each, learned_of, slopes) for each in (found, expected))
    for gradient, other in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, other)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("threads")
def test_an_error_of_a_part_is_raised() -> None:
    """Where it happens in a thread of its own too."""
    cell = nn.LSTM(4, 5, batch_first=True)
    wrong = (torch.randn(3, 7, 2, requires_grad=True), torch.tensor(1.0))
    with pytest.raises(RuntimeError, match=r"input\.size"):
        side_by_side([Part(cell, states_and_last, wrong)] * 2)


@pytest.mark.usefixtures("threads")
def test_no_graph_is_kept_where_no_gradient_is_wanted() -> None:
    """As when a language model is measured."""
    cell = nn.LSTM(4, 5, batch_first=True)
    inputs = (torch.randn(3, 7, 4), torch.tensor(1.0))
    with torch.inference_mode():
        ((states, _), _) = side_by_side([Part(cell, states_and_last, inputs)] * 2)
    assert not states.requires_grad
