"""Rival networks keep the promises of Hamlet's own, and all of them learn."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier.encoding import Batch, EncodingConfig, make_batch
from classifier.errors import ConfigError
from classifier.network import score_batch
from classifier.tokenizer import TextTokenizer
from tests.conftest import MAIL
from training.config import FitConfig, TrainingConfig, load_preset
from training.corpus import Corpus
from training.fit import fit_network
from training.measures import one_minus_roca
from training.prepare import prepare
from training.rivals import NETWORKS, TfidfRegression, Transformer, ngram_counts
from training.split import Part
from training.weights import message_weights

CPU = torch.device("cpu")


def small(**changes: object) -> TrainingConfig:
    smoke = load_preset("smoke")
    network = dataclasses.replace(smoke.network, embedding_width=16, hidden_width=16, readout_width=8)
    encoding = EncodingConfig(window_tokens=64, head_tokens=96, tail_tokens=32)
    values = {"epochs": 8, "learning_rate": 0.02, **changes}
    settings = dataclasses.replace(smoke.fit, **values)  # type: ignore[arg-type]  # names are known at run time
    return dataclasses.replace(smoke, network=network, encoding=encoding, fit=settings)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, TextTokenizer]:
    return prepare([str(MAIL / "spam"), str(MAIL / "ham")], small(), tmp_path_factory.mktemp("prepared"))


def some_ids(lengths: list[int]) -> list[list[int]]:
    random = np.random.default_rng(1)
    return [random.integers(1, 2048, length).tolist() for length in lengths]


@pytest.mark.parametrize("name", NETWORKS)
def test_neighbours_and_padding_never_change_a_score(name: str) -> None:
    """Alone, among longer messages, or padded further, a message gets the same logit."""
    config = small()
    torch.manual_seed(1)
    network = NETWORKS[name](config).eval()
    messages = some_ids([1, 0, 5, 40, 300])
    with torch.inference_mode():
        together = score_batch(network, make_batch(messages, config.encoding), CPU)
        for place, message in enumerate(messages):
            batch = make_batch([message], config.encoding)
            room = 64 - batch.token_ids_WT.shape[1]
            padded = Batch(np.pad(batch.token_ids_WT, ((0, 0), (0, room))), batch.lengths_W, batch.message_W, 1)
            for alone in (batch, padded):
                assert score_batch(network, alone, CPU).item() == pytest.approx(together[place].item(), abs=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_its_training_mail(
    prepared: tuple[Corpus, TextTokenizer], tmp_path: Path, name: str
) -> None:
    """Fitted by the same code as Hamlet's own network, each gets surer of the mail that it sees again and again."""
    rate = {"feed_forward": 0.05, "transformer": 0.003}.get(name, 0.02)
    config = small(dropout=0.0, token_dropout=0.0, field_dropout=0.0, epoch_share=1.0, learning_rate=rate, epochs=12)
    _, history = fit_network(NETWORKS[name], *prepared, config, tmp_path, resume=False)
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]


def test_order_counts_for_all_but_the_bag() -> None:
    """The same tokens backwards are the same to the feed-forward network, and not to the others."""
    config = small()
    (message,) = some_ids([50])
    for name, build in NETWORKS.items():
        torch.manual_seed(1)
        network = build(config).eval()
        with torch.inference_mode():
            there, back = score_batch(network, make_batch([message, message[::-1]], config.encoding), CPU).tolist()
        assert (abs(there - back) < 1e-6) == (name == "feed_forward")


def test_an_embedding_that_heads_cannot_share_is_refused() -> None:
    """The error names the setting and the number."""
    config = small()
    network = dataclasses.replace(config.network, embedding_width=18)
    with pytest.raises(ConfigError, match="embedding_width must be a multiple of 4"):
        Transformer(dataclasses.replace(config, network=network))


def test_n_grams_with_regression_order_unseen_mail(prepared: tuple[Corpus, TextTokenizer], tmp_path: Path) -> None:
    """Fitted on half of the tests' mail, it puts most spam of the rest above most ham; counts are kept on disk."""
    corpus, _ = prepared
    counts = ngram_counts(corpus.texts(), tmp_path / "counts.npz")
    kept = ngram_counts([], tmp_path / "counts.npz")
    assert counts.shape == kept.shape
    assert (counts != kept).nnz == 0
    train, unseen = corpus.places(Part.TRAIN), np.flatnonzero(corpus.parts != Part.TRAIN)
    model = TfidfRegression()
    model.fit(counts[train], corpus.is_spam[train], message_weights(corpus, train, FitConfig())[train])
    assert one_minus_roca(model.score(counts[unseen]), corpus.is_spam[unseen]) < 15
