"""What a regression gets wrong counts more: on made-up rows."""

import numpy as np
import pytest
import scipy.sparse

from classifier.ngrams import READINGS
from training.hard_examples import Examples, emphasis

MESSAGES = 40


def examples(is_spam: np.ndarray) -> Examples:
    """Feature 0 stands in the first half of the messages, feature 1 in the others; each message has one of its own."""
    own = np.arange(MESSAGES)
    said = (own >= MESSAGES // 2).astype(np.int64)
    rows = scipy.sparse.csr_matrix(
        (np.ones(2 * MESSAGES, np.float32), (own.repeat(2), np.stack([said, own + 2], axis=1).ravel())),
        (MESSAGES, MESSAGES + 2),
    )
    both_readings = rows[own.repeat(READINGS)]
    return Examples(both_readings, own, np.ones(MESSAGES), is_spam)


def test_what_is_unlike_its_class_is_found_by_a_model_that_never_saw_it() -> None:
    """A message labelled against what it says errs; a model that had seen it would know it by its own feature."""
    is_spam = np.arange(MESSAGES) >= MESSAGES // 2
    is_spam[3] = True
    errors = examples(is_spam).errors(np.arange(MESSAGES), np.random.default_rng(0))
    assert errors.argmax() == 3
    assert errors[3] > 0.6
    assert np.delete(errors, 3).max() < 0.4


def test_what_errs_is_learned_better_once_it_counts_more() -> None:
    """The ham that says what spam says is further from spam then."""
    is_spam = np.arange(MESSAGES) >= MESSAGES // 2
    is_spam[-1] = False
    some = examples(is_spam)
    errors = some.errors(np.arange(MESSAGES), np.random.default_rng(0))
    heavier = some.weighed(emphasis(errors, is_spam, np.ones(MESSAGES), ham=10.0, spam=0.0))
    before, after = (each.fitted(1.0).decision_function(some.features_RF)[-1] for each in (some, heavier))
    assert after < before - 0.5


def test_near_copies_stay_together() -> None:
    """A cluster that is labelled wrongly as a whole errs as a whole: none of it is in the half that judges it."""
    is_spam = np.arange(MESSAGES) >= MESSAGES // 2
    is_spam[:4] = True
    clusters = np.array([0] * 4 + list(range(1, MESSAGES - 3)))
    errors = examples(is_spam).errors(clusters, np.random.default_rng(0))
    assert errors[:4].min() > 0.6


def test_nothing_errs_where_a_half_would_have_one_class() -> None:
    """All spam in one cluster is in one half: there is no model for the other."""
    is_spam = np.arange(MESSAGES) < 5
    errors = examples(is_spam).errors(np.maximum(np.arange(MESSAGES) - 4, 0), np.random.default_rng(0))
    assert not errors.any()


@pytest.mark.parametrize(("ham", "spam"), [(10.0, 0.0), (0.0, 3.0), (10.0, 10.0)])
def test_emphasis_moves_weight_within_a_class_alone(ham: float, spam: float) -> None:
    """Each class weighs together what it weighed; within it the worse judged count more, by the ratio asked for."""
    random = np.random.default_rng(1)
    is_spam = np.arange(MESSAGES) % 4 == 0
    errors, weights = random.random(MESSAGES), random.random(MESSAGES)
    factors = emphasis(errors, is_spam, weights, ham, spam)
    for members, hard in ((is_spam, spam), (~is_spam, ham)):
        assert (factors * weights)[members].sum() == pytest.approx(weights[members].sum())
        expected = 1 + hard * errors[members]
        assert factors[members] / factors[members][0] == pytest.approx(expected / expected[0])
