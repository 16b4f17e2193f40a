"""Disguised training mail, on the tests' own."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from classifier.text import BODY, FIELD_MARKERS, HIDDEN, HOMOGLYPH, INVISIBLE, SPACED, STYLED
from classifier.tokenizer import TextTokenizer
from tests.conftest import MAIL
from training.augment import Augmenter
from training.batches import Sampler
from training.config import Disguises, FitConfig, TrainingConfig, load_preset
from training.corpus import Corpus
from training.fit import fit
from training.prepare import prepare
from training.split import Part

SOURCES = [str(MAIL / "spam"), str(MAIL / "ham")]
ALL_ON = {"good_words_chance": 0.5, "tricks_chance": 0.5, "leet_chance": 0.5}
Prepared = tuple[Corpus, TextTokenizer]


def config(**changes: float) -> TrainingConfig:
    smoke = load_preset("smoke")
    network = dataclasses.replace(smoke.network, embedding_width=8, hidden_width=8, readout_width=8)
    settings = dataclasses.replace(smoke.fit, epochs=2, checkpoint_seconds=0.0, disguises=Disguises(**changes))
    return dataclasses.replace(smoke, network=network, fit=settings)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(SOURCES, config(), tmp_path_factory.mktemp("prepared"))


def augmenter(prepared: Prepared, **changes: float) -> Augmenter:
    corpus, tokenizer = prepared
    return Augmenter(corpus, corpus.places(Part.TRAIN), tokenizer, Disguises(**changes))


def places(prepared: Prepared, *, spam: bool) -> list[int]:
    corpus = prepared[0]
    train = corpus.places(Part.TRAIN)
    found: list[int] = train[corpus.is_spam[train] == spam].tolist()
    return found


def same(one: NDArray[np.int64], two: NDArray[np.int64]) -> bool:
    return np.array_equal(one, two)


def test_switched_off_nothing_changes_and_no_lot_is_drawn(prepared: Prepared) -> None:
    """With all chances 0, as they are unless a preset says otherwise, runs are to the bit what they were without."""
    assert FitConfig().disguises == Disguises(0, 0, 0)
    off, token_ids, random = augmenter(prepared), prepared[0].token_ids(), np.random.default_rng(1)
    assert all(same(off.augmented(place, random), token_ids[place]) for place in range(len(token_ids)))
    assert random.random() == np.random.default_rng(1).random()


def test_the_same_lot_gives_the_same_mail(prepared: Prepared) -> None:
    """A batch that is drawn again, by a run that goes on, is the same batch."""
    on = augmenter(prepared, **ALL_ON)
    for place in range(len(prepared[0].messages)):
        one, two = (on.augmented(place, np.random.default_rng(place)) for _ in range(2))
        assert same(one, two)


def test_good_words_come_from_the_ham_that_is_fitted_on(prepared: Prepared) -> None:
    """What is added to a spam is a run of a training ham; all that stood there still stands, in its order."""
    corpus, tokenizer = prepared
    token_ids = corpus.token_ids()
    known = {int(i) for place in places(prepared, spam=False) for i in token_ids[place]}
    known |= {tokenizer.marker_ids[HIDDEN], tokenizer.marker_ids[BODY]}
    on = augmenter(prepared, good_words_chance=1.0)
    longer = 0
    for place in places(prepared, spam=True):
        before, after = token_ids[place], on.augmented(place, np.random.default_rng(place))
        rest = iter(after.tolist())
        assert all(i in rest for i in before.tolist())
        added = np.bincount(after, minlength=2048) - np.bincount(before, minlength=2048)
        assert {int(i) for i in np.flatnonzero(added)} <= known
        longer += len(after) > len(before)
    assert longer > 0.9 * len(places(prepared, spam=True))


def test_added_words_stand_on_every_side_and_hidden_ones_in_their_field(prepared: Prepared) -> None:
    """Before the body, behind it, and in one field of hidden text that stands before the body."""
    corpus, tokenizer = prepared
    body, hidden = tokenizer.marker_ids[BODY], tokenizer.marker_ids[HIDDEN]
    on, token_ids = augmenter(prepared, good_words_chance=1.0), corpus.token_ids()
    ends = {"same head": 0, "same tail": 0, "hidden": 0}
    fields = [tokenizer.marker_ids[marker] for marker in FIELD_MARKERS]
    for place in places(prepared, spam=True):
        before, after = token_ids[place], on.augmented(place, np.random.default_rng(place))
        order = [fields.index(i) for i in after[np.isin(after, fields)].tolist()]
        assert order == sorted(order)
        assert order.count(fields.index(hidden)) <= 1
        if body not in before:
            continue
        bodies = [ids[np.flatnonzero(ids == body)[0] :] for ids in (before, after)]
        ends["hidden"] += same(*bodies)
        ends["same head"] += not same(*bodies) and same(bodies[0], bodies[1][: len(bodies[0])])
        ends["same tail"] += not same(*bodies) and same(bodies[0][1:], bodies[1][-len(bodies[0]) + 1 :])
    assert min(ends.values()) > 0


def test_marks_stand_before_words_of_what_is_read(prepared: Prepared) -> None:
    """A trick's mark is put in front of words; without the marks the mail is as it was."""
    corpus, tokenizer = prepared
    marks = [tokenizer.marker_ids[marker] for marker in (INVISIBLE, HOMOGLYPH, STYLED, SPACED)]
    on, token_ids = augmenter(prepared, tricks_chance=1.0), corpus.token_ids()
    for place in places(prepared, spam=True):
        before, after = token_ids[place], on.augmented(place, np.random.default_rng(place))
        assert same(after[~np.isin(after, marks)], before[~np.isin(before, marks)])
        followers = after[np.flatnonzero(np.isin(after, marks[:1]))[:-1] + 1].tolist()
        assert all(token[0] == "\u0120" or token in FIELD_MARKERS for token in tokenizer.tokens(followers)) or (
            np.isin(before, marks).any()
        )


