"""Text to ids."""

from hypothesis import given
from hypothesis import strategies as st

from classifier.text import MARKERS, SUBJECT, URL
from classifier.tokenizer import TextTokenizer

TOKENIZER = TextTokenizer.learn(iter(["hello world , the meeting moves to ten o ' clock "] * 5), 400)


def test_spacing_at_punctuation_teaches_nothing() -> None:
    """Corpora that were split at punctuation and those that were not have the same ids."""
    assert TOKENIZER.encode("hello, world") == TOKENIZER.encode("hello , world")


def test_a_marker_is_one_id_wherever_it_stands() -> None:
    """Markers never melt into the words around them."""
    ids = TOKENIZER.encode(f"{SUBJECT} hello{URL}world")
    assert ids[0] == TOKENIZER.marker_ids[SUBJECT]
    assert TOKENIZER.marker_ids[URL] in ids
    assert len(set(TOKENIZER.marker_ids.values())) == len(MARKERS)


@given(st.text(max_size=50))
def test_every_text_has_ids_and_they_survive_saving(text: str) -> None:
    """No character is unknown; a saved tokenizer gives the same ids, alone and in a batch."""
    ids = TOKENIZER.encode(text)
    assert ids == TextTokenizer.from_json(TOKENIZER.to_json()).encode(text) == TOKENIZER.encode_batch([text])[0]
    assert bool(ids) == bool(text.strip())
    assert all(0 < token_id < TOKENIZER.vocabulary_size for token_id in ids)
