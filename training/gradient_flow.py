"""How much of the gradient comes back to each token: why the cell is an LSTM.

The norm of the loss's gradient with respect to the embedding of every token, for freshly initialised cells. A vanilla
RNN multiplies it by one matrix at each step back, so that it fades (Hochreiter 1991, Bengio et al. 1994); the LSTM's
cell state adds.

Shape letters: W sequences, T tokens, E embedding width.
"""

import copy

import torch
from torch import Tensor, nn

from classifier.network import NetworkConfig, SpamNetwork
from classifier.tokenizer import PADDING_ID
from training.long_lag import CELLS, LastState

_VOCABULARY = 256
_WIDTH = 128


def gradient_flow(tokens: int = 256, sequences: int = 16, *, seed: int = 1) -> dict[str, dict[str, list[float]]]:
    """Return the gradient's norm at each token of random sequences, first token first, relative to the largest.

    Under "last state" the logit is read off the last state of one layer: all the gradient comes through time. Under
    "as in the model" it is the whole network, both ways, whose maximum over time and mean embedding are shorter ways.

    Returns:
        {"last state": {"rnn": norms of T tokens, "gru": ..., "lstm": ...}, "as in the model": {...}}
    """
    random = torch.Generator().manual_seed(seed)
    token_ids_WT = torch.randint(1, _VOCABULARY, (sequences, tokens), generator=random)
    flow: dict[str, dict[str, list[float]]] = {"last state": {}, "as in the model": {}}
    for cell in CELLS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = NetworkConfig(_VOCABULARY, _WIDTH, _WIDTH, _WIDTH, cell)
            flow["last state"][cell] = gradient_norms(LastState(config), token_ids_WT)
            flow["as in the model"][cell] = gradient_norms(SpamNetwork(config), token_ids_WT)
    return flow


def gradient_norms(network: SpamNetwork | LastState, token_ids_WT: Tensor) -> list[float]:
    """Return the norm of d loss / d embedding at each of the T tokens, mean over sequences, the largest being 1."""
    sequences, tokens = token_ids_WT.shape
    network = copy.deepcopy(network)
    # Each token gets a row of its own, behind that of padding, so that a row's gradient is that of one token, read both
    # ways.
    rows = network.embedding.weight.detach()[torch.cat([torch.tensor([PADDING_ID]), token_ids_WT.flatten()])]
    network.embedding = nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=0)
    own_ids_WT = torch.arange(1, len(rows)).view(sequences, tokens)
    logits = network(own_ids_WT, torch.full((sequences,), tokens), torch.arange(sequences), sequences)
    targets = (torch.arange(sequences) % 2).float()
    nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum").backward()
    gradient = network.embedding.weight.grad
    assert gradient is not None
    norm_T = gradient[1:].view(sequences, tokens, -1).norm(dim=2).mean(0)
    return [float(norm) for norm in norm_T / norm_T.max()]
