"""The wide half of the model: which tokens and pairs of tokens a message has, each with a weight.

Presence and not counts, rare ones counting more, all of a message scaled to length 1: in that form evidence crosses to
mail of other people best (docs/experiments.md). Features are hashed (Weinberger et al. 2009), so that no list of them
has to be kept: two that meet in a bucket share a weight.

A message is read twice, with the same weights: as it is written, and with each word that the vocabulary does not know
whole as unknown. The pieces of names and terms say much about mail of the collections that were learned from, and
mislead on mail of others.

Shape letters: B messages, R their readings (2B), W windows, T tokens of the longest window, U pairs of neighbours in
it, P places where a feature stands, K pairs of a reading and a feature that it has, F buckets, V tokens of the
vocabulary.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from classifier.errors import ConfigError
from classifier.tokenizer import PADDING_ID

# 2^64 / golden ratio, as a signed number: Fibonacci hashing (Knuth, TAOCP 6.4); products wrap at 64 bits.
_MULTIPLIER = 0x9E3779B97F4A7C15 - (1 << 64)
_PAIR_SHIFT = 32
# What each reading of a message counts: as it is written, and with unknown words. Even shares are better on mail of
# others and worse on known mail (docs/experiments.md, 2026-11-29).
READING_SHARES = (2 / 3, 1 / 3)
READINGS = len(READING_SHARES)


@dataclass(frozen=True, slots=True)
class NgramConfig:
    """Size of the wide half."""

    bucket_bits: int = 20

    def __post_init__(self) -> None:
        if not 1 <= self.bucket_bits <= 30:
            raise ConfigError(f"bucket_bits must be 1 to 30, got {self.bucket_bits}")

    @property
    def buckets(self) -> int:
        return 1 << self.bucket_bits


class NgramEvidence(nn.Module):
    """Linear in what is there: sum of weight x rarity over a reading's features / norm of its rarities.

    The logit is the weighted mean of a message's readings, and the bias.
    """

    rarity_F: Tensor
    weight_F: Tensor
    bias: Tensor
    continues_V: Tensor  # whether a token goes on with the word of the one before

    def __init__(self, config: NgramConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("rarity_F", torch.zeros(config.buckets))
        self.register_buffer("weight_F", torch.zeros(config.buckets))
        self.register_buffer("bias", torch.zeros(1))
        self.register_buffer("continues_V", torch.zeros(vocabulary_size, dtype=torch.bool))

    def forward(self, token_ids_WT: Tensor, lengths_W: Tensor, message_W: Tensor, messages: int) -> Tensor:
        """Return one logit per message; arguments and result are those of SpamNetwork.forward."""
        reading_K, bucket_K = self.present(token_ids_WT, lengths_W, message_W)
        evidence_K = self._evidence(reading_K, bucket_K, messages)
        return evidence_K.new_zeros(messages).index_add(0, reading_K // READINGS, evidence_K) + self.bias

    def present(self, token_ids_WT: Tensor, lengths_W: Tensor, message_W: Tensor) -> tuple[Tensor, Tensor]:
        """Return each feature once for each reading that has it, by reading and then bucket.

        A pair whose tokens stand in two windows is not seen.

        Returns:
            The number of the reading (READINGS x message + 0 as written, 1 with unknown words) and the bucket of the
            feature, int64 (K,) each.
        """
        keys_K = _distinct(self._places(token_ids_WT, lengths_W, message_W).keys_P)
        return keys_K // self.config.buckets, keys_K % self.config.buckets

    def token_weights(self, token_ids_WT: Tensor, lengths_W: Tensor, message_W: Tensor, messages: int) -> Tensor:
        """Return how much each token adds to its message's logit, float32 (W, T), 0 at padding.

        What a feature adds is shared among the places where it stands, and between the two tokens of a pair. All of a
        message's weights add up to its logit less the bias.
        """
        places = self._places(token_ids_WT, lengths_W, message_W)
        keys_K, key_P, places_K = torch.unique(places.keys_P, return_inverse=True, return_counts=True)
        reading_K, bucket_K = keys_K // self.config.buckets, keys_K % self.config.buckets
        shares_P = (self._evidence(reading_K, bucket_K, messages) / places_K)[key_P]
        of_tokens, of_pairs = shares_P.split([int(places.tokens_WT.sum()), int(places.pairs_WU.sum())])
        weights_WT = torch.zeros(places.tokens_WT.shape, device=token_ids_WT.device)
        weights_WT[places.tokens_WT] += of_tokens
        weights_WT[:, :-1][places.pairs_WU] += of_pairs / 2
        weights_WT[:, 1:][places.pairs_WU] += of_pairs / 2
        return weights_WT.view(READINGS, *token_ids_WT.shape).sum(0)

    def _evidence(self, reading_K: Tensor, bucket_K: Tensor, messages: int) -> Tensor:
        """What each feature adds to its message's logit."""
        rarity_K = self.rarity_F[bucket_K]
        squares_R = rarity_K.new_zeros(READINGS * messages).index_add(0, reading_K, rarity_K.square())
        share_R = rarity_K.new_tensor(READING_SHARES).repeat(messages)
        scale_K = (share_R / squares_R.sqrt().clamp_min(1e-6))[reading_K]
        return rarity_K * self.weight_F[bucket_K] * scale_K

    def _places(self, token_ids_WT: Tensor, lengths_W: Tensor, message_W: Tensor) -> "_Places":
        """Both readings of every window: all windows as they are written, then all with unknown words."""
        unknown_WT = with_unknown_words(token_ids_WT, self.continues_V)
        first_W = READINGS * message_W
        return _places(
            torch.cat([token_ids_WT, unknown_WT]),
            torch.cat([lengths_W, lengths_W]),
            torch.cat([first_W, first_W + 1]),
            self.config,
        )


