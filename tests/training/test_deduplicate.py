"""Near copies share a cluster, other messages do not."""

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.deduplicate import Deduplicator, words_of

LETTERS = "abcdefghijklmnop"


def clusters_of(texts: list[str]) -> NDArray[np.int64]:
    deduplicator = Deduplicator()
    for text in texts:
        deduplicator.add(text)
    return deduplicator.clusters()


def prose(seed: int, count: int = 120) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices(LETTERS, k=5)) for _ in range(count)]


def test_words_leave_out_addresses_digits_and_markers() -> None:
    """What spammers vary between copies does not count, and field markers separate words."""
    assert words_of("Buy\ue000NOW, 50% at https://x.example/a?b=1 or www.y.example don't") == [
        "buy", "now", "at", "or", "don", "t",
    ]  # fmt: skip


def test_a_changed_word_and_another_address_keep_the_cluster() -> None:
    """The first words differ and the rest is the same."""
    words = prose(1)
    other = ["Dear", "Ann", *words[:60], "http://z.example/9", "77", *words[62:]]
    assert clusters_of([" ".join(words), " ".join(prose(2)), " ".join(other)]).tolist() == [0, 1, 0]


def test_the_same_beginning_is_one_cluster() -> None:
    """Forty words in common at the start are enough, whatever follows."""
    start = prose(3, 40)
    assert clusters_of([" ".join(start + prose(4)), " ".join(start + prose(5))]).tolist() == [0, 0]


def test_half_a_text_in_common_is_found_and_a_fifth_is_not() -> None:
    """Jaccard about 0.6 joins, about 0.1 does not."""
    shared = prose(6, 300)
    texts = [" ".join(prose(seed, n) + shared) for seed, n in [(7, 90), (8, 90)]]
    assert clusters_of(texts).tolist() == [0, 0]
    texts = [" ".join(prose(seed, 1_200) + shared) for seed in (7, 8)]
    assert clusters_of(texts).tolist() == [0, 1]


def test_short_messages_need_the_same_words() -> None:
    """Below eight words only equality counts; digits do not."""
    texts = ["Call me at 5", "call me, at 7!", "call me now", "", " ", "555 12", "555 13"]
    assert clusters_of(texts).tolist() == [0, 0, 1, 2, 2, 3, 4]


def test_nothing_has_no_clusters() -> None:
    """No messages, no clusters."""
    assert clusters_of([]).shape == (0,)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=20))
def test_clusters_are_numbered_by_first_message_and_copies_are_together(texts: list[str]) -> None:
    """Any text is taken, every copy is with its original, and the same input has the same end."""
    clusters = clusters_of([*texts, *texts])
    assert clusters[: len(texts)].tolist() == clusters[len(texts) :].tolist()
    assert clusters.tolist() == clusters_of([*texts, *texts]).tolist()
    seen = list(dict.fromkeys(clusters.tolist()))
    assert seen == list(range(len(seen)))


def test_a_lone_surrogate_is_no_trouble() -> None:
    """Text out of broken mail may hold half a surrogate pair."""
    assert clusters_of(["\ud800 " + " ".join(prose(9)), "\ud800" * 3]).tolist() == [0, 1]
