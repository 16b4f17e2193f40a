"""Old mail and feedback as one corpus: what is learned from, what it is calibrated on, what the gate judges by.

Feedback is divided by time: of what no version has learned from yet the newest is for the gate, and is learned from in
the run after. Old mail keeps the parts of the fit, and what has a near copy in feedback judges nothing.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.tokenizer import TextTokenizer
from training.adapt import replay_places
from training.config import TrainingConfig
from training.corpus import Corpus, MessageInfo, TextWriter, TokenIds
from training.deduplicate import Deduplicator, readable
from training.prepare import encoded
from training.progress import progress
from training.retrain.feedback import Feedback, Rules, Sieved, agreeing, reporter_weights
from training.split import Part, Shares, split

UNUSED = -1
# Of feedback that no version has learned from: the newest fifth is LATER, which is what the gate judges by. None is for
# calibration: it is the mail that the filter gets wrong, no sample of a mailbox. Thresholds chosen on a tenth of 200
# corrections too caught 56 % of the old spam in place of 74 %.
_SHARES = Shares(train=0.8, validation=0.0, calibration=0.0, test=0.0, later=0.2)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of the old mail is taken, at most."""

    replayed: int = 16_000
    calibration: int = 2_000
    test: int = 4_000


@dataclass(frozen=True, slots=True)
class Mix:
    """The corpus of one run."""

    corpus: Corpus  # parts: TRAIN, CALIBRATION, TEST, or UNUSED; ids of the champion's tokenizer
    is_feedback: NDArray[np.bool_]
    weights: NDArray[np.float64]  # how much each message counts in training
    keys: Sequence[str]  # of feedback, by place; empty for old mail


def mix(
    base: Corpus | None,
    feedback: Sequence[Feedback],
    learned: frozenset[str],
    tokenizer: TextTokenizer,
    config: TrainingConfig,
    rules: Rules,
    sizes: Sizes,
    sieved: Sieved,
    folder: Path,
) -> Mix:
    """Write the corpus of a run into `folder`.

    Args:
        base: the mail that the model was fitted on, prepared with its own tokenizer.
        learned: keys of the feedback that the version which a candidate is judged beside has learned from.
        sieved: what is left out is counted in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    old, old_parts = _of_base(base, config, sizes) if base else (np.zeros(0, np.int64), np.zeros(0, np.int8))
    messages = [base.messages[place] for place in old.tolist()] if base else []
    base_texts = base.texts() if base else []
    with TextWriter(folder) as writer:
        for place in old.tolist():
            writer.add(base_texts[place])
        for one in feedback:
            writer.add(one.text)
    messages += [MessageInfo(one.id, one.is_spam, one.source, None) for one in feedback]
    corpus = Corpus(folder, messages)
    texts = corpus.texts()
    TokenIds.write(folder, encoded(texts, tokenizer), tokenizer.vocabulary_size)

    judging = np.flatnonzero(old_parts != Part.TRAIN)
    new = np.arange(len(old), len(messages))
    clusters = _clusters([texts[place] for place in [*judging.tolist(), *new.tolist()]])
    of_old, of_new = clusters[: len(judging)], clusters[len(judging) :]
    near_feedback = judging[np.isin(of_old, of_new)]
    old_parts[near_feedback] = UNUSED
    usable = agreeing(feedback, of_new, rules, sieved)
    new_parts = np.full(len(feedback), UNUSED, np.int8)
    new_parts[usable] = _by_time(feedback, of_new, learned, usable, config.seed)
    corpus.parts = np.concatenate([old_parts, new_parts])
    # Numbers of clusters that cannot meet: replayed mail is not clustered with the rest, each message is its own.
    corpus.clusters = np.arange(len(messages), dtype=np.int64) + clusters.max(initial=0) + 1
    corpus.clusters[judging], corpus.clusters[new] = of_old, of_new
    weights = np.ones(len(messages))
    # A campaign counts by the root of its size, as in the fit.
    size = np.bincount(of_new[usable], minlength=int(of_new.max(initial=0)) + 1) if len(feedback) else np.ones(1)
    weights[new] = np.maximum(size, 1)[of_new] ** -config.fit.cluster_discount * reporter_weights(
        feedback, rules, sieved
    )
    corpus.save()
    keys = [""] * len(old) + [one.key for one in feedback]
    return Mix(corpus, np.arange(len(messages)) >= len(old), weights, keys)


def _of_base(base: Corpus, config: TrainingConfig, sizes: Sizes) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Which of the old mail is taken, and for what."""
    random = np.random.default_rng(config.seed)

    def some(places: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        return places if len(places) <= most else np.sort(random.choice(places, most, replace=False))

    test = np.concatenate([base.places(Part.TEST), base.places(Part.LATER)])
    picked = (
        (Part.TRAIN, replay_places(base, base.places(Part.TRAIN), sizes.replayed, config)),
        (Part.CALIBRATION, some(base.places(Part.CALIBRATION), sizes.calibration)),
        (Part.TEST, some(test, sizes.test)),
    )
    parts = np.concatenate([np.full(len(places), part, np.int8) for part, places in picked])
    return np.concatenate([places for _, places in picked]), parts


def _clusters(texts: Sequence[str]) -> NDArray[np.int64]:
    deduplicator = Deduplicator()
    for text in progress(texts, "finding near copies", len(texts)):
        deduplicator.add(readable(text))
    return deduplicator.clusters()


def _by_time(
    feedback: Sequence[Feedback],
    clusters_N: NDArray[np.int64],
    learned: frozenset[str],
    usable: NDArray[np.bool_],
    seed: int,
) -> NDArray[np.int8]:
    """The part of each usable message. What was learned from, and its near copies, is learned from again."""
    known = clusters_N[[one.key in learned for one in feedback]] if feedback else clusters_N
    parts = np.full(len(feedback), Part.TRAIN, np.int8)
    fresh = np.flatnonzero(usable & ~np.isin(clusters_N, known))
    if len(fresh):
        numbers = np.unique(clusters_N[fresh], return_inverse=True)[1]
        arrived = [datetime.date.fromordinal(1 + place) for place in range(len(fresh))]  # a day each, in their order
        labels = ["spam" if feedback[place].is_spam else "ham" for place in fresh.tolist()]
        drawn = split(numbers, ["feedback"] * len(fresh), labels, arrived, shares=_SHARES, seed=seed)
        parts[fresh] = np.where(drawn == Part.LATER, Part.TEST, drawn)
    return parts[usable]
