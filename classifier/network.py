"""The network: windows of token ids in, one spam logit per message out.

Shape letters: B messages, W windows (at least one a message), T tokens of the longest window, E embedding width,
H hidden width of one direction, R readout width.

Two one-directional layers, the second on each window's own tokens in reverse: in a padded bidirectional `nn.LSTM`
the backward direction would start in the padding, and a packed sequence never reaches the fast CPU kernel.
"""

import copy
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from classifier.encoding import Batch, bucket
from classifier.errors import ConfigError
from classifier.lookup import Reading, in_reverse, looked_up
from classifier.pooling import mean_and_highest_over_time, pool_windows
from classifier.side_by_side import Part, side_by_side
from classifier.tokenizer import PADDING_ID

Cell = Literal["lstm", "gru", "rnn"]
# Windows read at a time when only the score is wanted: their states stay in the cache, those of 64 do not
# (`python -m tests.benchmarks.arithmetic`).
_WINDOWS_AT_A_TIME = 32
# Their number is rounded up to a multiple of this: the CPU library keeps a kernel for each number and width of windows,
# 0.7 MB each (`python -m tests.benchmarks.shapes`).
_WINDOWS_ROUNDED_TO = 4
# Share of a group's tokens, padding with them, that a cut must leave at most to be worth it (docs/experiments.md,
# 2026-11-29).
_WORTH_A_CUT = 0.85
_CELLS: dict[str, type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Sizes of the network."""

    vocabulary_size: int = 16384
    embedding_width: int = 128
    hidden_width: int = 128
    readout_width: int = 128
    cell: Cell = "lstm"

    def __post_init__(self) -> None:
        if self.cell not in _CELLS:
            raise ConfigError(f"the cell must be one of {', '.join(_CELLS)}, got {self.cell!r}")
        for name in ("vocabulary_size", "embedding_width", "hidden_width", "readout_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")


class SpamNetwork(nn.Module):
    """Many-to-one: reads every window both ways, keeps what stood out anywhere, gives one logit a message."""

    def __init__(self, config: NetworkConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        cell = _CELLS[config.cell]
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_width, padding_idx=PADDING_ID)
        self.forwards = cell(config.embedding_width, config.hidden_width, batch_first=True)
        self.backwards = cell(config.embedding_width, config.hidden_width, batch_first=True)
        self.readout = nn.Linear(4 * config.hidden_width + config.embedding_width, config.readout_width)
        self.logit = nn.Linear(2 * config.readout_width, 1)
        self.dropout = nn.Dropout(dropout)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.embedding.weight, std=0.1)
        with torch.no_grad():
            self.embedding.weight[PADDING_ID].zero_()
        for layer in (self.forwards, self.backwards):
            for name, parameter in layer.named_parameters():
                if name.startswith("weight_hh"):  # Saxe et al. 2013: orthogonal steps keep the gradient's norm
                    for gate in parameter.chunk(parameter.shape[0] // self.config.hidden_width):
                        nn.init.orthogonal_(gate)
                elif name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(parameter)
                else:
                    nn.init.zeros_(parameter)
                    if self.config.cell == "lstm" and name.startswith("bias_ih"):
                        # Jozefowicz et al. 2015: the forget gate starts open.
                        with torch.no_grad():
                            parameter[self.config.hidden_width : 2 * self.config.hidden_width] = 1.0

    @torch.jit.unused  # `scripted` compiles what reads one group of windows, and no more
    def forward(self, token_ids_WT: Tensor, lengths_W: Tensor, message_W: Tensor, messages: int) -> Tensor:
        """Return one logit per message, in the order of their numbers.

        Args:
            token_ids_WT: int64, right-padded with PADDING_ID.
            lengths_W: int64, 1 <= length <= T.
            message_W: int64, the message that each window belongs to.
            messages: B; every message has at least one window.

        Returns:
            float32 (B,), log-odds in nats, positive leans spam; uncalibrated (see classifier.calibration).
        """
        if torch.is_grad_enabled() or token_ids_WT.device.type != "cpu":
            window_WR = self._read_to_learn(token_ids_WT, lengths_W)
        else:
            window_WR = self._read_by_length(token_ids_WT, lengths_W)
        message_BR = pool_windows(window_WR, message_W, messages)
        logit: Tensor = self.logit(self.dropout(message_BR)).squeeze(-1)
        return logit.float()

    def logit_bounds(self) -> tuple[float, float]:
        """Return the least and the most that the logit of a message of one window can be, whatever stands in it.

        What a window says is between -1 and 1, and the pools of one window are what it says.
        """
        highest_R, mean_R = self.logit.weight.detach()[0].chunk(2)
        reach, bias = float((highest_R + mean_R).abs().sum()), float(self.logit.bias)
        return bias - reach, bias + reach

    def to_bfloat16(self) -> None:
        """Keep the embedding and the cells in bfloat16, the rest in float32; for scores alone, not to be trained on."""
        for layer in (self.embedding, self.forwards, self.backwards):
            layer.bfloat16()

    def _read_by_length(self, token_ids_WT: Tensor, lengths_W: Tensor) -> Tensor:
        """Read windows of like length together, so that hardly any padding is read; the result is that of `_read`."""
        order_W = lengths_W.argsort(stable=True)
        parts: list[Tensor] = []
        for group_G in torch.split(order_W, _WINDOWS_AT_A_TIME):
            width = min(bucket(int(lengths_W[group_G[-1]])), token_ids_WT.shape[1])
            rows_G = torch.cat([group_G, group_G[-1:].expand(_rounded(len(group_G)) - len(group_G))])
            parts.append(self._read(token_ids_WT[rows_G, :width], lengths_W[rows_G])[: len(group_G)])
        return torch.cat(parts)[order_W.argsort()]

    @torch.jit.export
    def _read(self, token_ids_WT: Tensor, lengths_W: Tensor) -> Tensor:
        """What each window says (W, R), on a CPU, where no gradient is wanted."""
        position_T = torch.arange(token_ids_WT.shape[1])
        share_W1T = ((position_T < lengths_W[:, None]) / lengths_W[:, None])[:, None]
        embedded_TWE = self.embedding(token_ids_WT.t())
        # Which words there are, whatever their order; padding is embedded as zeros.
        bag_WE = embedded_TWE.sum(0, dtype=torch.float32) / lengths_W[:, None]
        # Time comes first in memory: a layer would copy what lies window after window.
        forwards_WTH, _ = self.forwards(embedded_TWE.transpose(0, 1))
        # Looked up again: to gather from what was looked up costs more.
        backwards_WTH, _ = self.backwards(self.embedding(in_reverse(token_ids_WT, lengths_W).t()).transpose(0, 1))
        # Window by window: with a mask, which looks at every state, this takes 0.75 ms in place of 0.33 for 32 windows
        # of 256 tokens (ad hoc).
        lengths: list[int] = lengths_W.tolist()
        pooled = []
        for states_WTH in (forwards_WTH, backwards_WTH):
            pooled.append(torch.bmm(share_W1T.to(states_WTH.dtype), states_WTH).squeeze(1))
            for window, length in enumerate(lengths):
                states_WTH[window, length:].fill_(float("-inf"))
            pooled.append(states_WTH.amax(1))
        pooled.append(bag_WE)
        window_WR: Tensor = torch.tanh(self.readout(torch.cat(pooled, dim=1)))
        return window_WR

    def _read_to_learn(self, token_ids_WT: Tensor, lengths_W: Tensor) -> Tensor:
        """What each window says (W, R), with dropout in training, on any device; gradients can be taken of it."""
        # Dropout of whole embedding widths of a window, the same at every token (Gal & Ghahramani 2016).
        kept_WE = self.dropout(self.embedding.weight.new_ones(len(token_ids_WT), self.embedding.embedding_dim))
        groups = [(torch.arange(len(lengths_W)), token_ids_WT.shape[1])]
        if token_ids_WT.is_cpu:  # a GPU reads all windows at once: there the number of steps counts
            groups = cut_by_length(lengths_W)
        found = looked_up(
            self.embedding,
            [
                Reading.both_ways(token_ids_WT[rows_G, :width], lengths_W[rows_G], kept_WE[rows_G])
                for rows_G, width in groups
            ],
        )
        pooled = partial(_pooled, lengths=[lengths_W[rows_G] for rows_G, _ in groups])
        forwards, backwards = side_by_side(
            [
                Part(self.forwards, pooled, tuple(group.forwards_TGE for group in found)),
                Part(self.backwards, pooled, tuple(group.backwards_TGE for group in found)),
            ]
        )
        rows_W = torch.cat([rows_G for rows_G, _ in groups])
        bag_WE = torch.cat([group.sum_GE for group in found]) / lengths_W[rows_W, None]
        states_WS = torch.cat([*forwards, *backwards, bag_WE], dim=1)[rows_W.argsort()]
        window_WR: Tensor = torch.tanh(self.readout(self.dropout(states_WS)))
        return window_WR


def _pooled(cell: nn.Module, *embedded: Tensor, lengths: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and maximum of a cell's states of all groups, float32 (W, H) each; of each group is given (T, G, E)."""
    means, highest = [], []
    for embedded_TGE, lengths_G in zip(embedded, lengths, strict=True):
        states_GTH, _ = cell(embedded_TGE.transpose(0, 1))
        mean_GH, highest_GH = mean_and_highest_over_time(states_GTH.transpose(0, 1), lengths_G)
        means.append(mean_GH)
        highest.append(highest_GH)
    return torch.cat(means), torch.cat(highest)


def cut_by_length(lengths_W: Tensor) -> list[tuple[Tensor, int]]:
    """Return windows in groups of like length, the rows of each with its longest: cut where least padding is left.

    A cell takes as long for a token of few windows as for one of many, and nearly half of a training batch is padding:
    the last window of a long mail stands beside its full ones, and mail is torn after it was sorted.
    """
    rows_W = lengths_W.argsort(stable=True)
    sorted_W, windows = lengths_W[rows_W], len(lengths_W)
    short_W = torch.arange(1, windows)  # cut behind the first, the second, ...
    tokens_W = _paid(short_W) * sorted_W[:-1] + _paid(windows - short_W) * sorted_W[-1]
    whole = _paid(torch.tensor(windows)) * sorted_W[-1]
    if windows == 1 or tokens_W.min() > _WORTH_A_CUT * whole:
        return [(rows_W, int(sorted_W[-1]))]
    cut = int(tokens_W.argmin()) + 1
    halves = (rows_W[:cut], rows_W[cut:])
    return [(half_G[rows_G], longest) for half_G in halves for rows_G, longest in cut_by_length(lengths_W[half_G])]


def _paid(windows: Tensor) -> Tensor:
    """For how many windows a step of a cell pays: a few take as long as eight."""
    return windows.clamp(min=8)


def scripted(network: SpamNetwork) -> SpamNetwork:
    """Return the network with its reading of windows compiled: the same weights and scores, for scores alone.

    What is compiled takes the interpreter's lock once for a group of windows, not at each of 40 operations, where it
    waits for threads that run Python. Scoring 64 mails beside one that does so for 0.3, 0.6 and 0.9 of the time: 39.6,
    41.0 and 48.5 ms in place of 42.9, 46.2 and 56.9 (ad hoc).
    """
    if sys.version_info >= (3, 14):  # torch supports TorchScript up to 3.13
        return network
    plain = copy.copy(network)
    plain._modules = {
        name: _Lstm(part) if isinstance(part, nn.LSTM) else part for name, part in network._modules.items()
    }
    with warnings.catch_warnings():
        # What torch names in its place compiles C++ where it runs, or for one machine.
        warnings.simplefilter("ignore", DeprecationWarning)
        compiled = torch.jit.script(plain)
    copied = copy.copy(network)  # has the same parameters and parts
    vars(copied)["_read"] = compiled._read
    return copied


class _Lstm(nn.Module):
    """What `nn.LSTM` computes of padded windows, without its checks, which take 0.2 s to compile."""

    def __init__(self, layer: nn.LSTM) -> None:
        super().__init__()
        self.weights = [weight for weight in layer._flat_weights if weight is not None]
        self.hidden_width = layer.hidden_size

    def forward(self, embedded_WTE: Tensor) -> tuple[Tensor, Tensor]:
        start_1WH = embedded_WTE.new_zeros(1, len(embedded_WTE), self.hidden_width)
        states_WTH, last_1WH, _ = torch.lstm(
            embedded_WTE, [start_1WH, start_1WH], self.weights, True, 1, 0.0, False, False, True
        )
        return states_WTH, last_1WH


def _rounded(windows: int) -> int:
    """How many windows are read in place of so many."""
    if windows <= 2:  # one window alone gets another kernel, which in bfloat16 moved its logit by up to 0.003
        return 2
    return -(-windows // _WINDOWS_ROUNDED_TO) * _WINDOWS_ROUNDED_TO


def score_batch(network: nn.Module, batch: Batch, device: torch.device) -> Tensor:
    """Run one batch of windows through a network with SpamNetwork's arguments; float32 (B,) logits on `device`."""
    logits: Tensor = network(
        torch.from_numpy(batch.token_ids_WT).to(device, non_blocking=True),
        torch.from_numpy(batch.lengths_W).to(device, non_blocking=True),
        torch.from_numpy(batch.message_W).to(device, non_blocking=True),
        batch.messages,
    )
    return logits


def computes_in_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16; where it has none, it is slower than float32."""
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))
