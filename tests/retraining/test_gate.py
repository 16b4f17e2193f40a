"""The gate lets nothing through that is worse, and says in words what it saw."""

from dataclasses import replace

import numpy as np
import pytest

from classifier.verdict import Thresholds
from training.retrain.gate import Check, HeldOut, Limits, Scored, first_failed, judge, judge_poisoned

THRESHOLDS = Thresholds(0.1, 0.9)
LIMITS = Limits()


def mail(spam: int = 300, ham: int = 700) -> HeldOut:
    is_spam = np.arange(spam + ham) < spam
    slices = np.where(np.arange(spam + ham) % 3 == 0, "feedback:ann", "lists")
    return HeldOut(is_spam, slices == "feedback:ann", slices)


def scored(test: HeldOut, missed: int = 10, lost: int = 0, seed: int = 1) -> Scored:
    """A model that misses so many spam and loses so many ham, drawn by the seed."""
    random = np.random.default_rng(seed)
    spam, ham = np.flatnonzero(test.is_spam_N), np.flatnonzero(~test.is_spam_N)
    probabilities = np.where(test.is_spam_N, 0.99, 0.01) + random.normal(0, 0.002, len(test.is_spam_N))
    probabilities[random.choice(spam, missed, replace=False)] = 0.5
    probabilities[random.choice(ham, lost, replace=False)] = 0.95
    return Scored(probabilities, THRESHOLDS)


def failed(checks: list[Check]) -> str | None:
    check = first_failed(checks)
    return check.name if check else None


def test_the_same_and_the_better_pass() -> None:
    """No worse is enough."""
    test = mail()
    champion = scored(test, missed=30, lost=3)
    assert failed(judge(test, champion, champion, LIMITS)) is None
    assert failed(judge(test, champion, scored(test, missed=5), LIMITS)) is None


def test_losing_recall_stops_it() -> None:
    """Ten points less are no chance."""
    test = mail()
    checks = judge(test, scored(test), scored(test, missed=45), LIMITS)
    assert str(failed(checks)).startswith("spam caught")
    assert any("of the spam was caught, now" in check.words for check in checks)


@pytest.mark.parametrize(("missed", "stops"), [(1, None), (2, "spam caught, old mail")])
def test_one_spam_of_few_says_nothing(missed: int, stops: str | None) -> None:
    """Where fewer than a hundred judge, one more that is missed is already past the margin; two stop it."""
    test = mail(60, 700)
    candidate = scored(test, missed=0)
    old_spam = np.flatnonzero(test.is_spam_N & ~test.is_feedback_N)
    candidate.probabilities_N[old_spam[:missed]] = 0.5
    assert failed(judge(test, scored(test, missed=0), candidate, LIMITS)) == stops


def test_losing_ham_stops_it_unless_the_champion_loses_as_much() -> None:
    """The budget counts, and where it is broken already nothing may get worse."""
    test = mail()
    assert str(failed(judge(test, scored(test), scored(test, lost=12), LIMITS))).startswith("ham lost")
    assert failed(judge(test, scored(test, lost=40), scored(test, lost=20, seed=2), LIMITS)) is None


def test_forgetting_the_order_of_old_mail_stops_it() -> None:
    """Also where thresholds hide it: ham among the spam that is unsure anyway."""
    test = mail()
    champion, candidate = scored(test, missed=0), scored(test, missed=0)
    old_ham = np.flatnonzero(~test.is_spam_N & ~test.is_feedback_N)
    candidate.probabilities_N[old_ham[:60]] = 0.89
    spam = np.flatnonzero(test.is_spam_N & ~test.is_feedback_N)
    for each in (champion, candidate):
        each.probabilities_N[spam[:60]] = 0.5
    assert failed(judge(test, champion, candidate, LIMITS)) == "spam above ham, old mail"


@pytest.mark.parametrize(
    ("before", "after", "stops"),
    [(0.0, 0.0, "spam above ham, feedback"), (0.0, 0.1, None), (-0.5, 0.1, None), (0.5, 0.5, None)],
)
def test_feedback_that_contradicts_itself_stops_it(before: float, after: float, stops: str | None) -> None:
    """Spam among the ham by lot, and no higher for what was learned from it; where it rises, nothing is wrong."""
    test = mail()
    feedback = np.flatnonzero(test.is_feedback_N)
    models = []
    for seed, rise in enumerate((before, after)):
        model = scored(test)
        lot = np.random.default_rng(seed).uniform(0.3, 0.8, len(feedback))
        model.probabilities_N[feedback] = np.clip(lot + rise * test.is_spam_N[feedback], 0.2, 0.89)
        models.append(model)
    assert failed(judge(test, models[0], models[1], LIMITS)) == stops


def test_a_slice_that_collapses_stops_it() -> None:
    """One reporter's ham turned to spam is no mean that may hide among others'."""
    test = mail(300, 3000)
    slices = test.slices_N.copy()
    ham = np.flatnonzero(~test.is_spam_N & test.is_feedback_N)
    slices[ham[:40]] = "feedback:eve"
    test = replace(test, slices_N=slices)
    candidate = scored(test)
    candidate.probabilities_N[ham[:8]] = 0.95
    limits = replace(LIMITS, ham_loss_budget=0.5)
    assert failed(judge(test, scored(test), candidate, limits)) == "slices"


@pytest.mark.parametrize(("spam", "ham"), [(10, 500), (500, 10)])
def test_too_little_mail_judges_nothing(spam: int, ham: int) -> None:
    """The old version stays where nothing can be told."""
    test = mail(spam, ham)
    assert failed(judge(test, scored(test, missed=0), scored(test, missed=0), LIMITS)) == "mail to judge by"


def test_a_candidate_that_one_label_of_a_hundred_can_turn_is_stopped() -> None:
    """Poisoned it may lose a little, no more."""
    test = mail()
    assert judge_poisoned(test, scored(test), scored(test, missed=14), LIMITS).passed
    assert not judge_poisoned(test, scored(test), scored(test, missed=70), LIMITS).passed
    assert not judge_poisoned(test, scored(test), scored(test, lost=10), LIMITS).passed
