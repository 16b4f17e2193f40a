"""How much each token of a message pulls its logit to spam or to ham.

The weights of a message's tokens, and what the model says where it has read nothing, add up to the message's logit. In
the wide half a token's weight is what its n-grams add. The deep half is taken apart from its end to its beginning:

- Readout: a window's pooled states share what it adds to the logit by how much each moves the readout, along the chord
  from no states at all (DeepLIFT's rescale rule, Shrikumar et al. 2017).
- Pooling: a mean is shared among all places, a maximum goes to the place where it stands.
- Cell: with its gates held, an LSTM's cell is the sum of what each token has put into it, less what was forgotten
  since; a state is shared among the tokens before it in that way (Murdoch & Szlam 2017; gates as weights as in Arras et
  al. 2017). What a token makes the cells take in at the next one is counted as the next one's.

No way back through time is computed: given the states, all gates are one product of matrices. Deleting the tokens that
come out on top lowers the logit as much as those of integrated gradients do, for a twentieth of the time
(docs/reasons.md).

Shape letters: B messages, W windows, G windows read together, T tokens of the longest of them, N tokens of all
messages, E embedding width, H hidden width of one direction, S pooled states of both directions and the bag, R readout
width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifier.encoding import Batch, EncodingConfig, bucket, make_batch
from classifier.errors import ConfigError
from classifier.network import SpamNetwork
from classifier.ngrams import NgramEvidence
from classifier.pooling import highest_over_time
from classifier.wide_and_deep import WideAndDeep

Weights = NDArray[np.float32]

# Windows taken apart together: with 32 the states leave the cache, which takes 1.2 times as long.
_WINDOWS_AT_A_TIME = 16
# Of a cell or a readout nearer to 0 there is nothing to share.
_NOTHING = 1e-4


def token_weights(
    model: WideAndDeep,
    messages: Sequence[Sequence[int]],
    encoding: EncodingConfig,
    *,
    is_settled: Callable[[float], bool] = lambda wide_logit: False,
) -> list[Weights]:
    """Return the weights of the tokens of each message, nats of the logit, positive pulls to spam.

    Args:
        model: in evaluation mode; its deep half may be in bfloat16, then sums are a few hundredths off.
        messages: token ids of each, as they are read.
        is_settled: whether the deep half does not read a message to which the wide half adds so much (nats).

    Raises:
        ConfigError: the cells of the model are no LSTM.
    """
    with torch.inference_mode():
        scale, wide_scale = model.scales.tolist()
        weights = _of_messages(wide_scale * _wide_weights(model.wide, make_batch(messages, encoding)), messages)
        from_bias = wide_scale * float(model.wide.bias)
        places = [place for place, wide in enumerate(weights) if not is_settled(float(wide.sum()) + from_bias)]
        if places:
            unsettled = [messages[place] for place in places]
            deep = _of_messages(scale * _deep_weights(model.deep, make_batch(unsettled, encoding)), unsettled)
            for place, of_message in zip(places, deep, strict=True):
                weights[place] = weights[place] + of_message
    return weights


def _of_messages(weights_N: Tensor, messages: Sequence[Sequence[int]]) -> list[Weights]:
    # A message without tokens is read as one of padding.
    parts = torch.split(weights_N, [max(len(token_ids), 1) for token_ids in messages])
    return [weights[: len(token_ids)].numpy() for weights, token_ids in zip(parts, messages, strict=True)]


def logit_of_nothing(model: WideAndDeep) -> float:
    """Return the logit from which the weights start: what the model says where it has read nothing."""
    with torch.inference_mode():
        window_R = torch.tanh(model.deep.readout.bias)
        deep_1 = model.deep.logit(torch.cat([window_R, window_R]))
        return float(model.scales[0] * deep_1 + model.scales[1] * model.wide.bias)


def _wide_weights(wide: NgramEvidence, batch: Batch) -> Tensor:
    """Weight of each token of all messages (N,)."""
    lengths_W = torch.from_numpy(batch.lengths_W)
    weights_WT = wide.token_weights(
        torch.from_numpy(batch.token_ids_WT), lengths_W, torch.from_numpy(batch.message_W), batch.messages
    )
    return weights_WT[torch.arange(weights_WT.shape[1]) < lengths_W[:, None]]


def _deep_weights(network: SpamNetwork, batch: Batch) -> Tensor:
    """Weight of each token of all messages (N,)."""
    token_ids_WT, lengths_W = torch.from_numpy(batch.token_ids_WT), torch.from_numpy(batch.lengths_W)
    groups = [
        _Group.read(network, _filled_up(rows_G), token_ids_WT, lengths_W)
        for rows_G in torch.split(lengths_W.argsort(stable=True), _WINDOWS_AT_A_TIME)
    ]
    states_WS = torch.empty(len(lengths_W), network.readout.in_features)
    for group in groups:
        states_WS[group.rows_G] = group.states_GS
    slopes_WS = _readout_slopes(network, states_WS, torch.from_numpy(batch.message_W), batch.messages)
    weights_WT = torch.zeros(token_ids_WT.shape)
    for group in groups:
        weights_TG = group.weights(network, slopes_WS[group.rows_G])
        weights_WT[group.rows_G, : len(weights_TG)] = weights_TG.T
    return weights_WT[torch.arange(weights_WT.shape[1]) < lengths_W[:, None]]


def _filled_up(rows_G: Tensor) -> Tensor:
    """Windows up to a power of two, the last one repeated: the CPU library keeps a kernel for each number of them."""
    missing = max(2, 1 << (len(rows_G) - 1).bit_length()) - len(rows_G)
    return torch.cat([rows_G, rows_G[-1:].expand(missing)])


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one direction did, in the order in which it read. Time comes first: each step is one block of memory."""

    cell: nn.LSTM
    embedded_TGE: Tensor
    states_TGH: Tensor
    is_read_TG: Tensor
    highest_GH: Tensor  # where the maximum over time stands

    @classmethod
    def read(cls, network: SpamNetwork, cell: nn.Module, token_ids_TG: Tensor, is_read_TG: Tensor) -> "_Pass":
        if not isinstance(cell, nn.LSTM):
            raise ConfigError(f"a network of {network.config.cell} cells cannot be taken apart: need lstm")
        embedded_TGE = network.embedding(token_ids_TG)
        states_GTH, _ = cell(embedded_TGE.transpose(0, 1))
        states_TGH = states_GTH.transpose(0, 1).contiguous()
        floor_TG = torch.zeros(is_read_TG.shape).masked_fill_(~is_read_TG, float("-inf"))
        _, highest_GH = highest_over_time(states_TGH + floor_TG[:, :, None])
        return cls(cell, embedded_TGE, states_TGH, is_read_TG, highest_GH)

    def pooled(self) -> list[Tensor]:
        """Mean and maximum over time, float32 (G, H) each."""
        mean_GH = (self.states_TGH * self._share_TG()[:, :, None]).sum(0)
        return [mean_GH, self.states_TGH.gather(0, self.highest_GH[None])[0].float()]

    def credit(self, of_mean_GH: Tensor, of_highest_GH: Tensor) -> Tensor:
        """Share among the tokens (T, G) what the pooled states add to the logit.

        Args:
            of_mean_GH: what a unit of the mean adds; `of_highest_GH` likewise of the maximum.
        """
        candidate_TGH, kept_TGH = self._gates()
        cells_TGH = candidate_TGH.clone()
        cells, kept = cells_TGH.unbind(), kept_TGH.unbind()
        for step in range(1, len(cells)):
            torch.addcmul(cells[step], cells[step - 1], kept[step], out=cells[step])
        # A state is its cell times a factor that is held: the output gate, and the chord of tanh.
        pull_TGH = (self.states_TGH / cells_TGH).clamp_(0, 1).masked_fill_(cells_TGH.abs() < _NOTHING, 0)
        of_states_TGH = self._share_TG()[:, :, None] * of_mean_GH
        pull_TGH *= of_states_TGH.scatter_add_(0, self.highest_GH[None], of_highest_GH[None])
        pulls = pull_TGH.unbind()
        for step in range(len(pulls) - 2, -1, -1):
            torch.addcmul(pulls[step], pulls[step + 1], kept[step + 1], out=pulls[step])
        return pull_TGH.mul_(candidate_TGH).sum(2)

    def _share_TG(self) -> Tensor:
        return self.is_read_TG / self.is_read_TG.sum(0)

    def _gates(self) -> tuple[Tensor, Tensor]:
        """What each token puts into the cell, and the share of the cell that is kept there; float32 (T, G, H) each."""
        width = self.states_TGH.shape[2]
        kinds = slice(0, 3 * width)  # input gate, forget gate, candidate; the output gate is in the states
        of_tokens, of_states, bias, other_bias = (weights[kinds] for weights in self.cell.all_weights[0])
        gates = nn.functional.linear(self.embedded_TGE, of_tokens, bias + other_bias)
        gates[1:] += nn.functional.linear(self.states_TGH[:-1], of_states)
        into_TGH, kept_TGH, candidate_TGH = gates.chunk(3, dim=2)
        return into_TGH.float().sigmoid_().mul_(candidate_TGH.float().tanh_()), kept_TGH.float().sigmoid()


