"""Measures of a filter, with intervals. N messages, S spam, H ham; higher scores lean spam."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
IsSpam = NDArray[np.bool_]
Measure = Callable[[Scores, IsSpam], float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def one_minus_roca(scores_N: Scores, is_spam_N: IsSpam) -> float:
    """Return (1 - area under the ROC curve) in percent, as the TREC spam track gives it; ties count half.

    It is the chance that a random ham scores above a random spam. NaN without both classes.
    """
    spam, ham = scores_N[is_spam_N], np.sort(scores_N[~is_spam_N])
    if not len(spam) or not len(ham):
        return float("nan")
    above = len(ham) - np.searchsorted(ham, spam, "right")
    same = np.searchsorted(ham, spam, "right") - np.searchsorted(ham, spam, "left")
    return float(100 * (above + same / 2).sum() / (len(spam) * len(ham)))


def spam_caught(scores_N: Scores, is_spam_N: IsSpam, ham_loss: float) -> float:
    """Return the share of spam above the lowest threshold that loses at most `ham_loss` (a share) of the ham."""
    spam, ham = scores_N[is_spam_N], np.sort(scores_N[~is_spam_N])[::-1]
    if not len(spam) or not len(ham):
        return float("nan")
    allowed = int(ham_loss * len(ham))
    return float((spam > ham[allowed]).mean()) if allowed < len(ham) else 1.0


def calibration_error(probabilities_N: Scores, is_spam_N: IsSpam, bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal width (Guo et al. 2017)."""
    if not len(probabilities_N):
        return float("nan")
    bin_N = np.minimum((probabilities_N * bins).astype(int), bins - 1)
    gap = np.bincount(bin_N, probabilities_N - is_spam_N, minlength=bins)
    return float(np.abs(gap).sum() / len(probabilities_N))


def bootstrap(measure: Measure, scores_N: Scores, is_spam_N: IsSpam, *, seed: int = 1, rounds: int = 1000) -> Estimate:
    """Return a measure and its percentile interval, spam and ham drawn anew apart from each other."""
    random = np.random.default_rng(seed)
    spam, ham = np.flatnonzero(is_spam_N), np.flatnonzero(~is_spam_N)
    value = measure(scores_N, is_spam_N)
    if not np.isfinite(value):
        return Estimate(value, value, value)
    values = np.empty(rounds)
    for turn in range(rounds):
        drawn = np.concatenate([random.choice(spam, len(spam)), random.choice(ham, len(ham))])
        values[turn] = measure(scores_N[drawn], is_spam_N[drawn])
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def share_interval(count: int, of: int) -> Estimate:
    """Return a share and its 95 % Wilson interval, which is right for rare events too; NaN of nothing."""
    if not of:
        return Estimate(float("nan"), float("nan"), float("nan"))
    z = 1.959964
    share = count / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return Estimate(share, float(max(0.0, middle - half)), float(min(1.0, middle + half)))
