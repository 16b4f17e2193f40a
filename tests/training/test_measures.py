"""Measures, held against scikit-learn and against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from training.measures import bootstrap, calibration_error, one_minus_roca, share_interval, spam_caught

SCORED = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60)


@given(SCORED)
def test_one_minus_roca_is_the_area_that_scikit_learn_leaves(scored: list[tuple[int, bool]]) -> None:
    """Ties included, in percent; undefined with one class alone."""
    scores, is_spam = np.array([s for s, _ in scored], float), np.array([label for _, label in scored])
    if is_spam.all() or not is_spam.any():
        assert np.isnan(one_minus_roca(scores, is_spam))
    else:
        assert one_minus_roca(scores, is_spam) == pytest.approx(100 * (1 - roc_auc_score(is_spam, scores)))


@given(SCORED, st.floats(0, 1))
def test_spam_caught_keeps_to_the_ham_loss(scored: list[tuple[int, bool]], ham_loss: float) -> None:
    """Some threshold loses at most that much ham and catches just that much spam, and no lower one does."""
    scores, is_spam = np.array([s for s, _ in scored], float), np.array([label for _, label in scored])
    if is_spam.all() or not is_spam.any():
        return
    spam, ham = scores[is_spam], scores[~is_spam]
    allowed = [t for t in [*np.unique(scores), np.inf] if (ham >= t).sum() <= int(ham_loss * len(ham))]
    assert spam_caught(scores, is_spam, ham_loss) == pytest.approx((spam >= min(allowed)).mean())


def test_calibration_error_of_known_probabilities() -> None:
    """Right on average in every bin is no error; 0.8 where half are spam is 0.3."""
    assert calibration_error(np.full(10, 0.5), np.arange(10) % 2 == 0) == 0
    assert calibration_error(np.full(10, 0.8), np.arange(10) % 2 == 0) == pytest.approx(0.3)
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_an_interval_holds_the_value_and_narrows_with_more_mail() -> None:
    """Four times the messages, about half the width; the same seed, the same interval."""
    random = np.random.default_rng(1)
    scores, is_spam = random.normal(size=4000), random.random(4000) < 0.5
    scores += is_spam
    few, many = (bootstrap(one_minus_roca, scores[:n], is_spam[:n], rounds=200) for n in (1000, 4000))
    assert few.low < few.value < few.high
    assert many.high - many.low < 0.7 * (few.high - few.low)
    assert bootstrap(one_minus_roca, scores[:1000], is_spam[:1000], rounds=200) == few


def test_nothing_lost_of_a_thousand_is_not_nothing() -> None:
    """No loss among 1,000 ham still leaves room for 3 / 1,000 or so: the interval says it."""
    interval = share_interval(0, 1000)
    assert interval.value == 0
    assert interval.low == pytest.approx(0)
    assert 0.003 < interval.high < 0.005
