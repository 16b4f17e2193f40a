"""Parts computed at the same time, beside the same one after the other."""

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from classifier.network import computes_in_bfloat16
from classifier.side_by_side import Part, side_by_side


@pytest.fixture
def threads() -> Iterator[None]:
    """Two threads, whatever this machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


pytestmark = pytest.mark.usefixtures("threads")


def states_and_last(cell: nn.Module, input_WTE: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """States of half of the windows and of the other half, and the last of one, which nothing is learned from."""
    half = len(input_WTE) // 2
    first_WTH, (last_1WH, _) = cell(input_WTE[:half])
    second_WTH, _ = cell(input_WTE[half:])
    return torch.cat([first_WTH, second_WTH]) * factor, last_1WH


@pytest.fixture
def bfloat16_anywhere(bfloat16: bool) -> Iterator[None]:
    """torch's own LSTM where the CPU does not compute in bfloat16: there its library may have none that learns."""
    before, *_ = torch.backends.mkldnn.set_flags(_enabled=not bfloat16 or computes_in_bfloat16())
    yield
    torch.backends.mkldnn.set_flags(_enabled=before)


@pytest.mark.usefixtures("bfloat16_anywhere")
@pytest.mark.parametrize("bfloat16", [False, True])
def test_results_and_gradients_are_those_of_one_after_the_other(bfloat16: bool) -> None:
    """Of inputs and weights; what may not move has none. A weight that is used twice learns in float32 from both."""
    torch.manual_seed(3)
    cells = [nn.LSTM(16, 16, batch_first=True) for _ in range(2)]
    cells[1].bias_hh_l0.requires_grad_(False)
    input_WTE = torch.randn(6, 40, 16, requires_grad=True)
    factor = torch.tensor(0.5)
    learned_of = [input_WTE, *cells[0].parameters(), *(p for p in cells[1].parameters() if p.requires_grad)]
    parts = [Part(cells[0], states_and_last, (input_WTE, factor))]
    parts += [Part(cells[1], states_and_last, (input_WTE.flip(1), factor))]
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16, cache_enabled=False):
        expected = [part.function(part.module, *part.inputs)[0] for part in parts]
    slopes = [torch.randn_like(states) for states in expected]
    expected += torch.autograd.grad(expected, learned_of, slopes)

    for _ in range(5):  # neither thread may change what the other does, whichever is first
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            found = [states for states, _ in side_by_side(parts)]
        found += torch.autograd.grad(found, learned_of, slopes)
        for tensor, other in zip(found, expected, strict=True):
            assert tensor.dtype == other.dtype
            assert (tensor - other).float().norm() <= 1e-4 * other.float().norm()
    assert torch.get_num_threads() == 2


def test_a_part_that_may_not_move_leaves_the_other_its_gradients() -> None:
    """As where a layer is frozen."""
    cells = [nn.LSTM(4, 5, batch_first=True) for _ in range(2)]
    cells[0].requires_grad_(False)
    inputs = (torch.randn(4, 7, 4), torch.tensor(1.0))
    (fixed, _), (states, _) = side_by_side([Part(cell, states_and_last, inputs) for cell in cells])
    (fixed.sum() + states.sum()).backward()
    assert all(parameter.grad is None for parameter in cells[0].parameters())
    assert all(parameter.grad is not None for parameter in cells[1].parameters())


def test_an_error_of_a_part_is_raised() -> None:
    """Where it happens in a thread of its own too."""
    wrong = (torch.randn(4, 7, 2, requires_grad=True), torch.tensor(1.0))
    with pytest.raises(RuntimeError, match=r"input\.size"):
        side_by_side([Part(nn.LSTM(4, 5, batch_first=True), states_and_last, wrong)] * 2)


def test_parts_are_computed_at_the_same_time_there_and_back() -> None:
    """Each waits for the other on its way, so one after the other would never end."""
    there, back = threading.Barrier(2, timeout=30), threading.Barrier(2, timeout=30)

    def wait(_: Tensor) -> None:
        back.wait()

    def meet(cell: nn.Module, input_WTE: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
        there.wait()
        states_WTH, last_1WH = states_and_last(cell, input_WTE, factor)
        states_WTH.register_hook(wait)
        return states_WTH, last_1WH

    inputs = (torch.randn(4, 7, 4), torch.tensor(1.0))
    cells = [nn.LSTM(4, 5, batch_first=True) for _ in range(2)]
    (first, _), (second, _) = side_by_side([Part(cell, meet, inputs) for cell in cells])
    (first.sum() + second.sum()).backward()


def test_no_thread_is_started_where_no_gradient_is_wanted() -> None:
    """As when mail is scored: there is no graph to be kept either."""
    ran_in = []

    def note(cell: nn.Module, input_WTE: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
        ran_in.append((threading.current_thread(), torch.is_grad_enabled()))
        return states_and_last(cell, input_WTE, factor)

    inputs = (torch.randn(4, 7, 4), torch.tensor(1.0))
    with torch.inference_mode():
        side_by_side([Part(nn.LSTM(4, 5, batch_first=True), note, inputs)] * 2)
    assert ran_in == [(threading.current_thread(), False)] * 2