def with_unknown_words(token_ids_WT: Tensor, continues_V: Tensor) -> Tensor:
    """Return the windows with every token of a word of several tokens as unknown: V, which is no token's id."""
    continues_WT = continues_V[token_ids_WT]
    is_piece_WT = continues_WT.clone()
    is_piece_WT[:, :-1] |= continues_WT[:, 1:]
    return token_ids_WT.masked_fill(is_piece_WT, len(continues_V))


def bucket_of_token(token_ids: Tensor, config: NgramConfig) -> Tensor:
    """Return the bucket of each token by itself, int64, the shape of `token_ids`."""
    return _hash(token_ids + 1, config)


def bucket_of_pair(first_ids: Tensor, second_ids: Tensor, config: NgramConfig) -> Tensor:
    """Return the bucket of each pair of neighbours, int64, the shape of the arguments."""
    return _hash(((first_ids + 1) << _PAIR_SHIFT) + second_ids + 1, config)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where features stand."""

    keys_P: Tensor  # reading x buckets + bucket: first of all tokens, then of all pairs
    tokens_WT: Tensor  # whether a token stands there
    pairs_WU: Tensor  # whether a pair begins there


def _places(token_ids_WT: Tensor, lengths_W: Tensor, reading_W: Tensor, config: NgramConfig) -> _Places:
    position_T = torch.arange(token_ids_WT.shape[1], device=token_ids_WT.device)
    tokens_WT = (position_T < lengths_W[:, None]) & (token_ids_WT != PADDING_ID)
    pairs_WU = tokens_WT[:, 1:] & tokens_WT[:, :-1]
    first_W1 = reading_W[:, None] * config.buckets
    keys_WT = first_W1 + bucket_of_token(token_ids_WT, config)
    keys_WU = first_W1 + bucket_of_pair(token_ids_WT[:, :-1], token_ids_WT[:, 1:], config)
    return _Places(torch.cat([keys_WT[tokens_WT], keys_WU[pairs_WU]]), tokens_WT, pairs_WU)


def _distinct(keys_P: Tensor) -> Tensor:
    """Each key once, in ascending order. For 32 mails on a CPU: 0.010 ms a mail, 0.027 by torch.unique (ad hoc)."""
    if keys_P.device.type != "cpu" or not len(keys_P):
        distinct_K: Tensor = torch.unique(keys_P)
        return distinct_K
    keys = keys_P.numpy()
    narrow = keys.max() <= np.iinfo(np.int32).max  # half as wide, sorted in half the time
    keys = np.sort(keys.astype(np.int32) if narrow else keys)
    is_first = np.empty(len(keys), np.bool_)
    is_first[0] = True
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    return torch.from_numpy(keys[is_first].astype(np.int64))


def _hash(keys: Tensor, config: NgramConfig) -> Tensor:
    # The highest bits depend on all bits of the key. The shift keeps the sign: mask it away.
    return ((keys * _MULTIPLIER) >> (64 - config.bucket_bits)) & (config.buckets - 1)
