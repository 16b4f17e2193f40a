"""Divides messages into train, validation, calibration, test and later, a whole cluster on one side."""

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from classifier.errors import ConfigError

# Below this share of dated messages a stratum is shuffled instead of ordered by time.
DATED_FROM = 0.9
# A cluster above this share of its stratum would push everything else out of its place.
LARGE_FROM = 0.25

Dates = Sequence[datetime.date | None]


class Part(IntEnum):
    """What a message is used for; the numbers in a split."""

    TRAIN = 0
    VALIDATION = 1
    CALIBRATION = 2
    TEST = 3  # of the same time as train
    LATER = 4  # newer than everything else of its corpus and label: how a filter ages


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of each corpus and label goes to each part; they add up to 1."""

    train: float = 0.68
    validation: float = 0.05
    calibration: float = 0.07
    test: float = 0.12
    later: float = 0.08

    def __post_init__(self) -> None:
        parts = (self.train, self.validation, self.calibration, self.test, self.later)
        if not (min(parts) >= 0 and abs(sum(parts) - 1) < 1e-6):
            raise ConfigError(f"need shares >= 0 that add up to 1, got {parts}")


DEFAULT_SHARES = Shares()


@dataclass(frozen=True, slots=True)
class PartCount:
    """One line of the table of a split: how many messages, and from when."""

    corpus: str
    label: str
    part: Part
    messages: int
    clusters: int
    first_date: datetime.date | None
    last_date: datetime.date | None


def split(
    clusters: NDArray[np.int64],
    sources: Sequence[str],
    labels: Sequence[str],
    dates: Dates,
    *,
    shares: Shares = Shares(),
    seed: int,
) -> NDArray[np.int8]:
    """Return the `Part` of each message, int8 (N,); the same input and seed give the same split.

    Each corpus and label (stratum) is divided by itself. Where nine of ten of its messages are dated the newest are
    LATER. A cluster has the date of its newest message: so none elsewhere is newer than one in LATER, and the price is
    a few old copies there, which make no figure better. Where they are not dated nothing is LATER. The seed draws which
    clusters go to the other parts. Two kinds of cluster are placed first, and the others fill what these leave of each
    share: those in several strata, placed where most of their messages are, and those of more than a quarter of a
    stratum, for train.
    """
    strata_N, dated = _strata(sources, labels, dates)
    sizes = np.bincount(clusters)
    counts = np.zeros((len(sizes), len(dated)), np.int64)  # messages of each cluster in each stratum
    np.add.at(counts, (clusters, strata_N), 1)
    shared = (counts > 0).sum(axis=1) > 1
    newest = _newest_dates(clusters, dates, len(sizes))
    drawn = np.random.default_rng(seed).random(len(sizes))

    parts = np.full(len(sizes), Part.TRAIN, np.int8)
    wanted = np.array([shares.train, shares.validation, shares.calibration, shares.test, shares.later])
    home = counts.argmax(axis=1)
    total = counts.sum(axis=0)
    large = (counts.max(axis=1) > LARGE_FROM * total[home]) & (sizes > 1)
    for stratum, by_time in enumerate(dated):
        members = np.flatnonzero((home == stratum) & ~large)
        parts[members] = _place(members, sizes, wanted, newest if by_time else None, drawn)
    fixed = shared | large
    for stratum, by_time in enumerate(dated):
        taken = np.bincount(parts[fixed], weights=counts[fixed, stratum], minlength=len(Part))
        left = np.maximum(wanted * total[stratum] - taken, 0)
        members = np.flatnonzero((home == stratum) & ~fixed)
        parts[members] = _place(members, sizes, left, newest if by_time else None, drawn)
    return parts[clusters]


def count_parts(
    parts: NDArray[np.int8], clusters: NDArray[np.int64], sources: Sequence[str], labels: Sequence[str], dates: Dates
) -> list[PartCount]:
    """Return the table of a split, a line for each corpus, label and part that has messages."""
    lines: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    for place, (source, label, part) in enumerate(zip(sources, labels, parts.tolist(), strict=True)):
        lines[source.partition(":")[0], label, part].append(place)
    table = []
    for (corpus, label, part), places in sorted(lines.items()):
        known = [date for place in places if (date := dates[place])]
        first, last = (min(known), max(known)) if known else (None, None)
        count = len(np.unique(clusters[places]))
        table.append(PartCount(corpus, label, Part(part), len(places), count, first, last))
    return table


def _strata(sources: Sequence[str], labels: Sequence[str], dates: Dates) -> tuple[NDArray[np.int64], list[bool]]:
    """Return the stratum of each message, numbered by name, and for each stratum whether it is ordered by time."""
    names = [(source.partition(":")[0], label) for source, label in zip(sources, labels, strict=True)]
    number = {name: place for place, name in enumerate(sorted(set(names)))}
    strata_N = np.array([number[name] for name in names], np.int64)
    dated_N = np.array([date is not None for date in dates], np.bool_)
    return strata_N, [bool(dated_N[strata_N == place].mean() >= DATED_FROM) for place in range(len(number))]


def _newest_dates(clusters: NDArray[np.int64], dates: Dates, count: int) -> NDArray[np.int64]:
    """Return the day number of each cluster's newest message, 0 where none is dated."""
    newest = np.zeros(count, np.int64)
    np.maximum.at(newest, clusters, np.array([date.toordinal() if date else 0 for date in dates], np.int64))
    return newest


def _place(
    members: NDArray[np.int64],
    sizes: NDArray[np.int64],
    wanted: NDArray[np.float64],
    newest: NDArray[np.int64] | None,
    drawn: NDArray[np.float64],
) -> NDArray[np.int8]:
    """Return the part of each cluster: the newest later where dates are given, the others as drawn."""
    parts = np.full(len(members), Part.TRAIN, np.int8)
    rest = np.arange(len(members))
    if newest is not None:
        by_time = _by_time(members, newest, drawn)
        is_later = _fill(sizes[members[by_time]], np.array([wanted[: Part.LATER].sum(), wanted[Part.LATER]])) == 1
        parts[by_time[is_later]] = Part.LATER
        rest = by_time[~is_later]
    rest = rest[np.argsort(drawn[members[rest]], kind="stable")]
    parts[rest] = _fill(sizes[members[rest]], wanted[: Part.LATER])
    return parts


def _by_time(members: NDArray[np.int64], newest: NDArray[np.int64], drawn: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return where the clusters stand in `members`, in the order of their newest dates."""
    draws = drawn[members]
    days = newest[members]
    known = np.sort(days[days > 0])
    if len(known):
        # A cluster without a date is put at a place drawn among those that have one.
        days = np.where(days > 0, days, known[(draws * len(known)).astype(np.int64)])
    return np.lexsort((draws, days))


def _fill(sizes: NDArray[np.int64], wanted: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the part of each cluster, in the order given, such that the parts are filled as wanted."""
    if not len(sizes) or not wanted.sum():
        return np.full(len(sizes), Part.TRAIN, np.int8)
    bounds = np.cumsum(wanted)[:-1] / wanted.sum()
    # The middle of a cluster decides, so that it goes where most of it would be.
    middles = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
    parts: NDArray[np.int8] = np.searchsorted(bounds, middles, side="right").astype(np.int8)
    return parts
