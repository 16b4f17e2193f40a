"""The network: what its arithmetic promises."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from classifier.encoding import EncodingConfig, make_batch
from classifier.errors import ConfigError
from classifier.network import (
    _WINDOWS_AT_A_TIME,
    Cell,
    NetworkConfig,
    SpamNetwork,
    cut_by_length,
    score_batch,
    scripted,
)

ENCODING = EncodingConfig(window_tokens=16, head_tokens=64, tail_tokens=16)
CPU = torch.device("cpu")


def network(cell: Cell = "lstm") -> SpamNetwork:
    torch.manual_seed(3)
    built = SpamNetwork(NetworkConfig(50, 8, 12, 6, cell)).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.mul_(3)  # an untrained network is too meek to show a fault
    return built


def messages(count: int = 12) -> list[list[int]]:
    random = np.random.default_rng(1)
    return [random.integers(1, 50, random.integers(1, 60)).tolist() for _ in range(count)]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_score_does_not_depend_on_its_batch_mates(cell: Cell) -> None:
    """Alone, or padded beside longer messages, a message gets the same logit."""
    net = network(cell)
    with torch.inference_mode():
        together = score_batch(net, make_batch(messages(), ENCODING), CPU)
        alone = torch.cat([score_batch(net, make_batch([message], ENCODING), CPU) for message in messages()])
    assert together.std() > 0.1
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_scores_are_those_that_gradients_are_taken_of(cell: Cell) -> None:
    """Without a gradient windows are read by length, in groups; the logits are the same."""
    net = network(cell)
    batch = make_batch(messages(60), ENCODING)
    assert len(batch.lengths_W) > 2 * _WINDOWS_AT_A_TIME
    with torch.no_grad():
        scored = score_batch(net, batch, CPU)
    torch.testing.assert_close(scored, score_batch(net, batch, CPU).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_compiled_it_gives_the_same_logits(cell: Cell, bfloat16: bool) -> None:
    """To the last bit, for all sizes of groups; the network that was given still learns."""
    net = network(cell)
    if bfloat16:
        net.to_bfloat16()
    compiled = scripted(net)
    assert isinstance(compiled._read, torch.ScriptMethod) or sys.version_info >= (3, 14)
    for count in (1, 3, 60, 7):
        batch = make_batch(messages(count), ENCODING)
        with torch.inference_mode():
            assert torch.equal(score_batch(compiled, batch, CPU), score_batch(net, batch, CPU))
    assert compiled.embedding.weight is net.embedding.weight
    assert score_batch(net, batch, CPU).requires_grad


def test_windows_are_cut_where_least_padding_is_left() -> None:
    """Every row once, short ones first; what is nearly of one length stays together."""
    lengths_W = torch.tensor([256, 14, 250, 16, 120, 15, 256, 118] * 4)
    groups = cut_by_length(lengths_W)
    lengths = [lengths_W[rows_G].tolist() for rows_G, _ in groups]
    assert lengths == [[14] * 4 + [15] * 4 + [16] * 4, [118] * 4 + [120] * 4, [250] * 4 + [256] * 8]
    assert [longest for _, longest in groups] == [16, 120, 256]
    assert torch.cat([rows_G for rows_G, _ in groups]).sort().values.tolist() == list(range(32))
    assert len(cut_by_length(torch.tensor([200, 256, 240] * 8))) == 1
    assert len(cut_by_length(torch.tensor([1, 2, 3, 4, 256]))) == 1
    assert cut_by_length(torch.tensor([5])) == [(torch.tensor([0]), 5)]


def test_scores_and_gradients_are_those_of_the_packed_bidirectional_reference() -> None:
    """Our two padded layers give what torch's packed bidirectional LSTM gives with the same weights, there and back."""
    net = network()
    reference = nn.LSTM(8, 12, batch_first=True, bidirectional=True)
    for name, parameter in net.forwards.named_parameters():
        getattr(reference, name).data.copy_(parameter.data)
    for name, parameter in net.backwards.named_parameters():
        getattr(reference, f"{name}_reverse").data.copy_(parameter.data)
    # Some of them alone in their length, some not: they are read in groups.
    batch = make_batch([message[:16] for message in [*messages(40), *[[7, 8, 9]] * 40]], ENCODING)
    ids, lengths = torch.from_numpy(batch.token_ids_WT), torch.from_numpy(batch.lengths_W)
    assert len(cut_by_length(lengths)) > 1
    packed = nn.utils.rnn.pack_padded_sequence(net.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
    states, _ = reference(packed)
    states_WTH, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, padding_value=float("-inf"))
    highest = states_WTH.max(1).values
    mean = states_WTH.masked_fill(states_WTH.isinf(), 0.0).sum(1) / lengths[:, None]
    bag = net.embedding(ids).sum(1) / lengths[:, None]
    forwards, backwards = (torch.cat([mean[:, d], highest[:, d]], dim=1) for d in (slice(12), slice(12, 24)))
    readout = torch.tanh(net.readout(torch.cat([forwards, backwards, bag], dim=1)))
    expected = net.logit(torch.cat([readout, readout], dim=1)).squeeze(-1)
    slopes = torch.randn(len(expected))
    of_expected = torch.autograd.grad(expected, [net.embedding.weight, *reference.parameters()], slopes)

    found = score_batch(net, batch, CPU)
    parameters = [net.embedding.weight, *net.forwards.parameters(), *net.backwards.parameters()]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for slope, other in zip(torch.autograd.grad(found, parameters, slopes), of_expected, strict=True):
        torch.testing.assert_close(slope, other, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(score_batch(net, batch, CPU), expected, atol=1e-5, rtol=1e-5)


def test_every_window_counts() -> None:
    """A change in any window of a long message changes its logit."""
    net = network()
    message = messages(1)[0][:1] * 48
    with torch.inference_mode():
        before = score_batch(net, make_batch([message], ENCODING), CPU)
        for place in (0, 20, 47):
            changed = [*message[:place], 49, 48, 47, *message[place + 3 :]][: len(message)]
            assert (score_batch(net, make_batch([changed], ENCODING), CPU) - before).abs() > 1e-4


def test_it_overfits_eight_messages() -> None:
    """Gradients reach everything: eight random messages are learned by heart."""
    torch.manual_seed(1)
    net = SpamNetwork(NetworkConfig(50, 16, 16, 8))
    batch = make_batch(messages(8), ENCODING)
    targets = torch.tensor([0.0, 1.0] * 4)
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(score_batch(net, batch, CPU), targets)
        optimiser.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in net.parameters())
        optimiser.step()
    assert loss.item() < 0.01


def test_a_network_of_no_size_cannot_be_built() -> None:
    """Sizes and cell are checked when they are given, not when they fail."""
    with pytest.raises(ConfigError, match="hidden_width must be at least 1, got 0"):
        NetworkConfig(hidden_width=0)
    with pytest.raises(ConfigError, match="lstm, gru, rnn"):
        NetworkConfig(cell="transformer")  # type: ignore[arg-type]  # the mistake under test