def test_digits_stand_for_letters(prepared: Prepared) -> None:
    """Words come back with zeros, as normalised text writes every digit."""
    corpus, tokenizer = prepared
    on, token_ids = augmenter(prepared, leet_chance=1.0), corpus.token_ids()
    zeros = [0, 0]
    for place in places(prepared, spam=True):
        for number, ids in enumerate((token_ids[place], on.augmented(place, np.random.default_rng(place)))):
            zeros[number] += "".join(tokenizer.tokens(ids.tolist())).count("0")
    assert zeros[1] > 1.5 * zeros[0]


def test_ham_is_disguised_more_rarely(prepared: Prepared) -> None:
    """A quarter of spam's chance: never none, or the mark alone would be the verdict."""
    on, token_ids = augmenter(prepared, tricks_chance=0.8), prepared[0].token_ids()
    shares = []
    for spam in (True, False):
        changed = [
            not same(on.augmented(place, np.random.default_rng((place, turn))), token_ids[place])
            for place in places(prepared, spam=spam)
            for turn in range(20)
        ]
        shares.append(np.mean(changed))
    assert shares[0] == pytest.approx(0.8, abs=0.1)
    assert shares[1] == pytest.approx(0.2, abs=0.1)


def test_an_augmented_run_resumes_to_the_same_weights(prepared: Prepared, tmp_path: Path) -> None:
    """Batches from the middle of an epoch are those of the whole epoch, and two runs end alike."""
    corpus, tokenizer = prepared
    settings, train = config(**ALL_ON), corpus.places(Part.TRAIN)
    on = augmenter(prepared, **ALL_ON)
    drawn = Sampler(corpus.token_ids(), train, tokenizer, settings.encoding, settings.fit, 1, on)
    for one, two in zip(list(drawn.batches(1))[3:], drawn.batches(1, first=3), strict=True):
        assert same(one.batch.token_ids_WT, two.batch.token_ids_WT)
    networks = [fit(corpus, tokenizer, settings, tmp_path / name, resume=False)[0] for name in ("one", "two")]
    for tensor, other in zip(*(network.state_dict().values() for network in networks), strict=True):
        assert torch.equal(tensor, other)
