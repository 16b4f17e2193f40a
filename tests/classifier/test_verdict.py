"""Thresholds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.errors import ThresholdError
from classifier.verdict import Thresholds, Verdict


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [(0.0, "ham"), (0.19, "ham"), (0.2, "unsure"), (0.89, "unsure"), (0.9, "spam"), (1.0, "spam")],
)
def test_bands_are_half_open(probability: float, verdict: str) -> None:
    """A probability that equals a threshold belongs to the band above it."""
    assert Thresholds(0.2, 0.9).verdict(probability) == verdict


@given(st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_thresholds_that_make_no_sense_cannot_be_built(ham_below: float, spam_from: float) -> None:
    """Out of order, out of range or undefined: refused with both numbers in the error."""
    if 0 <= ham_below <= spam_from <= 1:
        assert Thresholds(ham_below, spam_from).verdict(spam_from) == Verdict.SPAM
    else:
        with pytest.raises(ThresholdError, match="need 0 <= ham_below <= spam_from <= 1, got"):
            Thresholds(ham_below, spam_from)


def test_equal_thresholds_leave_no_unsure() -> None:
    """With both thresholds in one place every message is ham or spam."""
    thresholds = Thresholds(0.5, 0.5)
    assert {thresholds.verdict(p) for p in (0.0, math.nextafter(0.5, 0), 0.5, 1.0)} == {Verdict.HAM, Verdict.SPAM}
