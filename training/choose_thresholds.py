"""The two thresholds: the lowest and the highest that keep to their budgets on the calibration mail.

`spam_from` may stand higher by an allowance for mail of other people, which no calibration part holds.
"""

import math

import numpy as np
from numpy.typing import NDArray

from classifier.verdict import Thresholds
from training.config import ThresholdConfig
from training.measures import IsSpam, Scores

# Never below even odds, nor above: `spam` has to mean more likely spam than not.
_EVEN = 0.5


def choose_thresholds(
    probabilities_N: Scores, is_spam_N: IsSpam, corpora_N: NDArray[np.str_], config: ThresholdConfig
) -> Thresholds:
    """Return thresholds that lose at most the budgets, every corpus weighing the same; spam_from with the allowance.

    A budget over all mail alike would be spent on the smallest and hardest corpora, which is where a new mailbox is
    most like.
    """
    spam = is_spam_N
    spam_from = lowest_spam_from(probabilities_N, is_spam_N, corpora_N, config.ham_loss_budget)
    leak_from = _lowest(-probabilities_N[spam], _weights(corpora_N[spam]), config.spam_leak_budget)
    spam_from = _raised(float(min(1.0, max(_EVEN, spam_from))), config.strangers_allowance)
    return Thresholds(ham_below=float(np.clip(-leak_from, 0.0, min(_EVEN, spam_from))), spam_from=spam_from)


def _raised(probability: float, nats: float) -> float:
    """Return the probability whose log-odds are higher by so many nats; 1 stays 1."""
    # Never below the probability itself: rounding may end below it, and so below a score that has to stay ham.
    return max(probability, 1 / (1 + math.exp(-nats) * (1 - probability) / probability))


def lowest_spam_from(scores_N: Scores, is_spam_N: IsSpam, corpora_N: NDArray[np.str_], ham_loss_budget: float) -> float:
    """Return the lowest threshold that loses at most the budget of the ham, on any scale that leans spam."""
    ham = ~is_spam_N
    return _lowest(scores_N[ham], _weights(corpora_N[ham]), ham_loss_budget)


def _weights(corpora: NDArray[np.str_]) -> NDArray[np.float64]:
    """Shares that add up to 1, each corpus having the same."""
    names, place, sizes = np.unique(corpora, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = 1 / (len(names) * sizes[place])
    return weights


def _lowest(values: Scores, weights: NDArray[np.float64], budget: float) -> float:
    """Return the lowest threshold with at most `budget` of the weight at or above it (just above a value)."""
    if not len(values):
        return _EVEN
    order = np.argsort(-values, kind="stable")
    lost = np.cumsum(weights[order])
    # The first value whose loss would break the budget, ties with it included, must stay below the threshold.
    first = int(np.searchsorted(lost, budget, "right"))
    if first >= len(values):
        return float(values.min())
    return float(np.nextafter(values[order[first]], np.inf))
