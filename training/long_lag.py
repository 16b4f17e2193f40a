"""A task that only memory solves: the one token that tells spam from ham stands some tokens before the end.

Everything else is noise, and the logit is read off the last state, so accuracy at a lag tells how far back each cell
can learn from. The model itself has shorter ways (the maximum over time, the mean embedding): it is measured beside
them.

Shape letters: W sequences, T tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from classifier.network import Cell, NetworkConfig, SpamNetwork
from training.progress import progress

CELLS: Sequence[Cell] = ("rnn", "gru", "lstm")
LAGS = (8, 16, 32, 64, 128, 256)
_SPAM, _HAM, _FIRST_NOISE, _VOCABULARY = 1, 2, 3, 64
_CONFIG = NetworkConfig(_VOCABULARY, 16, 32, 16)
_LEARNING_RATE = 0.003
_SEQUENCES = 64
# Tokens up to and with the telling one.
_BEFORE = 9
_TESTED = 512


class LastState(nn.Module):
    """A network with one layer of a cell, initialised as the model's; the logit is read off its last state."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        model = SpamNetwork(config)
        self.embedding, self.layer = model.embedding, model.forwards
        self.logit = nn.Linear(config.hidden_width, 1)

    def forward(self, token_ids_WT: Tensor, lengths_W: Tensor, message_W: Tensor, messages: int) -> Tensor:
        """Return float32 (W,) logits; takes what SpamNetwork takes, one window a message."""
        states_WTH, _ = self.layer(self.embedding(token_ids_WT))
        logit: Tensor = self.logit(states_WTH[torch.arange(messages), lengths_W - 1]).squeeze(-1)
        return logit


def long_lag(
    lags: Sequence[int] = LAGS, steps: int = 400, seeds: Sequence[int] = (1, 2)
) -> dict[str, dict[str, float]]:
    """Train every cell on each lag by itself; return its accuracy on new sequences, 0 to 1, by lag; mean over seeds.

    About two minutes on two cores.

    Returns:
        {"rnn": {"8": accuracy, ...}, "gru": ..., "lstm": ..., "the model": ...}, the last being the whole network
        (LSTM both ways, maximum over time, mean embedding).
    """
    networks: dict[str, Callable[[], SpamNetwork | LastState]] = {
        cell: partial(LastState, replace(_CONFIG, cell=cell)) for cell in CELLS
    }
    networks["the model"] = partial(SpamNetwork, _CONFIG)
    accuracy: dict[str, dict[str, float]] = {name: {} for name in networks}
    tasks = [(name, lag) for name in networks for lag in lags]
    with torch.random.fork_rng(devices=[]):
        for name, lag in progress(tasks, "long lag", len(tasks)):
            found = []
            for seed in seeds:
                torch.manual_seed(seed)
                found.append(_accuracy(networks[name](), lag, steps, torch.Generator().manual_seed(seed)))
            accuracy[name][str(lag)] = sum(found) / len(found)
    return accuracy


def draw(lag: int, tokens: int, sequences: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return token ids (W, T) and labels (W,): the telling token has `lag` tokens of noise after it."""
    token_ids_WT = torch.randint(_FIRST_NOISE, _VOCABULARY, (sequences, tokens), generator=random)
    labels_W = torch.randint(0, 2, (sequences,), generator=random).float()
    token_ids_WT[:, tokens - 1 - lag] = torch.where(labels_W == 1, _SPAM, _HAM)
    return token_ids_WT, labels_W


def _accuracy(network: SpamNetwork | LastState, lag: int, steps: int, random: torch.Generator) -> float:
    optimiser = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    for _ in range(steps):
        token_ids_WT, labels_W = draw(lag, lag + _BEFORE, _SEQUENCES, random)
        loss = nn.functional.binary_cross_entropy_with_logits(_logits(network, token_ids_WT), labels_W)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    with torch.inference_mode():
        token_ids_WT, labels_W = draw(lag, lag + _BEFORE, _TESTED, random)
        return float(((_logits(network, token_ids_WT) > 0) == (labels_W == 1)).float().mean())


def _logits(network: SpamNetwork | LastState, token_ids_WT: Tensor) -> Tensor:
    windows, tokens = token_ids_WT.shape
    logits: Tensor = network(token_ids_WT, torch.full((windows,), tokens), torch.arange(windows), windows)
    return logits
