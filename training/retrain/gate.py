"""The gate: may the candidate take the champion's place? Both judged on the same mail, which neither has learned from.

Shape letters: N messages of the test.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.verdict import Thresholds
from training.measures import IsSpam, Scores, one_minus_roca, share_interval, spam_caught

_FEEDBACK = "feedback"
_ROUNDS = 1_000
_SEED = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gate lets through. Shares are of 1."""

    # Of each kind of mail at least so many spam and ham, or it is not judged; feedback and old mail are two kinds.
    fewest: int = 20
    # Ham called spam, where the champion does no better.
    ham_loss_budget: float = 0.001
    # Spam caught may fall by so much by chance, or by one message; more, or a fall that is no chance, stops it.
    recall_margin: float = 0.01
    # (1-ROCA)% on old mail, as a multiple of the champion's; below the floor, which is a few pairs, it does not count.
    forgetting: float = 1.2
    forgetting_floor_percent: float = 0.02
    # (1-ROCA)% on feedback above which it has to have become better: 50 is chance, and feedback that is ordered no
    # better for having been learned from contradicts itself.
    disorder_percent: float = 25.0
    # A slice is a corpus, or what one reporter said.
    slice_margin: float = 0.1
    # With one label of a hundred turned round: spam caught, and ham not lost, may fall by so much.
    poisoned_recall_margin: float = 0.1
    poisoned_ham_margin: float = 0.003
    size_ratio: float = 1.2
    latency_ratio: float = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, in words that a person can decide by."""

    name: str
    passed: bool
    words: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Mail that neither model has learned from."""

    is_spam_N: IsSpam
    is_feedback_N: NDArray[np.bool_]
    slices_N: NDArray[np.str_]

    def kinds(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Feedback and old mail, those that there are."""
        for name, members in ((_FEEDBACK, self.is_feedback_N), ("old mail", ~self.is_feedback_N)):
            if members.any():
                yield name, members


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model says of the test."""

    probabilities_N: Scores
    thresholds: Thresholds

    @property
    def spam_N(self) -> NDArray[np.bool_]:
        """Whether each is called spam."""
        return self.probabilities_N >= self.thresholds.spam_from


def judge(test: HeldOut, champion: Scored, candidate: Scored, limits: Limits) -> list[Check]:
    """Return what the test says, kind by kind and slice by slice."""
    checks = [_enough(test, limits)]
    for kind, members in test.kinds():
        is_spam = test.is_spam_N[members]
        spam, ham = int(is_spam.sum()), int((~is_spam).sum())
        before, after = _of(champion, members), _of(candidate, members)
        if spam:
            checks.append(_recall(kind, is_spam, before, after, limits))
        if ham:
            checks.append(_ham_loss(kind, is_spam, before, after, limits))
        if min(spam, ham) >= limits.fewest:
            checks.append(_order(kind, is_spam, before, after, limits))
    checks.append(_slices(test, champion, candidate, limits))
    return checks


def judge_poisoned(test: HeldOut, candidate: Scored, poisoned: Scored, limits: Limits) -> Check:
    """Return whether the candidate would have withstood labels turned round in the mail that it learned from."""
    passed, found = True, []
    of_classes = (
        ("spam caught", test.is_spam_N, limits.poisoned_recall_margin),
        ("ham kept", ~test.is_spam_N, limits.poisoned_ham_margin),
    )
    for name, members, margin in of_classes:
        right, then = (each.spam_N[members] == test.is_spam_N[members] for each in (candidate, poisoned))
        _, high = _interval(then.astype(float) - right.astype(float))
        change = _mean(then) - _mean(right)
        passed &= change >= -margin or high >= 0
        found.append(f"{name}: {_mean(right):.2%}, poisoned {_mean(then):.2%} (up to {margin:.1%} less is let through)")
    return Check("poisoning", passed, f"with 1 % of the labels it learned from turned round: {'; '.join(found)}")


def _enough(test: HeldOut, limits: Limits) -> Check:
    spam, ham = int(test.is_spam_N.sum()), int((~test.is_spam_N).sum())
    words = f"{spam} spam and {ham} ham that neither version has learned from judge them"
    enough = min(spam, ham) >= limits.fewest
    if not enough:
        words += f", {limits.fewest} of each are needed: give old mail with --base, or wait for more feedback"
    return Check("mail to judge by", enough, words)


def _recall(kind: str, is_spam: IsSpam, before: Scored, after: Scored, limits: Limits) -> Check:
    """Spam caught at each model's own threshold; with ham enough, at the budget too."""
    old, new = before.spam_N[is_spam], after.spam_N[is_spam]
    low, high = _interval(new.astype(float) - old.astype(float))
    fewer = int(old.sum()) - int(new.sum())
    words = f"{_mean(old):.1%} of the spam was caught, now {_mean(new):.1%} (change {low:+.1%} to {high:+.1%})"
    passed = fewer <= max(1, limits.recall_margin * len(old)) and high >= 0
    if (~is_spam).sum() * limits.ham_loss_budget >= 1:
        at_budget = [spam_caught(each.probabilities_N, is_spam, limits.ham_loss_budget) for each in (before, after)]
        measure = _difference(lambda scores, labels: spam_caught(scores, labels, limits.ham_loss_budget))
        low, high = _paired(measure, before, after, is_spam)
        passed &= high >= 0
        words += (
            f"; at {limits.ham_loss_budget:.1%} ham loss {at_budget[0]:.1%} and {at_budget[1]:.1%} "
            f"(change {low:+.1%} to {high:+.1%})"
        )
    return Check(f"spam caught, {kind}", passed, words)


def _ham_loss(kind: str, is_spam: IsSpam, before: Scored, after: Scored, limits: Limits) -> Check:
    old, new = before.spam_N[~is_spam], after.spam_N[~is_spam]
    interval = share_interval(int(new.sum()), len(new))
    within = interval.low <= limits.ham_loss_budget
    return Check(
        f"ham lost, {kind}",
        bool(within or new.sum() <= old.sum()),
        f"{new.sum()} of {len(new)} ham would be called spam ({interval.low:.2%} to {interval.high:.2%}), with the "
        f"champion {old.sum()}; the budget is {limits.ham_loss_budget:.1%}",
    )


def _order(kind: str, is_spam: IsSpam, before: Scored, after: Scored, limits: Limits) -> Check:
    old, new = (one_minus_roca(each.probabilities_N, is_spam) for each in (before, after))
    low, high = _paired(_difference(one_minus_roca), before, after, is_spam)
    most = max(limits.forgetting * old, limits.forgetting_floor_percent)
    words = (
        f"(1-ROCA)% was {old:.3f}, now {new:.3f} (change {low:+.3f} to {high:+.3f}); up to {most:.3f} is let through, "
        "or what may be chance"
    )
    contradicts = kind == _FEEDBACK and new > limits.disorder_percent and high >= 0
    if contradicts:
        words += (
            f"; above {limits.disorder_percent:g}, and no better for what was learned, feedback contradicts itself: "
            "look who reported what"
        )
    # More than allowed, and not by chance.
    return Check(f"spam above ham, {kind}", (new <= most or low <= 0) and not contradicts, words)


def _slices(test: HeldOut, champion: Scored, candidate: Scored, limits: Limits) -> Check:
    fallen = []
    count = 0
    for name in np.unique(test.slices_N).tolist():
        for label, of_class in (("spam", test.is_spam_N), ("ham", ~test.is_spam_N)):
            members = (test.slices_N == name) & of_class
            if members.sum() < limits.fewest:
                continue
            count += 1
            right_before = champion.spam_N[members] == (label == "spam")
            right_after = candidate.spam_N[members] == (label == "spam")
            change = _mean(right_after) - _mean(right_before)
            _, high = _interval(right_after.astype(float) - right_before.astype(float))
            if change < -limits.slice_margin and high < 0:
                fallen.append(f"{label} of {name}: {_mean(right_before):.1%} right, now {_mean(right_after):.1%}")
    words = f"none of {count} slices lost more than {limits.slice_margin:.0%}" if not fallen else "; ".join(fallen)
    return Check("slices", not fallen, words)


def _of(scored: Scored, members: NDArray[np.bool_]) -> Scored:
    return Scored(scored.probabilities_N[members], scored.thresholds)


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean of paired differences."""
    if not len(differences):
        return 0.0, 0.0
    random = np.random.default_rng(_SEED)
    means = [random.choice(differences, len(differences)).mean() for _ in range(_ROUNDS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


Difference = Callable[[Scores, Scores, IsSpam], float]


def _difference(measure: Callable[[Scores, IsSpam], float]) -> Difference:
    return lambda before, after, is_spam: measure(after, is_spam) - measure(before, is_spam)


def _paired(measure: Difference, before: Scored, after: Scored, is_spam: IsSpam) -> tuple[float, float]:
    """The 95 % interval of a difference between two models, both on the same messages drawn again and again."""
    random = np.random.default_rng(_SEED)
    spam, ham = np.flatnonzero(is_spam), np.flatnonzero(~is_spam)
    values = []
    for _ in range(_ROUNDS):
        drawn = np.concatenate([random.choice(spam, len(spam)), random.choice(ham, len(ham))])
        values.append(measure(before.probabilities_N[drawn], after.probabilities_N[drawn], is_spam[drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def first_failed(checks: Sequence[Check]) -> Check | None:
    """Return the first check that did not pass."""
    return next((check for check in checks if not check.passed), None)
