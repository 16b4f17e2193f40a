"""The normalised text with its way back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.text import ADDRESS, CAPITALS, HOMOGLYPH, INVISIBLE, LONG_WORD, SPACED, STYLED, URL
from classifier.traced_text import Traced, traced_normalise, traced_plain
from tests.classifier.test_text import PIECES

HEAD, TAIL = 200, 100


@given(st.lists(st.sampled_from(PIECES), max_size=200).map("".join))
@settings(max_examples=400, deadline=None)
def test_each_character_stands_for_a_stretch(text: str) -> None:
    """Whatever is cut, folded, marked or undone: within the source, and in its order."""
    traced = traced_normalise(Traced.of(text), HEAD, TAIL)
    assert len(traced.starts_C) == len(traced.ends_C) == len(traced.text)
    assert all(0 <= start <= end <= len(text) for start, end in zip(traced.starts_C, traced.ends_C, strict=True))
    assert (traced.starts_C[1:] >= traced.starts_C[:-1]).all()


@pytest.mark.parametrize(
    ("written", "word", "stands_for"),
    [
        ("please verify NOW", "verify", "verify"),
        ("> > quoted\n>more", "more", "more"),
        ("a   b\n\n c", "c", "c"),
        ("in 2024", "0000", "2024"),
        ("account 12345678901!", "000000", "12345678901"),
        ("see http://a.example/x?y=1 now", URL, "http://a.example/x?y=1"),
        ("to a@b.example", ADDRESS, "a@b.example"),
        ("p\u0430ypal", "paypal", "p\u0430ypal"),
        ("p\u0430ypal", HOMOGLYPH, "p\u0430ypal"),
        ("V\u200bia\u200bgra", "viagra", "V\u200bia\u200bgra"),
        ("V\u200bia\u200bgra", INVISIBLE, "V\u200bia\u200bgra"),
        ("\U0001d405\U0001d42b\U0001d41e\U0001d41e", "free", "\U0001d405\U0001d42b\U0001d41e\U0001d41e"),
        ("\uff26\uff52\uff45\uff45", STYLED, "\uff26\uff52\uff45\uff45"),
        ("V i a g r a now", "viagra", "V i a g r a"),
        ("V i a g r a now", SPACED, "V i a g r a"),
        ("BUY NOW please", "buy", "BUY"),
        ("BUY NOW please", CAPITALS, "BUY NOW"),
        ("o\ufb03ce \u00bd", "office", "o\ufb03ce"),  # a ligature is three letters
        ("\u0130stanbul", "i\u0307stanbul", "\u0130stanbul"),  # one capital, two characters in lower case
        ("stop!!!!!! now", "!!!", "!!!"),
        ("x " + "ab" * 50, LONG_WORD, "ab" * 50),
        ("x " + "ab" * 50, "ab" * 20, "ab" * 20),
    ],
)
def test_what_is_read_stands_for_what_was_written(written: str, word: str, stands_for: str) -> None:
    """The stretch of the source for a word, a fold or a mark is what a person would point at."""
    traced = traced_normalise(Traced.of(written), 10_000, 0)
    start = traced.text.index(word)
    assert written[traced.starts_C[start] : traced.ends_C[start + len(word) - 1]] == stands_for


def test_the_way_back_leads_past_what_is_cut() -> None:
    """Of a long text head and tail are read, and the tail knows that it is the tail."""
    text = "first " + "x y " * 500 + "last"
    traced = traced_normalise(Traced.of(text), 20, 10)
    start = traced.text.index("last")
    assert text[traced.starts_C[start] : traced.ends_C[start + 3]] == "last"
    assert traced.starts_C[start] == len(text) - 4


@given(st.text(max_size=300))
def test_addresses_and_hosts_are_traced(text: str) -> None:
    """As they are written in the text that is scored: 200 characters, lower case, no digits, no marks."""
    traced = traced_plain(Traced.of(text))
    assert len(traced.starts_C) == len(traced.text)
    assert all(text[start:end] for start, end in zip(traced.starts_C, traced.ends_C, strict=True))
