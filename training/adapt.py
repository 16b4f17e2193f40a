"""Adapts a fitted model to the mail of a mailbox in seconds to minutes, without forgetting the mail that it knows.

The n-grams learn what is left to learn: logistic regression whose starting point is what the whole model says of each
message, and whose prior pulls every change of a weight to zero, so that little evidence changes little. Mail that the
model was fitted on is there again (replay, Robins 1995): where the model is right already it pulls at nothing, and it
holds where a change would make it wrong. The deep half stays as it is (docs/retraining.md has the figures).

Shape letters: N messages, F buckets, K features that any of the messages has.
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.optimize
import scipy.sparse
import torch
from numpy.typing import NDArray

from classifier.calibration import Calibration
from classifier.errors import ConfigError
from classifier.wide_and_deep import WideAndDeep
from training.config import TrainingConfig
from training.corpus import Corpus
from training.errors import DivergedError
from training.fit import pick_device, predict_logits
from training.measures import IsSpam, Scores
from training.readings import features, of_messages, scaled
from training.weights import message_weights

_MOST_ITERATIONS = 300


@dataclass(frozen=True, slots=True)
class AdaptConfig:
    """How a model is adapted."""

    # So much does a message of the mailbox count; one of the old mail counts 1.
    mailbox_weight: float = 3.0
    # Prior variance of the change of a weight; the smaller, the closer to the model that it starts from.
    variance: float = 400.0

    def __post_init__(self) -> None:
        for name in ("mailbox_weight", "variance"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"adapt.{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Seen:
    """Messages as a model sees them: read once, whatever the wide half becomes."""

    model: WideAndDeep
    deep_N: Scores = field(repr=False)
    known_NF: scipy.sparse.csr_matrix = field(repr=False)

    @classmethod
    def by(cls, model: WideAndDeep, corpus: Corpus, places: NDArray[np.int64], config: TrainingConfig) -> "Seen":
        """Let both halves of a model read messages of a corpus, which has the ids of the model's tokenizer."""
        token_ids = corpus.token_ids()
        messages = (token_ids[place] for place in places.tolist())
        found_RF = features(messages, len(places), "finding n-grams", model.wide, config)
        known_NF = of_messages(scaled(found_RF, model.wide.rarity_F.numpy()))
        return cls(model, predict_logits(model.deep, corpus, places, config, pick_device()), known_NF)

    def logits(self, model: WideAndDeep) -> Scores:
        """Return the logit that `model`, adapted from the one that read the messages, gives each; float64 (N,)."""
        wide_N = self.known_NF @ model.wide.weight_F.numpy() + float(model.wide.bias)
        logits_N: Scores = (float(model.scales[0]) * self.deep_N + float(model.scales[1]) * wide_N).astype(np.float64)
        return logits_N


def adapt(
    seen: Seen,
    calibration: Calibration,
    rows: NDArray[np.int64],
    is_spam_N: IsSpam,
    weights_N: NDArray[np.float64],
    variance: float,
) -> WideAndDeep:
    """Return the model that read the messages, adapted to some of them; the same input gives the same weights.

    Args:
        calibration: of that model.
        rows: which of the messages it learns from.
        is_spam_N: what each of the messages read is.
        weights_N: how much each counts.
        variance: see AdaptConfig.

    Raises:
        DivergedError: no finite answer was found.
    """
    model = seen.model
    logits = calibration.slope * seen.logits(model)[rows] + calibration.offset
    change_F, shift = _fitted(seen.known_NF[rows], logits, is_spam_N[rows], weights_N[rows], variance)
    # Found on the scale of calibrated log-odds, kept on that of the wide half.
    scale = calibration.slope * float(model.scales[1])
    adapted = WideAndDeep.of_sizes(model.deep.config, model.wide.config)
    adapted.load_state_dict(model.state_dict())
    adapted.wide.weight_F += torch.from_numpy(change_F / scale).float()
    adapted.wide.bias += shift / scale
    return adapted.eval()


def _fitted(
    known_NF: scipy.sparse.csr_matrix, logits_N: Scores, is_spam_N: IsSpam, weights_N: Scores, variance: float
) -> tuple[NDArray[np.float64], float]:
    """The change of each weight and of the bias that is likeliest after these messages."""
    columns_K, places = np.unique(known_NF.indices, return_inverse=True)
    shape = (known_NF.shape[0], len(columns_K))
    known_NK = scipy.sparse.csr_matrix((known_NF.data.astype(np.float64), places, known_NF.indptr), shape)
    known_KN = known_NK.T.tocsr()
    sign_N = np.where(is_spam_N, 1.0, -1.0)

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin_N = sign_N * (logits_N + known_NK @ values[:-1] + values[-1])
        pull_N = -weights_N * sign_N / (1 + np.exp(np.clip(margin_N, -500, 500)))
        gradient = np.append(known_KN @ pull_N, pull_N.sum()) + values / variance
        return float(weights_N @ np.logaddexp(0, -margin_N) + values @ values / (2 * variance)), gradient

    found = scipy.optimize.minimize(
        loss, np.zeros(len(columns_K) + 1), jac=True, method="L-BFGS-B", options={"maxiter": _MOST_ITERATIONS}
    )
    if not np.isfinite(found.x).all():
        raise DivergedError("adapting found no finite weights: look at the data, or lower adapt.variance")
    change_F = np.zeros(known_NF.shape[1])
    change_F[columns_K] = found.x[:-1]
    return change_F, float(found.x[-1])


def replay_places(corpus: Corpus, train: NDArray[np.int64], count: int, config: TrainingConfig) -> NDArray[np.int64]:
    """Return at most `count` of the messages at `train`, drawn by how much each counts in a fit."""
    if len(train) <= count:
        return train
    weights = message_weights(corpus, train, config.fit)[train]
    drawn = np.random.default_rng(config.seed).choice(len(train), count, replace=False, p=weights / weights.sum())
    return np.sort(train[drawn])
