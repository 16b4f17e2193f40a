"""Finds near copies: every message gets the number of its cluster, so that a cluster stays on one side of a split.

Two messages are near copies when
    - their three-word runs overlap by half or more (Jaccard, estimated by min-hash), or
    - they begin with the same 40 words, or
    - they are shorter than that and have the same words, or no words and the same text.
Copies of copies are one cluster. Words are lower case; page addresses, digits and punctuation do not count.

Shape letters: N messages, S those that are long enough for a signature, K hash functions, P pairs.
"""

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

from classifier.text import BODY, FIELD_MARKERS, SUBJECT

SIMILAR_FROM = 0.5
FIRST_WORDS = 40
SHORT_WORDS = 8

HASHES = 64
# 21 bands of 3: a pair with Jaccard 0.5 shares a band with probability 0.94, one with 0.2 with 0.16.
_BAND_ROWS = 3
_LEADERS = 32
# Hashes that are sorted in memory together; as many ranges of hash values are gone through as that takes.
_SORTED_TOGETHER = 4_000_000

_URL = re.compile(r"(?:https?://|www\.)\S+")
_WORD = re.compile(r"[^\W\d_]+")
_SEED = 1

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


class Signature(NamedTuple):
    """What a text is compared by."""

    key: int  # the same for all that begin with the same words
    smallest_K: NDArray[np.uint32] | None  # of each hash function over the three-word runs; none of a short text


class Deduplicator:
    """Takes texts one at a time, keeps a signature of each (300 bytes), and clusters them at the end.

    The same texts in the same order give the same clusters, on any machine.
    """

    def __init__(self) -> None:
        self._signatures_NK: list[NDArray[np.uint32] | None] = []
        self._keys_N: list[int] = []

    def __len__(self) -> int:
        return len(self._keys_N)

    def add(self, text: str) -> None:
        """Take the next message; private-use characters (field markers) separate words."""
        self.add_signed(sign(text))

    def add_signed(self, signature: Signature) -> None:
        """Take the next message by what `sign` returned of it, in whatever process."""
        self._keys_N.append(signature.key)
        self._signatures_NK.append(signature.smallest_K)

    def signatures(self) -> tuple[Hashes, Places, NDArray[np.uint32]]:
        """Return the keys (N,), the places of the messages that have a signature (S,), and the signatures (S, K)."""
        rows_S = np.array([row for row, signature in enumerate(self._signatures_NK) if signature is not None], np.int64)
        signatures = [signature for signature in self._signatures_NK if signature is not None]
        signatures_SK = np.stack(signatures) if signatures else np.zeros((0, HASHES), np.uint32)
        return np.array(self._keys_N, np.uint64), rows_S, signatures_SK

    def clusters(self) -> Places:
        """Return the cluster of each message, int64 (N,), numbered in the order of their first messages."""
        parents_N = np.arange(len(self), dtype=np.int64)
        _unite(parents_N, *self.signatures(), _SORTED_TOGETHER)
        return _numbered(parents_N)[0]


def sign(text: str) -> Signature:
    """Return the signature of a text: nearly all the work there is, up to a millisecond."""
    words = words_of(text)
    return Signature(_key(words, text), _smallest(words) if len(words) >= SHORT_WORDS else None)


def clusters_on_disk(
    keys_N: Hashes, rows_S: Places, signatures_SK: NDArray[np.uint32], scratch: Path, together: int = _SORTED_TOGETHER
) -> tuple[Places, int]:
    """Return what `clusters` returns for these signatures, and how many clusters there are.

    The arrays may lie in files and be larger than memory. The result and what is needed on the way do, in `scratch`:
    24 bytes a message.
    """
    parents_N: Places = np.memmap(scratch / "parents", np.int64, "w+", shape=(max(1, len(keys_N)),))[: len(keys_N)]
    for start in range(0, len(keys_N), together):
        end = min(start + together, len(keys_N))
        parents_N[start:end] = np.arange(start, end)
    _unite(parents_N, keys_N, rows_S, signatures_SK, together)
    return _numbered(parents_N, together)


def readable(text: str) -> str:
    """Subject and body of a normalised text: hidden text that a campaign shares would make one cluster of all kinds."""
    fields = re.split(f"(?=[{''.join(FIELD_MARKERS)}])", text)
    return " ".join(field for field in fields if field.startswith((SUBJECT, BODY)))


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


def _smallest(words: list[str]) -> NDArray[np.uint32]:
    runs = {
        f"{one} {two} {three}".encode("utf-8", "surrogatepass")
        for one, two, three in zip(words, words[1:], words[2:], strict=False)
    }
    minhash = _no_runs().copy()
    minhash.update_batch(list(runs))
    return np.asarray(minhash.hashvalues, np.uint32)


@cache
def _no_runs() -> MinHash:
    return MinHash(num_perm=HASHES, seed=_SEED)


