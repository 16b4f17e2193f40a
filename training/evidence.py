"""Fits the wide half of the model: logistic regression on which n-grams a message has.

Convex, so it has one answer, found in seconds. Each spam counts once more disguised by good words of ham: words that
ham has then weigh less for ham, and to paste a hundred of them into a spam does not help it. And excerpts of each
message count without its sender and links, which tell the collections apart so well that its words would else learn
little (training.fields).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import nn

from classifier.encoding import make_batch, select_tokens
from classifier.network import SpamNetwork
from classifier.ngrams import READING_SHARES, READINGS, NgramEvidence
from classifier.tokenizer import TextTokenizer
from classifier.wide_and_deep import WideAndDeep
from training.augment import Augmenter
from training.config import TrainingConfig
from training.corpus import Corpus, TokenIds
from training.fields import Fields
from training.fit import pick_device, predict_logits
from training.progress import progress, say
from training.split import Part
from training.weights import message_weights

_READ_TOGETHER = 64
_MOST_ITERATIONS = 2000
# At the library's 1e-4 it stops early, elsewhere for each set of weights.
_TOLERANCE = 1e-6
# Of the joined logit, in nats, about: calibration sets it right.
_SPREAD = 4.0


def fit_evidence(corpus: Corpus, tokenizer: TextTokenizer, config: TrainingConfig) -> NgramEvidence:
    """Fit the wide half on the train part; the same input and seed give the same weights."""
    train = corpus.places(Part.TRAIN)
    weighing = replace(config.fit, corpus_discount=config.evidence.corpus_discount)
    weights = message_weights(corpus, train, weighing)[train]
    evidence = _empty(tokenizer, config)
    copies = list(_copies(corpus, tokenizer, train, weights, evidence, config))
    rarity_F = _rarity(copies[0].present_RF)
    say(f"fitting n-grams on {len(train)} messages")
    model = LogisticRegression(C=config.evidence.inverse_penalty, max_iter=_MOST_ITERATIONS, tol=_TOLERANCE)
    model.fit(
        scaled(scipy.sparse.vstack([copy.present_RF for copy in copies]), rarity_F),
        np.concatenate([copy.is_spam for copy in copies]).repeat(READINGS),
        np.concatenate([copy.counts for copy in copies]).repeat(READINGS) / READINGS,
    )
    evidence.rarity_F.copy_(torch.from_numpy(rarity_F))
    evidence.weight_F.copy_(torch.from_numpy(model.coef_[0]))
    evidence.bias.copy_(torch.from_numpy(model.intercept_))
    return evidence


@dataclass(frozen=True, slots=True)
class _Copy:
    """Messages in one form."""

    present_RF: scipy.sparse.csr_matrix
    is_spam: NDArray[np.bool_]
    counts: NDArray[np.float64]  # how much each counts in this form


def _empty(tokenizer: TextTokenizer, config: TrainingConfig) -> NgramEvidence:
    """A wide half that knows the tokenizer, and nothing yet."""
    evidence = NgramEvidence(config.ngrams, config.network.vocabulary_size)
    if config.evidence.unknown_words:
        continues = tokenizer.continues_word(range(tokenizer.vocabulary_size))
        evidence.continues_V[: len(continues)] = torch.tensor(continues)
    return evidence


def _copies(
    corpus: Corpus,
    tokenizer: TextTokenizer,
    train: NDArray[np.int64],
    weights: NDArray[np.float64],
    evidence: NgramEvidence,
    config: TrainingConfig,
) -> Iterator[_Copy]:
    """The messages of the train part as they are, then excerpts of them, then the spam disguised."""
    settings, random = config.evidence, np.random.default_rng(config.seed)
    token_ids, is_spam = corpus.token_ids(), corpus.is_spam[train]
    disguised = settings.disguised_share if is_spam.any() else 0.0
    undisguised = np.where(is_spam, 1 - disguised, 1) * weights

    excerpted = settings.excerpt_share if settings.excerpts else 0.0
    fields = Fields(tokenizer)
    plain = (token_ids[place] for place in train.tolist())
    present_RF = features(plain, len(train), "finding n-grams", evidence, config)
    yield _Copy(present_RF, is_spam, (1 - excerpted) * undisguised)
    for number in range(settings.excerpts):
        excerpts = _excerpts(token_ids, train, fields, random)
        present_RF = features(excerpts, len(train), f"finding n-grams of excerpts {number + 1}", evidence, config)
        yield _Copy(present_RF, is_spam, excerpted / settings.excerpts * undisguised)
    if disguised:
        augmenter = Augmenter(corpus, train, tokenizer, settings.disguises)
        spam = train[is_spam].tolist()
        augmented = (augmenter.augmented(place, random) for place in spam)
        present_RF = features(augmented, len(spam), "finding n-grams of disguised spam", evidence, config)
        yield _Copy(present_RF, np.ones(len(spam), np.bool_), disguised * weights[is_spam])


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


def features(
    messages: Iterable[NDArray[np.int64]], count: int, what: str, evidence: NgramEvidence, config: TrainingConfig
) -> scipy.sparse.csr_matrix:
    """Which n-grams each reading of each message has, as the network will see them: 1 or 0, (R, F)."""
    columns: list[NDArray[np.int32]] = []
    found_R: list[NDArray[np.int64]] = []
    group: list[Sequence[int]] = []

    def take() -> None:
        batch = make_batch(group, config.encoding)
        reading_K, bucket_K = evidence.present(
            torch.from_numpy(batch.token_ids_WT), torch.from_numpy(batch.lengths_W), torch.from_numpy(batch.message_W)
        )
        columns.append(bucket_K.numpy().astype(np.int32))
        found_R.append(np.bincount(reading_K.numpy(), minlength=READINGS * batch.messages))
        group.clear()

    for token_ids in progress(messages, what, count):
        group.append(select_tokens(token_ids.tolist(), config.encoding)[0])
        if len(group) == _READ_TOGETHER:
            take()
    if group:
        take()
    ends = np.concatenate([[0], np.cumsum(np.concatenate(found_R))])
    ones = np.ones(int(ends[-1]), np.float32)
    shape = (READINGS * count, evidence.config.buckets)
    return scipy.sparse.csr_matrix((ones, np.concatenate(columns), ends), shape)


def _rarity(present_RF: scipy.sparse.csr_matrix) -> NDArray[np.float32]:
    """Inverse document frequency, smoothed as scikit-learn does: no feature counts nothing or without end."""
    readings_F = np.bincount(present_RF.indices, minlength=present_RF.shape[1])
    rarity_F: NDArray[np.float32] = (np.log((1 + present_RF.shape[0]) / (1 + readings_F)) + 1).astype(np.float32)
    return rarity_F


def scaled(present_RF: scipy.sparse.csr_matrix, rarity_F: NDArray[np.float32]) -> scipy.sparse.csr_matrix:
    """Each feature as its rarity, each reading scaled to length 1."""
    weighed_RF = present_RF @ scipy.sparse.diags_array(rarity_F)
    norm_R = np.sqrt(np.asarray(weighed_RF.multiply(weighed_RF).sum(axis=1)).ravel())
    inverse_R = (1 / np.maximum(norm_R, 1e-6)).astype(np.float32)
    return scipy.sparse.csr_matrix(scipy.sparse.diags_array(inverse_R) @ weighed_RF)


def of_messages(scaled_RF: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    """The weighted mean of each message's readings (N, F): what the logit is linear in."""
    of_readings = (share * scaled_RF[reading::READINGS] for reading, share in enumerate(READING_SHARES))
    return scipy.sparse.csr_matrix(sum(of_readings))
