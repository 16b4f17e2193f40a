"""The two thresholds, by budgets for the ham that is lost and the spam that leaks.

What loses 0.1 % of the ham hangs on one or two messages of a calibration part, and on which they happen to be. So
`spam_from` is read off the whole tail of the ham's log-odds: what exceeds a high value is about exponential, and its
mean tells where any smaller share ends (peaks over threshold, Coles 2001, chapter 4; docs/experiments.md, 2026-11-30).
It may stand higher by an allowance for mail of other people, which no calibration part holds. `ham_below` has a budget
five times as large, and is the highest that keeps to it.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from classifier.verdict import Thresholds
from training.config import ThresholdConfig
from training.measures import IsSpam, Scores

# Never below even odds, nor above: `spam` has to mean more likely spam than not.
_EVEN = 0.5
# The tail of the ham: its share of all, and the fewest messages that tell how it goes on.
_TAIL_SHARE, _TAIL_FEWEST = 0.02, 10


def choose_thresholds(
    probabilities_N: Scores, is_spam_N: IsSpam, corpora_N: NDArray[np.str_], config: ThresholdConfig
) -> Thresholds:
    """Return thresholds that lose about the budget of ham like this, and leak at most that of this spam.

    Every corpus weighs the same: a budget over all mail alike would be spent on the smallest and hardest corpora, which
    is where a new mailbox is most like. spam_from is with the allowance.
    """
    spam, ham = is_spam_N, ~is_spam_N
    spam_from = _end_of_tail(probabilities_N[ham], _weights(corpora_N[ham]), config.ham_loss_budget)
    leak_from = _lowest(-probabilities_N[spam], _weights(corpora_N[spam]), config.spam_leak_budget)
    spam_from = _raised(float(min(1.0, max(_EVEN, spam_from))), config.strangers_allowance)
    return Thresholds(ham_below=float(np.clip(-leak_from, 0.0, min(_EVEN, spam_from))), spam_from=spam_from)


def _raised(probability: float, nats: float) -> float:
    """Return the probability whose log-odds are higher by so many nats; 1 stays 1."""
    # Never below the probability itself: rounding may end below it, and so below a score that has to stay ham.
    return max(probability, 1 / (1 + math.exp(-nats) * (1 - probability) / probability))


def lowest_spam_from(scores_N: Scores, is_spam_N: IsSpam, corpora_N: NDArray[np.str_], ham_loss_budget: float) -> float:
    """Return the lowest threshold that loses at most the budget of this ham, on any scale that leans spam."""
    ham = ~is_spam_N
    return _lowest(scores_N[ham], _weights(corpora_N[ham]), ham_loss_budget)


def _end_of_tail(probabilities: Scores, weights: NDArray[np.float64], budget: float) -> float:
    """Return the probability that so much of the weight is expected at or above, in more mail of the same kind.

    Of mail too little to tell, or with a budget that is above the tail, it is the lowest that keeps to the budget.
    """
    order = np.argsort(-probabilities, kind="stable")
    probabilities, weights = probabilities[order], weights[order]
    reached = np.cumsum(weights)
    tail = int(np.searchsorted(reached, _TAIL_SHARE, "right"))
    if tail < _TAIL_FEWEST or not 0 < budget < reached[tail - 1]:
        return _lowest(probabilities, weights, budget)
    # A probability of 0 or 1 is a rounded one.
    least = np.finfo(np.float64).eps
    log_odds = logit(np.clip(probabilities, least, 1 - least))
    excess = np.average(log_odds[:tail] - log_odds[tail], weights=weights[:tail])
    end = expit(log_odds[tail] + excess * (math.log(reached[tail - 1]) - math.log(budget)))
    return float(max(end, np.nextafter(probabilities[tail], np.inf)))


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
