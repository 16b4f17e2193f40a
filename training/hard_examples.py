"""The regression behind the wide half, and how much more it counts the mail that such a regression gets wrong.

Most mail is told apart with ease and settles the weights. What stands close to the other class, an advertisement that
was wanted, a spam like a letter, is seldom: it counts more here, by as much as a regression that was fitted without it
errs on it (just train twice, Liu et al. 2021, with errors in place of mistakes; docs/experiments.md, 2026-11-29). Wrong
labels then count more too.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from classifier.ngrams import READINGS
from training.progress import say
from training.readings import of_messages

_MOST_ITERATIONS = 2000
# At the library's 1e-4 it stops early, elsewhere for each set of weights.
_TOLERANCE = 1e-6
# For errors that only weigh, a model that is sure of less and soon found.
_ROUGH_PENALTY, _ROUGH_TOLERANCE = 10.0, 1e-4


@dataclass(frozen=True, slots=True)
class Examples:
    """What is learned from: messages (N), each in several forms (M in all), each form in READINGS rows (R)."""

    features_RF: scipy.sparse.csr_matrix  # first the rows of all messages as they are, in order
    message_M: NDArray[np.int64]  # which message each form is of
    count_M: NDArray[np.float64]  # how much each form counts
    is_spam_N: NDArray[np.bool_]

    def fitted(
        self, inverse_penalty: float, tolerance: float = _TOLERANCE, among_N: NDArray[np.bool_] | None = None
    ) -> LogisticRegression:
        """Return a logistic regression on all messages, or on some of them."""
        which_M = np.arange(len(self.message_M)) if among_N is None else np.flatnonzero(among_N[self.message_M])
        model = LogisticRegression(C=inverse_penalty, max_iter=_MOST_ITERATIONS, tol=tolerance)
        model.fit(
            self.features_RF if among_N is None else self.features_RF[_rows(which_M)],
            self.is_spam_N[self.message_M[which_M]].repeat(READINGS),
            self.count_M[which_M].repeat(READINGS) / READINGS,
        )
        return model

    def weighed(self, factors_N: NDArray[np.float64]) -> "Examples":
        """Return the same, each message counting so many times as much."""
        return replace(self, count_M=self.count_M * factors_N[self.message_M])

    def errors(self, clusters_N: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.float64]:
        """Return how wrong a regression is about each message that was fitted without it and its near copies, 0 to 1.

        All are 0 where one half of the mail would have one class alone.
        """
        errors_N = np.zeros(len(self.is_spam_N))
        in_first_N = (random.random(int(clusters_N.max()) + 1) < 0.5)[clusters_N]
        halves = (in_first_N, ~in_first_N)
        if any(len(np.unique(self.is_spam_N[half_N])) < 2 for half_N in halves):
            return errors_N
        for number, half_N in enumerate(halves):
            say(f"fitting n-grams on half of the mail, to find what is hard in the other ({number + 1} of 2)")
            model = self.fitted(_ROUGH_PENALTY, _ROUGH_TOLERANCE, half_N)
            others = np.flatnonzero(~half_N)
            logits = model.decision_function(of_messages(self.features_RF[_rows(others)]))
            errors_N[others] = expit(np.where(self.is_spam_N[others], -logits, logits))
        return errors_N


def emphasis(
    errors_N: NDArray[np.float64], is_spam_N: NDArray[np.bool_], weights_N: NDArray[np.float64], ham: float, spam: float
) -> NDArray[np.float64]:
    """Return a factor for what each message counts: 1 + ham or spam x its error, each class weighing what it did.

    Args:
        weights_N: how much each counts without.
    """
    factors_N = 1 + np.where(is_spam_N, spam, ham) * errors_N
    for members in (is_spam_N, ~is_spam_N):
        heavier = float((factors_N * weights_N)[members].sum())
        factors_N[members] *= float(weights_N[members].sum()) / max(heavier, 1e-9)
    return factors_N


def _rows(messages: NDArray[np.int64]) -> NDArray[np.int64]:
    return (messages[:, None] * READINGS + np.arange(READINGS)).ravel()