@dataclass(frozen=True, slots=True)
class _Group:
    """Windows of like length, read both ways."""

    rows_G: Tensor
    lengths_G: Tensor
    reverse_TG: Tensor
    forwards: _Pass
    backwards: _Pass
    states_GS: Tensor

    @classmethod
    def read(cls, network: SpamNetwork, rows_G: Tensor, token_ids_WT: Tensor, lengths_W: Tensor) -> "_Group":
        lengths_G = lengths_W[rows_G]
        width = min(bucket(int(lengths_G.max())), token_ids_WT.shape[1])
        token_ids_TG = token_ids_WT[rows_G, :width].T.contiguous()
        position_T1 = torch.arange(width)[:, None]
        is_read_TG = position_T1 < lengths_G
        reverse_TG = (lengths_G - 1 - position_T1) % width
        forwards = _Pass.read(network, network.forwards, token_ids_TG, is_read_TG)
        backwards = _Pass.read(network, network.backwards, token_ids_TG.gather(0, reverse_TG), is_read_TG)
        bag_GE = forwards.embedded_TGE.sum(0, dtype=torch.float32) / lengths_G[:, None]
        states_GS = torch.cat([*forwards.pooled(), *backwards.pooled(), bag_GE], dim=1)
        return cls(rows_G, lengths_G, reverse_TG, forwards, backwards, states_GS)

    def weights(self, network: SpamNetwork, slopes_GS: Tensor) -> Tensor:
        """Weight of each token (T, G), given what a unit of each pooled state adds to the logit."""
        width = network.config.hidden_width
        *of_states, of_bag_GE = torch.split(slopes_GS, [width] * 4 + [network.config.embedding_width], dim=1)
        weights_TG = (self.forwards.embedded_TGE * of_bag_GE).sum(2) / self.lengths_G
        weights_TG += self.forwards.credit(*of_states[:2])
        return weights_TG.scatter_add_(0, self.reverse_TG, self.backwards.credit(*of_states[2:]))


