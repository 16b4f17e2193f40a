"""Logit to probability."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.calibration import Calibration
from classifier.errors import ConfigError

LOGITS = st.floats(-1e6, 1e6)


@given(LOGITS, LOGITS, st.floats(0.01, 10), st.floats(-10, 10))
def test_probabilities_keep_the_order_of_logits(one: float, two: float, slope: float, offset: float) -> None:
    """A higher logit never has a lower probability, and none leaves [0, 1]."""
    calibration = Calibration(slope, offset)
    low, high = calibration.probability(min(one, two)), calibration.probability(max(one, two))
    assert 0 <= low <= high <= 1


def test_even_odds_are_one_half() -> None:
    """The identity maps 0 to 0.5 and is symmetric."""
    assert Calibration().probability(0) == 0.5
    assert math.isclose(Calibration().probability(2) + Calibration().probability(-2), 1)


@pytest.mark.parametrize(("slope", "offset"), [(0, 0), (-1, 0), (math.nan, 0), (1, math.inf)])
def test_a_calibration_that_turns_or_breaks_the_order_cannot_be_built(slope: float, offset: float) -> None:
    """A slope that is not positive would call the hammiest mail spam."""
    with pytest.raises(ConfigError, match="slope > 0"):
        Calibration(slope, offset)
