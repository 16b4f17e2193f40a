"""Which messages share a batch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.fit_time import TimeEstimate
from service.selection import select_batch

lengths_of_queue = st.lists(st.integers(1, 600), min_size=1, max_size=80)


@given(lengths_of_queue, st.integers(1, 5000), st.integers(1, 64))
def test_a_batch_keeps_its_limits_and_has_the_oldest(lengths: list[int], max_tokens: int, max_messages: int) -> None:
    """Any queue: the oldest goes, nothing goes twice, and only a message alone may exceed the padded tokens."""
    chosen = select_batch(lengths, max_tokens=max_tokens, max_messages=max_messages)
    assert chosen[0] == 0
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= max_messages
    padded_tokens = max(lengths[position] for position in chosen) * len(chosen)
    assert padded_tokens <= max_tokens or len(chosen) == 1


@given(lengths_of_queue)
def test_a_queue_that_fits_goes_whole(lengths: list[int]) -> None:
    """Nothing is left behind when there is room for all."""
    chosen = select_batch(lengths, max_tokens=max(lengths) * len(lengths), max_messages=len(lengths))
    assert chosen == list(range(len(lengths)))


def test_the_time_of_batches_is_learnt() -> None:
    """Batches of 10 ms plus 1 ms a token are foretold as such; a reset forgets them."""
    estimate = TimeEstimate()
    assert estimate.seconds(100, 1) == 0.0
    for tokens in (10, 20, 50, 80):
        estimate.observe(tokens, 0.010 + 0.001 * tokens)
    assert estimate.seconds(100, 1) == pytest.approx(0.110)
    assert estimate.seconds(100, 2) == pytest.approx(0.120)
    estimate.reset()
    assert estimate.seconds(100, 1) == 0.0


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 10)), min_size=1, max_size=100))
def test_no_estimate_is_negative(batches: list[tuple[int, float]]) -> None:
    """However noisy the machine, a wait is never foretold below zero."""
    estimate = TimeEstimate()
    for tokens, seconds in batches:
        estimate.observe(tokens, seconds)
    assert estimate.seconds(1, 1) >= 0
    assert estimate.seconds(100_000, 10) >= estimate.seconds(10, 1)
