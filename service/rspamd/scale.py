"""Hamlet's verdicts on rspamd's scale: a score, an action, a symbol.

The two thresholds of the model lie where rspamd's defaults have "add header" (6) and "reject" (15):

    probability  0 ........ ham_below ........ spam_from ........ 1
    verdict         ham        |     unsure        |    spam
    score        0 ........... 6 ................ 15 ........... 20

Inside a band the score is linear in the probability, and cut, not rounded, to hundredths: it never says more than
the verdict does.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from classifier.verdict import Thresholds, Verdict

ADD_HEADER_SCORE = 6.0  # rspamd's default for "add header"
REJECT_SCORE = 15.0  # and for "reject"; both in its conf/actions.conf
HIGHEST_SCORE = 20.0
HUNDREDTH = 0.01

NO_ACTION, ADD_HEADER, REJECT = "no action", "add header", "reject"
THRESHOLDS = {REJECT: REJECT_SCORE, ADD_HEADER: ADD_HEADER_SCORE}

SYMBOLS: Mapping[Verdict, tuple[str, str]] = {
    Verdict.SPAM: ("HAMLET_SPAM", "The model calls this spam; the option is the probability of spam"),
    Verdict.UNSURE: ("HAMLET_UNSURE", "The model is not sure; the option is the probability of spam"),
    Verdict.HAM: ("HAMLET_HAM", "The model calls this ham; the option is the probability of spam"),
}


def score_of(probability: float, thresholds: Thresholds) -> float:
    """Return the score of a probability: 0 to 20, never falling as the probability grows."""
    bands = {
        Verdict.HAM: (0.0, thresholds.ham_below, 0.0, ADD_HEADER_SCORE - HUNDREDTH),
        Verdict.UNSURE: (thresholds.ham_below, thresholds.spam_from, ADD_HEADER_SCORE, REJECT_SCORE - HUNDREDTH),
        Verdict.SPAM: (thresholds.spam_from, 1.0, REJECT_SCORE, HIGHEST_SCORE),
    }
    begin, end, lowest, highest = bands[thresholds.verdict(probability)]
    share = (probability - begin) / (end - begin) if end > begin else 0.0
    score = lowest + (highest + HUNDREDTH - lowest) * share
    return min(math.floor(score / HUNDREDTH + 1e-6) / 100, highest)


@dataclass(frozen=True, slots=True)
class Choices:
    """What the settings say of actions."""

    reject: bool
    mark_unsure: bool


def action_of(verdict: Verdict, choices: Choices) -> str:
    """Return what the mail server is to do: what is not sure is delivered as it is, unless it is to be marked."""
    if verdict is Verdict.SPAM:
        return REJECT if choices.reject else ADD_HEADER
    return ADD_HEADER if verdict is Verdict.UNSURE and choices.mark_unsure else NO_ACTION
