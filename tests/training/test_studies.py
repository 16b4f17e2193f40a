"""The two studies of memory: gradient flow and the long lag."""

import pytest
import torch

from classifier.network import NetworkConfig, SpamNetwork
from training.gradient_flow import gradient_flow, gradient_norms
from training.long_lag import LastState, draw, long_lag

SMALL = NetworkConfig(32, 8, 8, 8)


def test_gradient_flow_has_a_norm_for_every_token_and_cell() -> None:
    """The largest is 1; read at the last state it fades towards the first token, in the LSTM as well, but less."""
    flow = gradient_flow(tokens=64, sequences=4)
    assert set(flow) == {"last state", "as in the model"}
    for cells in flow.values():
        for norms in cells.values():
            assert len(norms) == 64
            assert max(norms) == 1.0
            assert min(norms) >= 0
    last = flow["last state"]
    assert last["rnn"][0] < last["lstm"][0] < last["lstm"][-1]
    # Both ways: the first token is the last that the other direction reads.
    assert flow["as in the model"]["lstm"][0] > 0.3


def test_gradient_norms_are_those_of_autograd() -> None:
    """The same as moving one embedding and looking at the loss: the last token's, by finite differences."""
    torch.manual_seed(1)
    network = LastState(SMALL).double()
    token_ids = torch.tensor([[3, 4, 5]])
    norms = gradient_norms(network, token_ids)

    def loss(change: torch.Tensor, at: int) -> float:
        embedded = network.embedding(token_ids).detach().clone()
        embedded[0, at] += change
        states, _ = network.layer(embedded)
        return float(torch.nn.functional.softplus(network.logit(states[:, -1])).detach())

    def norm(at: int) -> float:
        steps = torch.eye(8, dtype=torch.float64) * 1e-5
        return float(torch.tensor([(loss(step, at) - loss(-step, at)) / 2e-5 for step in steps]).norm())

    assert norms[0] / norms[2] == pytest.approx(norm(0) / norm(2), rel=1e-4)


def test_only_one_token_tells() -> None:
    """The labels are those of the token at the lag; nothing else of a sequence depends on them."""
    random = torch.Generator().manual_seed(1)
    token_ids, labels = draw(5, 20, 100, random)
    assert torch.equal(token_ids[:, 14] == 1, labels == 1)
    assert torch.equal(token_ids[:, 14] == 2, labels == 0)
    token_ids[:, 14] = 3
    assert int(token_ids.min()) >= 3


def test_a_short_lag_is_learned_and_the_study_repeats() -> None:
    """Every cell solves a lag of one token; the same seeds give the same figures and leave torch's lots alone."""
    torch.manual_seed(7)
    before = torch.get_rng_state()
    found = long_lag([1], steps=150, seeds=[1])
    assert torch.equal(torch.get_rng_state(), before)
    assert list(found) == ["rnn", "gru", "lstm", "the model"]
    assert all(accuracy["1"] > 0.9 for accuracy in found.values())
    assert found["rnn"] == {"1": long_lag([1], steps=150, seeds=[1])["rnn"]["1"]}


def test_the_single_layer_takes_what_the_network_takes() -> None:
    """Both answer one logit a message, so that the studies can set one beside the other."""
    token_ids, lengths = torch.tensor([[3, 4, 5], [6, 7, 0]]), torch.tensor([3, 2])
    for network in (LastState(SMALL), SpamNetwork(SMALL)):
        assert network(token_ids, lengths, torch.arange(2), 2).shape == (2,)
    alone = LastState(SMALL)
    padded = alone(token_ids, lengths, torch.arange(2), 2)[1]
    assert torch.allclose(padded, alone(token_ids[1:, :2], lengths[1:], torch.arange(1), 1)[0])
