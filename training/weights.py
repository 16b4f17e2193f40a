"""How much each message counts, and how often it is seen."""

import numpy as np
from numpy.typing import NDArray

from training.config import FitConfig
from training.corpus import Corpus


def message_weights(corpus: Corpus, places: NDArray[np.int64], fit: FitConfig) -> NDArray[np.float64]:
    """Return how much each message of the corpus should count: mean 1 over `places`, 0 elsewhere.

    Spam and ham weigh the same. Within a class a corpus of total n weighs n ** (1 - corpus_discount), and within a
    corpus a cluster of n messages weighs n ** (1 - cluster_discount): a campaign is one kind of spam, not 900, and the
    longest archive is not the world.
    """
    cluster_sizes = np.bincount(corpus.clusters[places], minlength=int(corpus.clusters.max()) + 1)
    weights = np.zeros(len(corpus.messages), np.float64)
    weights[places] = cluster_sizes[corpus.clusters[places]].astype(np.float64) ** -fit.cluster_discount
    is_spam, corpora = corpus.is_spam, corpus.corpora
    for one_class in (is_spam, ~is_spam):
        for name in np.unique(corpora[places]):
            members = one_class & (corpora == name)
            weights[members] *= max(weights[members].sum(), 1e-9) ** -fit.corpus_discount
        weights[one_class] *= len(places) / 2 / max(weights[one_class].sum(), 1e-9)
    return weights


def chances_to_be_seen(weights: NDArray[np.float64], epoch_share: float) -> NDArray[np.float64]:
    """Return the chance of each message to be seen in one epoch: its weight's share, never above 1.

    A message that is seen counts weight / chance in the loss, so that on average it counts its weight.
    """
    return np.minimum(1.0, weights * epoch_share)
