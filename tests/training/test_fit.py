"""Fitting, on the tests' own mail."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from classifier.network import SpamNetwork
from classifier.tokenizer import TextTokenizer
from tests.conftest import MAIL
from training import fit as fit_module
from training.batches import Sampler
from training.checkpoint import load_checkpoint
from training.config import TrainingConfig, load_preset
from training.corpus import Corpus, MessageInfo
from training.errors import DivergedError
from training.fields import Fields
from training.fit import fit, predict_logits
from training.measures import one_minus_roca
from training.prepare import prepare
from training.split import Part
from training.weights import chances_to_be_seen, message_weights

SOURCES = [str(MAIL / "spam"), str(MAIL / "ham")]


def config(**changes: object) -> TrainingConfig:
    smoke = load_preset("smoke")
    network = dataclasses.replace(smoke.network, embedding_width=16, hidden_width=16, readout_width=8)
    values = {"epochs": 3, "checkpoint_seconds": 0.0, **changes}
    settings = dataclasses.replace(smoke.fit, **values)  # type: ignore[arg-type]  # names are known at run time
    return dataclasses.replace(smoke, network=network, fit=settings)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, TextTokenizer]:
    return prepare(SOURCES, config(), tmp_path_factory.mktemp("prepared"))


def test_the_same_seed_gives_the_same_weights(prepared: tuple[Corpus, TextTokenizer], tmp_path: Path) -> None:
    """Two runs with the same mail and settings end in the same network, to the last bit."""
    one, _ = fit(*prepared, config(), tmp_path / "one", resume=False)
    two, _ = fit(*prepared, config(), tmp_path / "two", resume=False)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name


class KilledError(Exception):
    """Stands for a kill: nothing after it runs."""


@pytest.mark.parametrize("last_step", [1, 5, 9])
def test_a_killed_run_resumes_to_the_same_weights(
    prepared: tuple[Corpus, TextTokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_step: int
) -> None:
    """Wherever a run was stopped, going on from its checkpoint ends where the whole run ends."""
    whole, history = fit(*prepared, config(), tmp_path / "whole", resume=False)
    step = fit_module._Run._step
    left = iter(range(last_step))

    def killed(run: fit_module._Run[SpamNetwork], batch: object) -> float:
        if next(left, None) is None:
            raise KilledError
        return step(run, batch)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(fit_module._Run, "_step", killed)
    with pytest.raises(KilledError):
        fit(*prepared, config(), tmp_path / "killed", resume=False)
    monkeypatch.undo()
    resumed, resumed_history = fit(*prepared, config(), tmp_path / "killed", resume=True)
    assert resumed_history == history
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_checkpoint_of_other_settings_is_not_taken_up(
    prepared: tuple[Corpus, TextTokenizer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Resuming with another learning rate starts anew and says so."""
    fit(*prepared, config(epochs=1), tmp_path, resume=False)
    fit(*prepared, config(epochs=1, learning_rate=0.001), tmp_path, resume=True)
    assert "other settings or mail, starting anew" in capsys.readouterr().err


