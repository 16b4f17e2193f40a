"""A split keeps clusters whole, shares per corpus and label, and time in order."""

import datetime
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.errors import ConfigError
from training.split import Part, Shares, count_parts, split

DAY = datetime.date(2020, 1, 1)


def day(number: int) -> datetime.date:
    return DAY + datetime.timedelta(days=number)


@st.composite
def mailboxes(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(1, 120))
    rows = st.tuples(
        st.integers(0, 30), st.sampled_from(["a:x", "a:y", "b"]), st.sampled_from(["spam", "ham"]),
        st.one_of(st.none(), st.integers(0, 900).map(day)),
    )  # fmt: skip
    clusters, sources, labels, dates = zip(*draw(st.lists(rows, min_size=count, max_size=count)), strict=True)
    dense = np.unique(np.array(clusters), return_inverse=True)[1].astype(np.int64)
    return {"clusters": dense, "sources": sources, "labels": labels, "dates": dates}


@settings(max_examples=100, deadline=None)
@given(mailboxes(), st.integers(0, 9))
def test_a_cluster_is_in_one_part_and_the_same_seed_gives_the_same_split(mailbox: dict[str, Any], seed: int) -> None:
    """Whatever clusters, corpora, labels and dates there are."""
    parts = split(**mailbox, seed=seed)
    assert parts.dtype == np.int8
    assert set(parts.tolist()) <= {part.value for part in Part}
    for cluster in np.unique(mailbox["clusters"]):
        assert len(set(parts[mailbox["clusters"] == cluster].tolist())) == 1
    assert parts.tolist() == split(**mailbox, seed=seed).tolist()
    assert sum(line.messages for line in count_parts(parts, **mailbox)) == len(parts)


def test_shares_are_kept_in_every_corpus_and_label() -> None:
    """With clusters of up to four messages each share is right within two hundredths."""
    random = np.random.default_rng(0)
    clusters = np.sort(random.integers(0, 1_200, 3_000))
    clusters = np.unique(clusters, return_inverse=True)[1].astype(np.int64)
    sources = [("a", "b", "c:d")[cluster % 3] for cluster in clusters]
    labels = [("spam", "ham")[cluster % 2] for cluster in clusters]
    dates = [day(int(number)) if source == "a" else None for number, source in zip(clusters, sources, strict=True)]
    parts = split(clusters, sources, labels, dates, seed=1)
    for corpus in ("a", "b", "c:d"):
        for label in ("spam", "ham"):
            here = parts[[s == corpus and x == label for s, x in zip(sources, labels, strict=True)]]
            shares = np.bincount(here, minlength=5) / len(here)
            expected = [0.68, 0.05, 0.07, 0.12, 0.08] if corpus == "a" else [0.74, 0.054, 0.076, 0.13, 0]
            assert shares == pytest.approx(expected, abs=0.02)


def test_later_is_newer_than_everything_else() -> None:
    """No cluster elsewhere is newer than one in LATER, each dated by its newest message; the others are drawn."""
    count = 400
    clusters = np.repeat(np.arange(count), 2)
    dates = [day((place * 7919) % 997) for place in range(2 * count)]
    parts = split(clusters, ["a"] * len(dates), ["ham"] * len(dates), dates, seed=3)
    newest = [max(dates[2 * cluster], dates[2 * cluster + 1]) for cluster in range(count)]
    spans = [[newest[c] for c in range(count) if parts[2 * c] == part] for part in Part]
    assert max(itertools.chain(*spans[: Part.LATER])) <= min(spans[Part.LATER])
    assert min(spans[Part.TEST]) < max(spans[Part.TRAIN])


def test_another_seed_gives_another_split_where_there_are_no_dates() -> None:
    """Undated messages are drawn."""
    args: Any = (np.arange(200), ["a"] * 200, ["ham"] * 200, [None] * 200)
    assert split(*args, seed=1).tolist() != split(*args, seed=2).tolist()


def test_a_giant_cluster_goes_to_train_and_the_rest_is_still_tested() -> None:
    """One campaign of nine tenths of a corpus leaves the others for validation, calibration and test."""
    clusters = np.concatenate((np.zeros(900, np.int64), np.arange(1, 101)))
    parts = split(clusters, ["a"] * 1000, ["spam"] * 1000, [day(place) for place in range(1000)], seed=1)
    assert parts[0] == Part.TRAIN
    counts = np.bincount(parts[900:], minlength=5)
    assert counts[Part.TRAIN] == 0
    assert min(counts[1:]) >= 10


def test_a_cluster_across_corpora_stays_together_and_both_keep_their_shares() -> None:
    """Copies that two corpora share are placed once, and each corpus makes up for them."""
    clusters = np.concatenate((np.arange(1000), np.arange(0, 600, 2), np.arange(1000, 1300)))
    sources = ["big"] * 1000 + ["small"] * 600
    parts = split(clusters, sources, ["spam"] * 1600, [day(place % 1000) for place in range(1600)], seed=1)
    for cluster in range(0, 600, 2):
        assert len(set(parts[clusters == cluster].tolist())) == 1
    small = np.bincount(parts[1000:], minlength=5) / 600
    assert small == pytest.approx([0.68, 0.05, 0.07, 0.12, 0.08], abs=0.04)


@pytest.mark.parametrize(
    "shares", [(0.5, 0.1, 0.1, 0.1, 0.1), (1.2, -0.1, -0.1, 0.0, 0.0), (float("nan"), 0.0, 0.0, 1.0, 0.0)]
)
def test_shares_that_do_not_add_up_are_refused(shares: tuple[float, float, float, float, float]) -> None:
    """The error names the five numbers."""
    with pytest.raises(ConfigError, match="add up to 1"):
        Shares(*shares)
