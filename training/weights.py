"""How much each message counts, and how often it is seen."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from training.config import FitConfig
from training.corpus import Corpus
from training.languages import NOT_SURE
from training.split import Part


def message_weights(corpus: Corpus, places: NDArray[np.int64], fit: FitConfig) -> NDArray[np.float64]:
    """Return how much each message of the corpus should count: mean 1 over `places`, 0 elsewhere.

    Spam and ham weigh the same. Within a class a corpus of total n weighs n ** (1 - corpus_discount), and within a
    corpus a cluster of n messages weighs n ** (1 - cluster_discount): a campaign is one kind of spam, not 900, and the
    longest archive is not the world. Spam in a language that hardly any ham of the train part is written in is not
    learned from: see `FitConfig.ham_share_of_language`.
    """
    cluster_sizes = np.bincount(corpus.clusters[places], minlength=int(corpus.clusters.max()) + 1)
    weights = np.zeros(len(corpus.messages), np.float64)
    weights[places] = cluster_sizes[corpus.clusters[places]].astype(np.float64) ** -fit.cluster_discount
    is_spam, corpora = corpus.is_spam, corpus.corpora
    weights[is_spam & ~_is_in_a_language_of_ham(corpus, fit.ham_share_of_language)] = 0
    for one_class in (is_spam, ~is_spam):
        for name in np.unique(corpora[places]):
            members = one_class & (corpora == name)
            weights[members] *= max(weights[members].sum(), 1e-9) ** -fit.corpus_discount
        weights[one_class] *= len(places) / 2 / max(weights[one_class].sum(), 1e-9)
    return weights


def _is_in_a_language_of_ham(corpus: Corpus, least_share: float) -> NDArray[np.bool_]:
    """Whether each message is in a language that so much of the train part's ham is in, or in none that is known."""
    ham = Counter(
        message.language
        for message, part in zip(corpus.messages, corpus.parts.tolist(), strict=True)
        if part == Part.TRAIN and not message.is_spam and message.language != NOT_SURE
    )
    least = least_share * ham.total()
    return np.array([one.language == NOT_SURE or ham[one.language] >= least for one in corpus.messages], np.bool_)


def chances_to_be_seen(weights: NDArray[np.float64], epoch_share: float) -> NDArray[np.float64]:
    """Return the chance of each message to be seen in one epoch: its weight's share, never above 1.

    A message that is seen counts weight / chance in the loss, so that on average it counts its weight.
    """
    return np.minimum(1.0, weights * epoch_share)
