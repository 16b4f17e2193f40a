"""The curves as numbers, held against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, roc_auc_score

from training.curves import for_card, reliability, roc

random = np.random.default_rng(3)
IS_SPAM = random.random(2000) < 0.3
SCORES = np.clip(np.where(IS_SPAM, 0.7, 0.3) + random.normal(0, 0.2, 2000), 0, 1).round(2)


def test_the_roc_curve_is_the_upper_hull_of_its_steps() -> None:
    """Each point is reached by some threshold, ties taken together, and nothing more is caught for its loss of ham."""
    lost, caught = roc(SCORES, IS_SPAM)
    reached = [((SCORES[~IS_SPAM] >= t).mean(), (SCORES[IS_SPAM] >= t).mean()) for t in [*np.unique(SCORES), np.inf]]
    for point in zip(lost, caught, strict=True):
        assert point[1] == pytest.approx(max(c for x, c in reached if x == pytest.approx(point[0])))
    assert auc(lost, caught) == pytest.approx(roc_auc_score(IS_SPAM, SCORES), abs=0.01)


def test_the_curve_ends_where_everything_is_caught() -> None:
    """Few points of many messages keep the ends, and rise."""
    is_spam = random.random(20_000) < 0.5
    lost, caught = roc(random.random(20_000) + is_spam * 0.3, is_spam)
    assert len(lost) <= 400
    assert caught[-1] == lost[-1] == 1
    assert lost[0] == 0 or caught[0] < 0.1
    assert (np.diff(lost) > 0).all()
    assert (np.diff(caught) >= 0).all()


def test_reliability_is_that_of_scikit_learn() -> None:
    """Same bins, same shares; the counts add up to all messages."""
    probabilities = random.random(2000)
    is_spam = random.random(2000) < probabilities
    said, found, messages = reliability(probabilities, is_spam)
    expected_found, expected_said = calibration_curve(is_spam, probabilities, n_bins=15)
    assert messages.sum() == 2000
    assert said == pytest.approx(expected_said)
    assert found == pytest.approx(expected_found)


def test_the_card_holds_few_plain_numbers() -> None:
    """JSON of a few kilobytes; without spam there is no ROC, and still a reliability."""
    card = for_card(random.random(50_000), random.random(50_000) < 0.5)
    assert len(json.dumps(card)) < 5000
    assert len(card["roc"]["ham_lost"]) <= 120
    assert set(for_card(SCORES, np.zeros(2000, np.bool_))) == {"reliability"}
