"""Fits the wide half of the model: logistic regression on which n-grams a message has.

Convex, so it has one answer, found in seconds. Each spam counts once more disguised by good words of ham: words that
ham has then weigh less for ham, and to paste a hundred of them into a spam does not help it. And excerpts of each
message count without its sender and links, which tell the collections apart so well that its words would else learn
little (training.fields).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import nn

from classifier.network import SpamNetwork
from classifier.ngrams import NgramEvidence
from classifier.tokenizer import TextTokenizer
from classifier.wide_and_deep import WideAndDeep
from training.augment import Augmenter
from training.config import TrainingConfig
from training.corpus import Corpus, TokenIds
from training.fields import Fields
from training.fit import pick_device, predict_logits
from training.hard_examples import Examples, emphasis
from training.progress import say
from training.readings import features, rarity, scaled
from training.split import Part
from training.weights import message_weights

# Of the joined logit, in nats, about: calibration sets it right.
_SPREAD = 4.0


def fit_evidence(corpus: Corpus, tokenizer: TextTokenizer, config: TrainingConfig) -> NgramEvidence:
    """Fit the wide half on the train part; the same input and seed give the same weights."""
    train = corpus.places(Part.TRAIN)
    weighing = replace(config.fit, corpus_discount=config.evidence.corpus_discount)
    weights = message_weights(corpus, train, weighing)[train]
    evidence = _empty(tokenizer, config)
    forms = list(_forms(corpus, tokenizer, train, weights, evidence, config))
    rarity_F = rarity(forms[0].present_RF)
    examples = Examples(
        scaled(scipy.sparse.vstack([form.present_RF for form in forms]), rarity_F),
        np.concatenate([form.messages for form in forms]),
        np.concatenate([form.counts for form in forms]),
        corpus.is_spam[train],
    )
    ham, spam = config.evidence.hard_ham, config.evidence.hard_spam
    if ham or spam:
        errors = examples.errors(corpus.clusters[train], np.random.default_rng(config.seed))
        examples = examples.weighed(emphasis(errors, examples.is_spam_N, weights, ham, spam))
    say(f"fitting n-grams on {len(train)} messages")
    model = examples.fitted(config.evidence.inverse_penalty)
    evidence.rarity_F.copy_(torch.from_numpy(rarity_F))
    evidence.weight_F.copy_(torch.from_numpy(model.coef_[0]))
    evidence.bias.copy_(torch.from_numpy(model.intercept_))
    return evidence


@dataclass(frozen=True, slots=True)
class _Form:
    """Messages in one form: as they are, in excerpts, or disguised."""

    present_RF: scipy.sparse.csr_matrix
    messages: NDArray[np.int64]  # which of the train part
    counts: NDArray[np.float64]  # how much each counts in this form


def _empty(tokenizer: TextTokenizer, config: TrainingConfig) -> NgramEvidence:
    """A wide half that knows the tokenizer, and nothing yet."""
    evidence = NgramEvidence(config.ngrams, config.network.vocabulary_size)
    if config.evidence.unknown_words:
        continues = tokenizer.continues_word(range(tokenizer.vocabulary_size))
        evidence.continues_V[: len(continues)] = torch.tensor(continues)
    return evidence


def _forms(
    corpus: Corpus,
    tokenizer: TextTokenizer,
    train: NDArray[np.int64],
    weights: NDArray[np.float64],
    evidence: NgramEvidence,
    config: TrainingConfig,
) -> Iterator[_Form]:
    """The messages of the train part as they are, then excerpts of them, then the spam disguised."""
    settings, random = config.evidence, np.random.default_rng(config.seed)
    token_ids, is_spam = corpus.token_ids(), corpus.is_spam[train]
    disguised = settings.disguised_share if is_spam.any() else 0.0
    undisguised = np.where(is_spam, 1 - disguised, 1) * weights
    everyone = np.arange(len(train))

    excerpted = settings.excerpt_share if settings.excerpts else 0.0
    fields = Fields(tokenizer)
    plain = (token_ids[place] for place in train.tolist())
    present_RF = features(plain, len(train), "finding n-grams", evidence, config)
    yield _Form(present_RF, everyone, (1 - excerpted) * undisguised)
    for number in range(settings.excerpts):
        excerpts = _excerpts(token_ids, train, fields, random)
        present_RF = features(excerpts, len(train), f"finding n-grams of excerpts {number + 1}", evidence, config)
        yield _Form(present_RF, everyone, excerpted / settings.excerpts * undisguised)
    if disguised:
        augmenter = Augmenter(corpus, train, tokenizer, settings.disguises)
        spam = np.flatnonzero(is_spam)
        augmented = (augmenter.augmented(place, random) for place in train[spam].tolist())
        present_RF = features(augmented, len(spam), "finding n-grams of disguised spam", evidence, config)
        yield _Form(present_RF, spam, disguised * weights[spam])


def _excerpts(
    token_ids: TokenIds, places: NDArray[np.int64], fields: Fields, random: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """An excerpt of each message, without the fields that name the collection."""
    for place in places.tolist():
        whole = token_ids[place]
        yield whole[fields.kept(whole, 1.0, random) & fields.excerpt(whole, random)]


def joined(deep: SpamNetwork, wide: NgramEvidence, corpus: Corpus, config: TrainingConfig) -> WideAndDeep:
    """Return the model of both halves, the deep one's share of the spread of the logit as set.

    Each half is scaled by the spread of its logits over the validation part: fitted on it, the scales would follow
    the half that is better on mail of the same collections, and mail of other people tells another story.
    """
    model = WideAndDeep(deep, wide).to(pick_device())
    # As both will be stored: what is fitted beside a stored half then has the same spread.
    for tensor in model.state_dict().values():
        tensor.copy_(tensor.half())
    places = corpus.places(Part.VALIDATION)
    shares = (config.evidence.deep_share, 1 - config.evidence.deep_share)
    for number, (half, share) in enumerate(zip((deep, wide), shares, strict=True)):
        model.scales[number] = share * _SPREAD / max(_spread(half, corpus, places, config), 1e-6)
    return model.eval()


def _spread(half: nn.Module, corpus: Corpus, places: NDArray[np.int64], config: TrainingConfig) -> float:
    return float(np.std(predict_logits(half, corpus, places, config, pick_device()))) if len(places) else 1.0