def test_a_checkpoint_of_another_split_is_not_taken_up(
    prepared: tuple[Corpus, TextTokenizer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that has learned from what another split tests on is fitted anew, though the vocabulary is the same."""
    corpus, tokenizer = prepared
    parts = corpus.parts.copy()
    parts[corpus.places(Part.TRAIN)[:10]] = Part.TEST
    fit(*prepared, config(epochs=1), tmp_path, resume=False)
    fit(dataclasses.replace(corpus, parts=parts), tokenizer, config(epochs=1), tmp_path, resume=True)
    assert "other settings or mail, starting anew" in capsys.readouterr().err


def test_a_checkpoint_of_another_version_is_not_taken_up(
    prepared: tuple[Corpus, TextTokenizer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint that holds more than this version writes is left, and the run starts anew."""
    path = tmp_path / "checkpoint.pt"
    fit(*prepared, config(epochs=1), tmp_path, resume=False)
    torch.save({**torch.load(path), "best_weights": {}}, path)
    fit(*prepared, config(epochs=1), tmp_path, resume=True)
    assert "no checkpoint of this version to resume from, starting anew" in capsys.readouterr().err


def test_the_average_after_the_last_epoch_is_kept(
    prepared: tuple[Corpus, TextTokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the epoch that is best on the validation part, and no loss there that only rises ends a fit."""
    losses = [0.1, 0.2, 0.3, 0.4, 0.5]
    rising = iter(losses)
    monkeypatch.setattr(fit_module._Run, "_validate", lambda run: (next(rising), 0.0))
    network, history = fit(*prepared, config(epochs=len(losses)), tmp_path, resume=False)
    assert [epoch["validation_loss"] for epoch in history] == losses
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
    assert checkpoint is not None
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, checkpoint.average[f"module.{name}"]), name


def test_a_network_that_diverges_stops_with_a_sentence(
    prepared: tuple[Corpus, TextTokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps without a finite loss are left out; when they go on the run ends and says what to change."""

    def broken(self: object, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return logits.sum() * float("nan")

    monkeypatch.setattr(fit_module._Run, "_loss", broken)
    with pytest.raises(DivergedError, match=r"4 steps in a row: lower fit\.learning_rate"):
        fit(*prepared, config(most_bad_steps=4), tmp_path, resume=False)


def test_shuffled_labels_teach_nothing(prepared: tuple[Corpus, TextTokenizer], tmp_path: Path) -> None:
    """With labels drawn by lot, mail that was not seen is ordered by lot too: no label leaks around the network."""
    corpus, tokenizer = prepared
    areas = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        labels = random.permutation(corpus.is_spam)
        messages = [dataclasses.replace(m, is_spam=bool(s)) for m, s in zip(corpus.messages, labels, strict=True)]
        shuffled = dataclasses.replace(corpus, messages=messages)
        network, _ = fit(shuffled, tokenizer, config(epochs=6), tmp_path / str(seed), resume=False)
        unseen = np.flatnonzero(corpus.parts != Part.TRAIN)
        logits = predict_logits(network, shuffled, unseen, config(), torch.device("cpu"))
        areas.append(one_minus_roca(logits, shuffled.is_spam[unseen]) / 100)
    # 50 messages, 4 draws: the standard error of the mean is about 0.04.
    assert abs(float(np.mean(areas)) - 0.5) < 0.15


def sampler(prepared: tuple[Corpus, TextTokenizer], **changes: object) -> Sampler:
    corpus, tokenizer = prepared
    settings = config(**changes)
    places = corpus.places(Part.TRAIN)
    return Sampler(corpus.token_ids(), places, tokenizer, settings.encoding, settings.fit, seed=1)


def test_corpora_of_a_class_come_closer_together(tmp_path: Path) -> None:
    """Of two corpora of ham one is nine times the other: it weighs three times as much."""
    messages = [
        MessageInfo(str(i), i < 10, "spam" if i < 10 else "big" if i < 91 else "small", None) for i in range(100)
    ]
    corpus = Corpus(tmp_path, messages, np.arange(100), np.zeros(100, np.int8))
    weights = message_weights(corpus, np.arange(100), config().fit)
    assert weights[:10].sum() == pytest.approx(weights[10:].sum())
    assert weights[10:91].sum() == pytest.approx(3 * weights[91:].sum())


def test_spam_in_a_language_without_ham_is_not_learned_from(tmp_path: Path) -> None:
    """German spam beside two German ham of 100 counts; French beside one, or none, does not, nor for its class."""
    languages = ["de", "fr", "nl", "not sure"] + ["de", "de", "fr"] + ["en"] * 97
    weights = weights_of(languages, tmp_path, ham_share_of_language=0.02)
    assert (weights == 0).tolist() == [False, True, True] + [False] * 101
    assert weights[:4].sum() == pytest.approx(weights[4:].sum())


@pytest.mark.parametrize(("ham", "share"), [("en", 0.0), ("not sure", 0.02)])
def test_languages_count_for_nothing_where_they_say_nothing(ham: str, share: float, tmp_path: Path) -> None:
    """With a share of 0, or where no ham is long enough for its language to be known, all spam is learned from."""
    assert weights_of(["de", "fr", "en", "not sure"] + [ham] * 100, tmp_path, ham_share_of_language=share).all()


def weights_of(languages: list[str], folder: Path, **changes: object) -> NDArray[np.float64]:
    """Return the weights of four spam, then ham, in these languages."""
    messages = [MessageInfo(str(i), i < 4, "a", None, language) for i, language in enumerate(languages)]
    corpus = Corpus(folder, messages, np.arange(len(messages)), np.full(len(messages), Part.TRAIN, np.int8))
    return message_weights(corpus, np.arange(len(messages)), config(**changes).fit)


def test_on_average_a_message_counts_its_weight() -> None:
    """The chance to be seen never passes 1, and chance times what it counts when seen is the weight."""
    weights = np.array([0.0, 0.1, 1.0, 5.0])
    chances = chances_to_be_seen(weights, 0.5)
    assert chances.tolist() == [0.0, 0.05, 0.5, 1.0]


def test_an_epoch_shows_every_message_once(prepared: tuple[Corpus, TextTokenizer]) -> None:
    """Every training message is in one batch of each epoch, and epochs differ in their order."""
    drawn = sampler(prepared)
    for epoch in (0, 1):
        places = np.concatenate([batch.places_B for batch in drawn.batches(epoch)])
        assert sorted(places.tolist()) == prepared[0].places(Part.TRAIN).tolist()
    assert [plan.tolist() for plan in drawn.plan(0)] != [plan.tolist() for plan in drawn.plan(1)]


def test_batches_from_the_middle_are_those_of_the_whole_epoch(prepared: tuple[Corpus, TextTokenizer]) -> None:
    """A run that goes on at batch 3 sees what it would have seen, down to the dropped tokens."""
    whole = list(sampler(prepared).batches(2))[3:]
    rest = list(sampler(prepared).batches(2, first=3))
    assert len(whole) == len(rest) > 0
    for one, two in zip(whole, rest, strict=True):
        assert np.array_equal(one.batch.token_ids_WT, two.batch.token_ids_WT)


@pytest.mark.parametrize("token_dropout", [0.0, 0.5])
def test_dropout_leaves_out_tokens_and_no_more(prepared: tuple[Corpus, TextTokenizer], token_dropout: float) -> None:
    """Without dropout all tokens are seen; at a half about half of them."""
    drawn = sampler(prepared, token_dropout=token_dropout, field_dropout=0.0)
    seen = sum(int(batch.batch.lengths_W.sum()) for batch in drawn.batches(0))
    whole = int(np.minimum(prepared[0].token_ids().lengths[prepared[0].places(Part.TRAIN)], 768).sum())
    assert seen == whole if token_dropout == 0 else 0.45 < seen / whole < 0.6


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_sender_and_links_are_left_out_together(prepared: tuple[Corpus, TextTokenizer], share: float) -> None:
    """So often as is set a message is seen without any of them, else whole."""
    corpus, tokenizer = prepared
    fields, random = Fields(tokenizer), np.random.default_rng(0)
    drawn = sampler(prepared, token_dropout=0.0, field_dropout=0.0, fieldless_chance=share)
    fieldless = []
    for each in drawn.batches(0):
        for number, place in enumerate(each.places_B.tolist()):
            windows = np.flatnonzero(each.batch.message_W == number)
            seen = np.concatenate([each.batch.token_ids_WT[w, : each.batch.lengths_W[w]] for w in windows])
            whole = corpus.token_ids()[place]
            without = whole[fields.kept(whole, 1.0, random)]
            if len(without) < len(whole) <= 512:
                assert seen.tolist() in (whole.tolist(), without.tolist())
                fieldless.append(len(seen) == len(without))
    assert len(fieldless) > 20
    assert share - 0.25 < np.mean(fieldless) < share + 0.25
    assert 0 < np.mean(fieldless) < 1 or share in (0, 1)


def test_a_campaign_weighs_less_than_its_number(tmp_path: Path) -> None:
    """Classes weigh the same, and a cluster of four twice as much as one message, not four times."""
    messages = [MessageInfo(str(i), i < 5, "a", None) for i in range(8)]
    corpus = Corpus(tmp_path, messages, np.array([0, 0, 0, 0, 1, 2, 3, 4]), np.zeros(8, np.int8))
    weights = message_weights(corpus, np.arange(8), config().fit)
    assert weights[:5].sum() == pytest.approx(weights[5:].sum())
    assert weights[:4].sum() == pytest.approx(2 * weights[4])
    assert weights.mean() == pytest.approx(1)
