"""The simulated day behaves as queues do, and the sizing of docs/scale.md holds in it."""

import re
from pathlib import Path

import pytest

from tests.benchmarks.day import Cost, Day, Fleet, Load, replicas_for, simulate

ROOT = Path(__file__).parents[2]
HOURS = (13.0, 15.0)  # the peak, with a burst on it
TENTH = Load(messages=1e8)


def peak(replicas: int, load: Load = TENTH, **fleet: float) -> Day:
    return simulate(load, Cost(), Fleet(replicas, **fleet), hours=HOURS)


def test_the_sizing_holds_at_the_peak_with_replicas_that_die() -> None:
    """Nothing is refused and waits are short; six tenths of the replicas are too few, so it is not wasteful either."""
    sized = replicas_for(TENTH, Cost())
    day = peak(sized, dies_every_s=6 * 3600.0)
    assert day.refused == 0
    assert day.lost < 1e-5 * day.messages
    assert day.waits_s[1] < 0.5
    assert 0.5 < day.busiest < 0.8
    few = peak(round(sized * 0.6), dies_every_s=6 * 3600.0)
    assert few.refused > 0.001 * few.messages
    assert few.waits_s[1] > 1.0


def test_the_documentation_has_the_figures_of_the_sizing() -> None:
    """Replicas for 10^9 messages a day, and the cost that they are reckoned with."""
    text = (ROOT / "docs" / "scale.md").read_text()
    found = re.search(r"\| replicas at the peak \| ([\d,]+) \|", text)
    assert found
    assert int(found[1].replace(",", "")) == replicas_for(Load(), Cost())
    assert f"{Cost().messages_per_s:,.0f} messages/s" in text
    assert f"{Cost().core_ms:g} core-ms" in text


def test_every_message_is_served_or_refused() -> None:
    """Work is neither made nor lost: with little to do the replicas are busy as long as the messages take."""
    day = peak(50, dies_every_s=1e12)
    assert day.refused == 0
    wanted = day.messages / Cost().messages_per_s / (50 * 2 * 3600)
    assert day.busy == pytest.approx(wanted, rel=0.01)


def test_more_load_waits_longer_and_a_fleet_that_is_away_refuses_all() -> None:
    """What any queue does."""
    sized = replicas_for(TENTH, Cost())
    waits = [peak(round(sized * share)).waits_s[1] for share in (1.5, 1.0, 0.7)]
    assert waits == sorted(waits)
    gone = peak(3, dies_every_s=0.1, back_after_s=1e9)
    assert gone.refused > 0.99 * gone.messages


def test_the_same_seed_is_the_same_day() -> None:
    """Twice the same figures."""
    assert peak(10) == peak(10)
