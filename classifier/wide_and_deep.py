"""The model: a deep half that reads the message in order, and a wide half that weighs what is in it.

Cheng et al. 2016, but the halves are fitted apart: the wide one alone is a convex problem with one answer. They err on
different mail, so their sum is better than either (docs/experiments.md).
"""

import torch
from torch import Tensor, nn

from classifier.network import NetworkConfig, SpamNetwork
from classifier.ngrams import NgramConfig, NgramEvidence


class WideAndDeep(nn.Module):
    """Sum of the logits of both halves, each scaled."""

    scales: Tensor

    def __init__(self, deep: SpamNetwork, wide: NgramEvidence) -> None:
        super().__init__()
        self.deep = deep
        self.wide = wide
        self.register_buffer("scales", torch.ones(2))  # of the deep half and of the wide half

    @classmethod
    def of_sizes(cls, network: NetworkConfig, ngrams: NgramConfig) -> "WideAndDeep":
        """Return a model of these sizes, whose weights are to be loaded."""
        return cls(SpamNetwork(network), NgramEvidence(ngrams, network.vocabulary_size))

    def forward(self, token_ids_WT: Tensor, lengths_W: Tensor, message_W: Tensor, messages: int) -> Tensor:
        """Return one logit per message; arguments and result are those of SpamNetwork.forward."""
        deep_B = self.deep(token_ids_WT, lengths_W, message_W, messages)
        wide_B = self.wide(token_ids_WT, lengths_W, message_W, messages)
        logits_B: Tensor = self.scales[0] * deep_B + self.scales[1] * wide_B
        return logits_B
