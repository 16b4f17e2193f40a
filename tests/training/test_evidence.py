"""The wide half fitted, on the tests' own mail."""

import dataclasses

import numpy as np
import pytest
import torch

from classifier.encoding import make_batch
from classifier.network import SpamNetwork, score_batch
from classifier.tokenizer import TextTokenizer
from tests.conftest import MAIL
from training.augment import Augmenter
from training.config import Disguises, TrainingConfig, load_preset
from training.corpus import Corpus
from training.evidence import fit_evidence, joined
from training.fields import Fields
from training.fit import predict_logits
from training.measures import one_minus_roca
from training.prepare import prepare
from training.split import Part

SOURCES = [str(MAIL / "spam"), str(MAIL / "ham")]
CPU = torch.device("cpu")
Prepared = tuple[Corpus, TextTokenizer]


def config(**changes: float) -> TrainingConfig:
    smoke = load_preset("smoke")
    changed = dataclasses.replace(smoke.evidence, **changes)  # type: ignore[arg-type]  # names are known at run time
    return dataclasses.replace(smoke, evidence=changed)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(SOURCES, config(), tmp_path_factory.mktemp("prepared"))


def test_it_learns_and_always_the_same(prepared: Prepared) -> None:
    """Training mail is told apart without a mistake; a second fit gives the same weights to the bit."""
    corpus, tokenizer = prepared
    wide, again = (fit_evidence(corpus, tokenizer, config()) for _ in range(2))
    train = corpus.places(Part.TRAIN)
    assert one_minus_roca(predict_logits(wide, corpus, train, config(), CPU), corpus.is_spam[train]) == 0
    for tensor, other in zip(wide.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(tensor, other)


def test_disguised_spam_takes_the_weight_from_good_words(prepared: Prepared) -> None:
    """Pasted words of ham lower the logit of spam less when disguised spam was among what was learned."""
    corpus, tokenizer = prepared
    train = corpus.places(Part.TRAIN)
    spam = train[corpus.is_spam[train]].tolist()
    augmenter = Augmenter(corpus, train, tokenizer, Disguises(good_words_chance=1.0))
    disguised = [augmenter.augmented(place, np.random.default_rng((9, place))).tolist() for place in spam]
    plain = [corpus.token_ids()[place].tolist() for place in spam]
    fell = []
    for share in (0.0, 0.3):
        settings = config(disguised_share=share)
        wide = fit_evidence(corpus, tokenizer, settings)
        batches = (make_batch([message[:700] for message in each], settings.encoding) for each in (plain, disguised))
        before, after = (score_batch(wide, batch, CPU).mean() for batch in batches)
        fell.append(float((before - after) / before))
    assert fell[1] < 0.8 * fell[0]


def test_what_words_say_does_not_hang_on_sender_and_links(prepared: Prepared) -> None:
    """Mail without them is told apart by a wider margin when excerpts without them were among what was learned."""
    corpus, tokenizer = prepared
    train = corpus.places(Part.TRAIN)
    side = np.where(corpus.is_spam[train], 1, -1)
    fields, random = Fields(tokenizer), np.random.default_rng(0)
    bodies = [ids[fields.kept(ids, 1.0, random)].tolist() for ids in (corpus.token_ids()[place] for place in train)]
    margins = []
    for share in (0.0, 0.5):
        settings = config(excerpt_share=share)
        wide = fit_evidence(corpus, tokenizer, settings)
        logits_B = score_batch(wide, make_batch([body[:700] for body in bodies], settings.encoding), CPU)
        margins.append(float((side * logits_B.numpy()).min()))
    assert margins[1] > 1.1 * margins[0] > 0


def test_each_half_has_its_share_of_the_spread(prepared: Prepared) -> None:
    """On the validation part the deep half's logits spread by deep_share of what both do together."""
    corpus, tokenizer = prepared
    torch.manual_seed(1)
    settings = config(deep_share=0.25)
    deep = SpamNetwork(settings.network).eval()
    model = joined(deep, fit_evidence(corpus, tokenizer, settings), corpus, settings)
    places = corpus.places(Part.VALIDATION)
    spreads = [np.std(predict_logits(half, corpus, places, settings, CPU)) for half in (model.deep, model.wide)]
    shares = [float(scale * spread) for scale, spread in zip(model.scales, spreads, strict=True)]
    assert shares[0] == pytest.approx(sum(shares) / 4, rel=1e-3)


def test_what_is_hard_counts_when_asked_for(prepared: Prepared) -> None:
    """Other weights come of it, always the same ones (that they are better ones, docs/experiments.md measures)."""
    corpus, tokenizer = prepared
    plain, hard, again = (fit_evidence(corpus, tokenizer, config(hard_ham=ham)).weight_F for ham in (0.0, 10.0, 10.0))
    assert torch.equal(hard, again)
    assert not torch.allclose(plain, hard, rtol=0.01)
