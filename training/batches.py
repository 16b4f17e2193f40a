"""Training batches: an order per epoch that a seed decides, messages of like length together, mail seen a bit torn.

Everything follows from (seed, epoch, batch number), so a run that was killed goes on exactly where it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.encoding import Batch, EncodingConfig, bucketed, make_batch, select_tokens
from classifier.tokenizer import TextTokenizer
from training.augment import Augmenter
from training.config import FitConfig
from training.corpus import TokenIds
from training.fields import Fields

# Messages that are sorted by length together: many batches, so that batches differ, but few enough to stay random.
_POOL_MESSAGES = 4096


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """One step's input, or one rank's share of it. B messages."""

    batch: Batch
    places_B: NDArray[np.int64]  # where the messages stand in the corpus
    share: float = 1.0  # of the messages of the step; 0 where there were fewer than ranks, and one stands in


class Sampler:
    """Draws the batches of an epoch."""

    def __init__(
        self,
        token_ids: TokenIds,
        places: NDArray[np.int64],
        tokenizer: TextTokenizer,
        encoding: EncodingConfig,
        fit: FitConfig,
        seed: int,
        augmenter: Augmenter | None = None,
        chances: NDArray[np.float64] | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        """Draw from `places`; `chances` (N of the corpus) are those of a message to be seen in an epoch, 1 without.

        `shard` is a rank and the number of ranks: together they see the batches that one process would see.
        """
        self._rank, self._ranks = shard
        self._augmenter = augmenter
        self._token_ids = token_ids
        self._places = places
        self._chances = np.ones(len(places)) if chances is None else chances[places]
        self._lengths = np.minimum(token_ids.lengths[places], encoding.max_tokens)
        self._encoding = encoding
        self._fit = fit
        self._seed = seed
        self._fields = Fields(tokenizer)

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the batches of an epoch as places in the corpus, in the order in which they are seen."""
        random = np.random.default_rng((self._seed, epoch))
        seen = np.flatnonzero(random.random(len(self._places)) < self._chances)
        order = random.permutation(seen)
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(order), _POOL_MESSAGES):
            pool = order[start : start + _POOL_MESSAGES]
            # range() stands for ids: only lengths count here.
            lengths = [range(length) for length in self._lengths[pool].tolist()]
            groups = bucketed(lengths, self._encoding, self._fit.batch_tokens)
            batches += [self._places[pool[group]] for group in groups]
        return [batches[number] for number in random.permutation(len(batches))]

    def batches(self, epoch: int, first: int = 0) -> Iterator[TrainingBatch]:
        """Yield the batches of an epoch from number `first` on."""
        for number, places_B in enumerate(self.plan(epoch)):
            if number >= first:
                random = np.random.default_rng((self._seed, epoch, number))
                torn = [self._tear(self._seen(place, random), random) for place in places_B.tolist()]
                own = slice(self._rank, None, self._ranks) if self._rank < len(torn) else slice(1)
                selected = [select_tokens(token_ids.tolist(), self._encoding)[0] for token_ids in torn[own]]
                share = len(selected) / len(torn) if self._rank < len(torn) else 0.0
                yield TrainingBatch(make_batch(selected, self._encoding), places_B[own], share)

    def _seen(self, place: int, random: np.random.Generator) -> NDArray[np.int64]:
        return self._augmenter.augmented(place, random) if self._augmenter else self._token_ids[place]

    def _tear(self, token_ids: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """Leave out some fields, some tokens, most of the body and words; field markers of what is left stay."""
        dropout = 1.0 if random.random() < self._fit.fieldless_chance else self._fit.field_dropout
        keep, is_marker = self._fields.kept_and_markers(token_ids, dropout, random)
        if random.random() < self._fit.excerpt_chance:
            keep &= self._fields.excerpt(token_ids, random)
        keep &= is_marker | (random.random(len(token_ids)) >= self._fit.token_dropout)
        if random.random() < self._fit.unknown_chance:
            token_ids = self._fields.with_unknown_words(token_ids)
        return token_ids[keep]