def _hash(text: str) -> int:
    # Lone surrogates come out of broken mail.
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _unite(parents_N: Places, keys_N: Hashes, rows_S: Places, signatures_SK: NDArray[np.uint32], together: int) -> None:
    """Join all near copies, in place; a parent is the smaller one, so a root is the first message of its cluster."""
    for bucket in _buckets(keys_N, together):
        _join(parents_N, np.stack([np.full(len(bucket) - 1, bucket[0]), bucket[1:]]))
    bands_S = np.zeros(len(rows_S), np.uint64) if len(rows_S) <= together else _beside(parents_N, len(rows_S))
    for first in range(0, HASHES - _BAND_ROWS + 1, _BAND_ROWS):
        for start in range(0, len(rows_S), together):
            band = np.ascontiguousarray(signatures_SK[start : start + together, first : first + _BAND_ROWS])
            bands_S[start : start + together] = _band_key(band.astype(np.uint64))
        for bucket in _buckets(bands_S, together):
            for pairs in _verified(bucket, signatures_SK):
                _join(parents_N, rows_S[pairs])


def _beside(parents_N: Places, count: int) -> Hashes:
    """An array in a file beside the parents, where these are in one."""
    if isinstance(parents_N, np.memmap) and parents_N.filename:
        return np.memmap(Path(parents_N.filename).with_name("bands"), np.uint64, "w+", shape=(count,))
    return np.zeros(count, np.uint64)


def _band_key(band: Hashes) -> Hashes:
    return _mix(_mix(band[:, 0]) + band[:, 1] * np.uint64(3)) + band[:, 2] * np.uint64(5)


def _join(parents_N: Places, pairs: Places) -> None:
    """Join the pairs (2, P), in place (union-find, the smaller place stands for both)."""

    def root(place: int) -> int:
        while (parent := int(parents_N[place])) != place:
            parents_N[place] = parents_N[parent]
            place = int(parents_N[place])
        return place

    for one, other in zip(pairs[0].tolist(), pairs[1].tolist(), strict=True):
        first, second = root(one), root(other)
        parents_N[max(first, second)] = min(first, second)


def _numbered(parents_N: Places, together: int = _SORTED_TOGETHER) -> tuple[Places, int]:
    """Turn parents into numbers of clusters, in the order of their first messages, in place; return how many, too."""
    count = 0
    for start in range(0, len(parents_N), together):
        places = np.arange(start, min(start + together, len(parents_N)), dtype=np.int64)
        parents = np.array(parents_N[places])
        is_root = parents == places
        # What is before this piece has its number by now; parents are smaller, so few steps lead there or to a root.
        inside = parents.copy()
        while True:
            within = inside >= start
            further = inside.copy()
            further[within] = parents[inside[within] - start]
            if np.array_equal(further, inside):
                break
            inside = further
        numbers = np.cumsum(is_root) - 1 + count
        count += int(is_root.sum())
        result = np.empty_like(places)
        within = inside >= start
        result[within] = numbers[inside[within] - start]
        result[~within] = parents_N[inside[~within]]
        parents_N[places] = result
    return parents_N, count


def _mix(values: Hashes) -> Hashes:
    """Spread 64-bit values (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _buckets(keys: Hashes, together: int) -> Iterator[Places]:
    """Yield the places of each key that occurs more than once, in order, a range of hash values at a time."""
    ranges = max(1, -(-len(keys) // together))
    for number in range(ranges):
        chosen = np.arange(len(keys), dtype=np.int64) if ranges == 1 else _in_range(keys, number, ranges, together)
        order = chosen[np.argsort(keys[chosen], kind="stable")]
        bounds = np.flatnonzero(np.diff(keys[order])) + 1
        sizes = np.diff(np.concatenate(([0], bounds, [len(order)])))
        starts = np.concatenate(([0], bounds))
        for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
            yield order[start : start + size]


def _in_range(keys: Hashes, number: int, ranges: int, together: int) -> Places:
    """The places of the keys that fall into a range, `together` of them looked at at a time."""
    found = [
        np.flatnonzero(_mix(np.array(keys[start : start + together])) % np.uint64(ranges) == number) + start
        for start in range(0, len(keys), together)
    ]
    return np.concatenate(found).astype(np.int64)


def _verified(bucket: Places, signatures_SK: NDArray[np.uint32]) -> list[Places]:
    """Join the members of a bucket to leaders that they agree with; what agrees with no leader leads next."""
    found = []
    for _ in range(_LEADERS):
        if len(bucket) < 2:
            break
        agree = (signatures_SK[bucket[1:]] == signatures_SK[bucket[0]]).mean(axis=1) >= SIMILAR_FROM
        members = bucket[1:][agree]
        if len(members):
            found.append(np.stack([np.full(len(members), bucket[0]), members]))
        bucket = bucket[1:][~agree]
    return found
