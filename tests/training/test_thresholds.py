"""Calibration and thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm

from training.calibrate import calibrate, probabilities
from training.choose_thresholds import choose_thresholds, lowest_spam_from
from training.config import ThresholdConfig
from training.measures import calibration_error

MAIL = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from(["a", "b", "c"])), min_size=1, max_size=80)


@given(MAIL, st.floats(0, 0.5), st.floats(0, 0.5))
def test_thresholds_keep_to_their_budgets(mail: list[tuple[float, bool, str]], ham_loss: float, leak: float) -> None:
    """Of little mail: averaged over the corpora, no more ham is lost and no more spam leaks on that very mail."""
    scores = np.array([score for score, _, _ in mail])
    is_spam = np.array([label for _, label, _ in mail])
    corpora = np.array([corpus for _, _, corpus in mail])
    chosen = choose_thresholds(scores, is_spam, corpora, ThresholdConfig(ham_loss, leak))
    for members, verdict, budget in ((~is_spam, "spam", ham_loss), (is_spam, "ham", leak)):
        shares = [
            np.mean([chosen.verdict(score) == verdict for score in scores[members & (corpora == name)]])
            for name in np.unique(corpora[members])
        ]
        # A threshold cannot leave [0, 1]: at 1 a ham of probability 1 is lost whatever the budget.
        if shares and not (chosen.spam_from == 1 and scores[~is_spam].max(initial=0) == 1):
            assert np.mean(shares) <= budget + 1e-9


def test_ham_that_is_all_the_same_is_not_lost() -> None:
    """A tail without a spread ends just above itself."""
    same = np.full(2000, 0.7)
    chosen = choose_thresholds(same, np.zeros(2000, bool), np.array(["a"] * 2000), ThresholdConfig())
    assert 0.7 < chosen.spam_from < 0.7001


@pytest.mark.parametrize("messages", [1000, 4000])
def test_more_ham_of_the_kind_is_lost_as_the_budget_has_it(messages: int) -> None:
    """Of 300 draws the mean loss is nearer to 0.1 % than what loses so much of each, and scatters less."""
    random, none = np.random.default_rng(1), np.zeros(messages, bool)
    one, truth = np.array(["a"] * messages), norm(-4, 2)
    lost: dict[str, list[float]] = {"estimated": [], "kept to": []}
    for _ in range(300):
        scores = expit(truth.rvs(messages, random_state=random))
        chosen = choose_thresholds(scores, none, one, ThresholdConfig(ham_loss_budget=0.001))
        lost["estimated"].append(truth.sf(logit(chosen.spam_from)))
        lost["kept to"].append(truth.sf(logit(lowest_spam_from(scores, none, one, 0.001))))
    estimated, kept = (np.array(values) for values in lost.values())
    assert abs(estimated.mean() - 0.001) < abs(kept.mean() - 0.001)
    assert estimated.std() < 0.8 * kept.std()
    assert 0.0005 < estimated.mean() < 0.0015


def test_a_corpus_that_is_there_ten_times_over_moves_no_tail() -> None:
    """Each corpus weighs the same, whatever its size, though ham of both stands in the tail."""
    random = np.random.default_rng(1)
    wide, narrow = (
        expit(np.concatenate([random.normal(-8, 0.5, count - count // 33), random.exponential(reach, count // 33)]))
        for count, reach in ((1000, 3.0), (3000, 0.3))
    )
    spam_from = []
    for times in (1, 10):
        scores = np.concatenate([np.repeat(wide, times), narrow])
        corpora = np.array(["wide"] * 1000 * times + ["narrow"] * 3000)
        chosen = choose_thresholds(scores, np.zeros(len(scores), bool), corpora, ThresholdConfig(ham_loss_budget=0.001))
        spam_from.append(logit(chosen.spam_from))
    assert spam_from[1] == pytest.approx(spam_from[0], abs=0.05)


def test_a_smaller_corpus_weighs_as_much_as_a_larger_one() -> None:
    """Ten lost of a corpus of 20 break a budget of 1 %, though they are 0.5 % of all ham."""
    scores = np.concatenate([np.full(1980, 0.01), np.linspace(0.6, 0.7, 20)])
    corpora = np.array(["large"] * 1980 + ["small"] * 20)
    chosen = choose_thresholds(scores, np.zeros(2000, bool), corpora, ThresholdConfig(ham_loss_budget=0.01))
    assert chosen.spam_from > 0.7


def test_an_allowance_raises_spam_from_alone() -> None:
    """By so many nats of log-odds; ham_below stays, and a threshold of 1 too."""
    scores, is_spam = np.array([0.01, 0.3, 0.8, 0.95]), np.array([False, False, False, True])
    corpora = np.array(["a"] * 4)
    plain, raised = (choose_thresholds(scores, is_spam, corpora, ThresholdConfig(0, 0, nats)) for nats in (0.0, 1.5))
    odds = [of.spam_from / (1 - of.spam_from) for of in (plain, raised)]
    assert odds[1] / odds[0] == pytest.approx(np.exp(1.5))
    assert plain.ham_below == raised.ham_below
    certain = choose_thresholds(np.array([1.0]), np.array([False]), corpora[:1], ThresholdConfig(0, 0, 1.5))
    assert certain.spam_from == 1


def test_calibration_mends_logits_that_are_too_sure() -> None:
    """Logits three times too large become probabilities that are right."""
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, 20_000)
    is_spam = random.random(20_000) < 1 / (1 + np.exp(-(logits - 1)))
    calibration = calibrate(3 * logits, is_spam)
    assert abs(calibration.slope - 1 / 3) < 0.02
    assert calibration_error(probabilities(calibration, 3 * logits), is_spam) < 0.01


def test_one_class_alone_calibrates_nothing() -> None:
    """Without ham or without spam there is nothing to learn: the identity."""
    assert calibrate(np.array([1.0, 2.0]), np.array([True, True])).slope == 1
