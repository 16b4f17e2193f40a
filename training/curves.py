"""The curves of a filter as plain numbers: for the pictures of the report, and for the card, from which the page draws.

Shape letters: N messages, P points of a curve, C bins that hold a message.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.measures import IsSpam, Scores

Line = tuple[NDArray[np.float64], NDArray[np.float64]]

_BINS = 15
_CARD_POINTS = 120  # about 2 kB a curve
_CARD_DIGITS = 5


def roc(scores_N: Scores, is_spam_N: IsSpam, most_points: int = 400) -> Line:
    """Return shares of ham lost (P,) and of spam caught (P,), from the highest threshold down.

    Of a curve with more corners than `most_points` the first are kept one by one, where a logarithmic scale has room.
    """
    order = np.argsort(-scores_N, kind="stable")
    is_last = np.append(np.diff(scores_N[order]) != 0, True)  # messages of equal score are caught together
    caught = np.cumsum(is_spam_N[order])[is_last] / max(1, is_spam_N.sum())
    lost = np.cumsum(~is_spam_N[order])[is_last] / max(1, (~is_spam_N).sum())
    corners = np.flatnonzero(np.diff(lost, append=2.0) > 0)  # the most that is caught at each loss of ham
    if len(corners) > most_points:
        corners = corners[np.unique(np.geomspace(1, len(corners), most_points).astype(int)) - 1]
    return lost[corners], caught[corners]


def reliability(
    probabilities_N: Scores, is_spam_N: IsSpam, bins: int = _BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return for each bin of equal width that holds a message: mean probability, share of spam, messages; each (C,)."""
    bin_N = np.minimum((probabilities_N * bins).astype(int), bins - 1)
    count = np.bincount(bin_N, minlength=bins)
    filled = count > 0
    said = np.bincount(bin_N, probabilities_N, minlength=bins)[filled] / count[filled]
    found = np.bincount(bin_N, is_spam_N, minlength=bins)[filled] / count[filled]
    return said, found, count[filled]


def for_card(probabilities_N: Scores, is_spam_N: IsSpam) -> dict[str, Any]:
    """Return ROC and reliability as lists of numbers; no ROC where one class is missing."""
    said, found, messages = reliability(probabilities_N, is_spam_N)
    curves: dict[str, Any] = {
        "reliability": {"probability": _plain(said), "spam_share": _plain(found), "messages": messages.tolist()}
    }
    if 0 < is_spam_N.sum() < len(is_spam_N):
        lost, caught = roc(probabilities_N, is_spam_N, _CARD_POINTS)
        curves["roc"] = {"ham_lost": _plain(lost), "spam_caught": _plain(caught)}
    return curves


def _plain(values: NDArray[np.float64]) -> list[float]:
    rounded: list[float] = np.round(values, _CARD_DIGITS).tolist()
    return rounded
