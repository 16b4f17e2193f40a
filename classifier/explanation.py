"""How much each token of a message pulls its logit to spam or to ham.

In the wide half that is what its n-grams add, exactly. In the deep half it is gradient times input: the logit's
gradient at each token's embedding, times that embedding.

Shape letters: B messages, N tokens of all messages, W windows, T tokens of the longest window, R rows of an embedding,
E embedding width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from classifier.encoding import EncodingConfig, make_batch
from classifier.network import SpamNetwork, score_batch
from classifier.ngrams import NgramEvidence
from classifier.wide_and_deep import WideAndDeep

Weights = NDArray[np.float32]


def token_weights(model: WideAndDeep, messages: Sequence[Sequence[int]], encoding: EncodingConfig) -> list[Weights]:
    """Return the weights of the tokens of each message, nats of the logit, positive pulls to spam.

    Args:
        model: in evaluation mode and frozen.
        messages: token ids of each, as they are read; none is empty.
    """
    scale, wide_scale = model.scales.tolist()
    lengths = [len(token_ids) for token_ids in messages]
    weights_N = scale * _deep_weights(model.deep, messages, encoding)
    weights_N += wide_scale * _wide_weights(model.wide, messages, encoding)
    return [weights.numpy() for weights in weights_N.split(lengths)]


def _deep_weights(network: SpamNetwork, messages: Sequence[Sequence[int]], encoding: EncodingConfig) -> Tensor:
    """Weight of each token of all messages (N,)."""
    ids_N = torch.tensor([token_id for token_ids in messages for token_id in token_ids], dtype=torch.int64)
    embedded_NE = network.embedding.weight.detach()[ids_N].float()
    # A row for each token, so that a row's gradient is that of one token, wherever the network looks it up. Row 0 is
    # padding.
    table_RE = torch.cat([embedded_NE.new_zeros(1, embedded_NE.shape[1]), embedded_NE]).requires_grad_()
    rows: list[range] = []
    for token_ids in messages:
        start = rows[-1].stop if rows else 1
        rows.append(range(start, start + len(token_ids)))
    with torch.enable_grad():
        logits_B = score_batch(_WithEmbedding(network, table_RE), make_batch(rows, encoding), torch.device("cpu"))
        (gradient_RE,) = torch.autograd.grad(logits_B.sum(), table_RE)
    return (gradient_RE[1:] * embedded_NE).sum(1)


def _wide_weights(wide: NgramEvidence, messages: Sequence[Sequence[int]], encoding: EncodingConfig) -> Tensor:
    """Weight of each token of all messages (N,), exact."""
    batch = make_batch(messages, encoding)
    lengths_W = torch.from_numpy(batch.lengths_W)
    weights_WT = wide.token_weights(
        torch.from_numpy(batch.token_ids_WT), lengths_W, torch.from_numpy(batch.message_W), batch.messages
    )
    return weights_WT[torch.arange(weights_WT.shape[1]) < lengths_W[:, None]]


class _WithEmbedding(torch.nn.Module):
    """The network with other rows in its embedding."""

    def __init__(self, network: SpamNetwork, table_RE: Tensor) -> None:
        super().__init__()
        self._network = network
        self._table = {"embedding.weight": table_RE}

    def forward(self, *batch: Tensor | int) -> Tensor:
        logits: Tensor = functional_call(self._network, self._table, batch)
        return logits
