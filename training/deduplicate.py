"""Finds near copies: every message gets the number of its cluster, so that a cluster stays on one side of a split.

Two messages are near copies when
    - their three-word runs overlap by half or more (Jaccard, estimated by min-hash), or
    - they begin with the same 40 words, or
    - they are shorter than that and have the same words, or no words and the same text.
Copies of copies are one cluster. Words are lower case; page addresses, digits and punctuation do not count.

Shape letters: N messages, K hash functions, R runs of one message.
"""

import hashlib
import re

import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

SIMILAR_FROM = 0.5
FIRST_WORDS = 40
SHORT_WORDS = 8

_HASHES = 64
# 21 bands of 3: a pair with Jaccard 0.5 shares a band with probability 0.94, one with 0.2 with 0.16.
_BAND_ROWS = 3
_LEADERS = 32

_URL = re.compile(r"(?:https?://|www\.)\S+")
_WORD = re.compile(r"[^\W\d_]+")
_SEED = 1

Hashes = NDArray[np.uint64]


class Deduplicator:
    """Takes texts one at a time, keeps a signature of each (300 bytes), and clusters them at the end.

    The same texts in the same order give the same clusters, on any machine.
    """

    def __init__(self) -> None:
        self._empty = MinHash(num_perm=_HASHES, seed=_SEED)
        self._signatures_NK: list[NDArray[np.uint32] | None] = []
        self._keys_N: list[int] = []

    def __len__(self) -> int:
        return len(self._keys_N)

    def add(self, text: str) -> None:
        """Take the next message; private-use characters (field markers) separate words."""
        words = words_of(text)
        self._keys_N.append(_key(words, text))
        self._signatures_NK.append(self._signature(words) if len(words) >= SHORT_WORDS else None)

    def clusters(self) -> NDArray[np.int64]:
        """Return the cluster of each message, int64 (N,), numbered in the order of their first messages."""
        count = len(self)
        if not count:
            return np.zeros(0, np.int64)
        pairs = [_same_key_pairs(np.array(self._keys_N, np.uint64)), *self._similar_pairs()]
        left, right = np.concatenate(pairs, axis=1)
        # The smallest place stands for its cluster, so numbering the roots numbers clusters by their first messages.
        roots_N = _united(count, left.tolist(), right.tolist())
        return np.unique(roots_N, return_inverse=True)[1].astype(np.int64)

    def _signature(self, words: list[str]) -> NDArray[np.uint32]:
        """Return the smallest value of each hash function over the three-word runs, uint32 (K,)."""
        runs = {
            f"{one} {two} {three}".encode("utf-8", "surrogatepass")
            for one, two, three in zip(words, words[1:], words[2:], strict=False)
        }
        minhash = self._empty.copy()
        minhash.update_batch(list(runs))
        return np.asarray(minhash.hashvalues, np.uint32)

    def _similar_pairs(self) -> list[NDArray[np.int64]]:
        """Return pairs (2, P) of messages whose signatures agree in half of their values or more."""
        rows = np.array([row for row, signature in enumerate(self._signatures_NK) if signature is not None], np.int64)
        if len(rows) < 2:
            return []
        signatures_NK = np.stack([signature for signature in self._signatures_NK if signature is not None])
        found = []
        for start in range(0, _HASHES - _BAND_ROWS + 1, _BAND_ROWS):
            band = np.ascontiguousarray(signatures_NK[:, start : start + _BAND_ROWS]).astype(np.uint64)
            key = _mix(_mix(band[:, 0]) + band[:, 1] * np.uint64(3)) + band[:, 2] * np.uint64(5)
            for bucket in _buckets(key):
                found += _verified(bucket, signatures_NK)
        return [rows[np.concatenate(found, axis=1)]] if found else []


def words_of(text: str) -> list[str]:
    """Return the words that count: lower case, no page addresses, digits, punctuation or field markers."""
    return _WORD.findall(_URL.sub(" ", text.lower()))


def _key(words: list[str], text: str) -> int:
    """Return a hash of what puts two messages into one cluster: the first words, or all words of a shorter one."""
    if not words:
        return _hash("\0" + " ".join(text.split()))
    if len(words) < FIRST_WORDS:
        return _hash("\1" + " ".join(words))
    return _hash(" ".join(words[:FIRST_WORDS]))


def _hash(text: str) -> int:
    # Lone surrogates come out of broken mail.
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _united(count: int, left: list[int], right: list[int]) -> NDArray[np.int64]:
    """Return the smallest member of each place's set after joining the pairs (union-find), int64 (count,)."""
    parent = list(range(count))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    for one, other in zip(left, right, strict=True):
        first, second = root(one), root(other)
        parent[max(first, second)] = min(first, second)
    return np.array([root(place) for place in range(count)], np.int64)


def _mix(values: Hashes) -> Hashes:
    """Spread 64-bit values (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _buckets(keys: Hashes) -> list[NDArray[np.int64]]:
    """Return the places of each key that occurs more than once."""
    order = np.argsort(keys, kind="stable")
    bounds = np.flatnonzero(np.diff(keys[order])) + 1
    sizes = np.diff(np.concatenate(([0], bounds, [len(keys)])))
    starts = np.concatenate(([0], bounds))
    return [order[start : start + size] for start, size in zip(starts, sizes, strict=True) if size > 1]


def _same_key_pairs(keys: Hashes) -> NDArray[np.int64]:
    """Return pairs (2, P) that join all messages of one key to its first."""
    pairs = [np.stack([np.full(len(bucket) - 1, bucket[0]), bucket[1:]]) for bucket in _buckets(keys)]
    return np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)


def _verified(bucket: NDArray[np.int64], signatures_NK: NDArray[np.uint32]) -> list[NDArray[np.int64]]:
    """Join the members of a bucket to leaders that they agree with; what agrees with no leader leads next."""
    found = []
    for _ in range(_LEADERS):
        if len(bucket) < 2:
            break
        agree = (signatures_NK[bucket[1:]] == signatures_NK[bucket[0]]).mean(axis=1) >= SIMILAR_FROM
        members = bucket[1:][agree]
        if len(members):
            found.append(np.stack([np.full(len(members), bucket[0]), members]))
        bucket = bucket[1:][~agree]
    return found