def _readout_slopes(network: SpamNetwork, states_WS: Tensor, message_W: Tensor, messages: int) -> Tensor:
    """What a unit of each pooled state of a window adds to its message's logit (W, S)."""
    moved_WR = states_WS @ network.readout.weight.T
    nothing_R = torch.tanh(network.readout.bias)
    windows_WR = torch.tanh(moved_WR + network.readout.bias)
    is_flat_WR = moved_WR.abs() < _NOTHING
    chord_WR = torch.where(is_flat_WR, 1 - nothing_R.square(), (windows_WR - nothing_R) / moved_WR)
    of_highest_R, of_mean_R = network.logit.weight[0].chunk(2)
    index_WR = message_W[:, None].expand_as(windows_WR)
    empty_BR = windows_WR.new_zeros(messages, windows_WR.shape[1])
    highest_BR = empty_BR.scatter_reduce(0, index_WR, windows_WR, "amax", include_self=False)
    is_highest_WR = (windows_WR == highest_BR[message_W]).float()
    sharing_BR = empty_BR.scatter_add(0, index_WR, is_highest_WR)
    windows_W1 = torch.bincount(message_W, minlength=messages)[message_W, None]
    of_window_WR = of_highest_R * is_highest_WR / sharing_BR[message_W] + of_mean_R / windows_W1
    slopes_WS: Tensor = (of_window_WR * chord_WR) @ network.readout.weight
    return slopes_WS
