"""The network: windows of token ids in, one spam logit per message out.

Shape letters: B messages, W windows (at least one a message), T tokens of the longest window, E embedding width,
H hidden width of one direction, R readout width.

Two one-directional layers, the second on each window's own tokens in reverse: in a padded bidirectional `nn.LSTM`
the backward direction would start in the padding, and a packed sequence never reaches the fast CPU kernel.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from classifier.encoding import Batch
from classifier.errors import ConfigError
from classifier.tokenizer import PADDING_ID

Cell = Literal["lstm", "gru", "rnn"]
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
        position_T = torch.arange(token_ids_WT.shape[1], device=token_ids_WT.device)
        padding_WT = position_T >= lengths_W[:, None]
        # The first `length` places in reverse; the rest wraps round into places that are never read.
        reverse_WT = (lengths_W[:, None] - 1 - position_T) % token_ids_WT.shape[1]
        kept_W1E = self._kept_widths(token_ids_WT)
        embedded_WTE = self.embedding(token_ids_WT) * kept_W1E
        # Which words there are, whatever their order; padding is embedded as zeros.
        bag_WE = embedded_WTE.sum(1) / lengths_W[:, None]
        forwards_WTH, _ = self.forwards(embedded_WTE)
        # Looked up again: to gather from what was looked up costs more, backwards above all.
        backwards_WTH, _ = self.backwards(self.embedding(token_ids_WT.gather(1, reverse_WT)) * kept_W1E)
        states_WS = self._states(forwards_WTH, backwards_WTH, lengths_W, padding_WT)
        window_WR = torch.tanh(self.readout(self.dropout(torch.cat([states_WS, bag_WE], dim=1))))
        message_BR = pool_windows(window_WR, message_W, messages)
        logit: Tensor = self.logit(self.dropout(message_BR)).squeeze(-1)
        return logit.float()

    def _kept_widths(self, token_ids_WT: Tensor) -> Tensor | float:
        """Dropout of whole embedding widths of a window, the same at every token (Gal & Ghahramani 2016)."""
        if not (self.training and self.dropout.p):
            return 1.0
        kept_W1E: Tensor = self.dropout(
            self.embedding.weight.new_ones(len(token_ids_WT), 1, self.config.embedding_width)
        )
        return kept_W1E

    def _states(self, forwards_WTH: Tensor, backwards_WTH: Tensor, lengths_W: Tensor, padding_WT: Tensor) -> Tensor:
        """Each direction's mean and maximum over time, side by side (W, 4H)."""
        # As a product and a sum, which cost less than filling what is masked.
        share_W1T = (~padding_WT / lengths_W[:, None])[:, None]
        floor_WT1 = torch.zeros_like(share_W1T).masked_fill(padding_WT[:, None], float("-inf")).transpose(1, 2)
        states = []
        for states_WTH in (forwards_WTH, backwards_WTH):
            states.append(torch.bmm(share_W1T.to(states_WTH.dtype), states_WTH).squeeze(1))
            states.append((states_WTH + floor_WT1.to(states_WTH.dtype)).max(1).values)
        return torch.cat(states, dim=1)


def pool_windows(window_WR: Tensor, message_W: Tensor, messages: int) -> Tensor:
    """Maximum and mean over the windows of each message, side by side (B, 2R)."""
    window_WR = window_WR.float()
    index_WR = message_W[:, None].expand_as(window_WR)
    empty_BR = window_WR.new_zeros(messages, window_WR.shape[1])
    highest_BR = empty_BR.scatter_reduce(0, index_WR, window_WR, "amax", include_self=False)
    mean_BR = empty_BR.scatter_reduce(0, index_WR, window_WR, "mean", include_self=False)
    return torch.cat([highest_BR, mean_BR], dim=1)


def score_batch(network: nn.Module, batch: Batch, device: torch.device) -> Tensor:
    """Run one batch of windows through a network with SpamNetwork's arguments; float32 (B,) logits on `device`."""
    logits: Tensor = network(
        torch.from_numpy(batch.token_ids_WT).to(device, non_blocking=True),
        torch.from_numpy(batch.lengths_W).to(device, non_blocking=True),
        torch.from_numpy(batch.message_W).to(device, non_blocking=True),
        batch.messages,
    )
    return logits
