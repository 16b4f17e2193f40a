"""Text to ids."""

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from classifier.artifact import active_folder, bundled_models, load_artifact
from classifier.message import read_mail
from classifier.text import MARKERS, SUBJECT, URL, message_text
from classifier.tokenizer import PADDING_ID, TextTokenizer
from tests.conftest import corpus_mail, mail_files

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


def test_a_token_continues_a_word_unless_it_begins_one() -> None:
    """Punctuation is a word by itself, and so is a marker; padding goes on with nothing."""
    token_ids = [PADDING_ID, *TOKENIZER.encode(f"hello , {SUBJECT}world zq")]
    assert len(token_ids) > 6
    assert TOKENIZER.continues_word(token_ids) == [False] * 6 + [True] * (len(token_ids) - 6)


def test_no_mail_has_the_unknown_token() -> None:
    """Of the vocabulary that is bundled: it stands for words that are not to be known."""
    tokenizer = TextTokenizer.from_json(load_artifact(active_folder(bundled_models())).tokenizer_json)
    for text in (".", "...", "a.b", "e.g. this. And <.>", "\x00."):
        assert tokenizer.unknown_id not in tokenizer.encode(text)


@given(st.text(max_size=50))
@example("\x1f")
def test_every_text_has_ids_and_they_survive_saving(text: str) -> None:
    """No character is unknown; a saved tokenizer gives the same ids, alone and in a batch."""
    ids = TOKENIZER.encode(text)
    assert ids == TextTokenizer.from_json(TOKENIZER.to_json()).encode(text) == TOKENIZER.encode_batch([text])[0]
    # Python alone takes these four for white space.
    assert bool(ids) == any(character in "\x1c\x1d\x1e\x1f" or not character.isspace() for character in text)
    assert all(0 < token_id < TOKENIZER.vocabulary_size for token_id in ids)


def test_a_mail_cannot_write_padding() -> None:
    """The name of the padding token in a mail is text like any other."""
    assert 0 not in TOKENIZER.encode("a <pad> b<pad>")
    assert TOKENIZER.encode("a <pad> b<pad>") == TOKENIZER.encode_batch(["a <pad> b<pad>"])[0]


@given(st.text(alphabet="ab0,.'\u2019\u3002<>_\u00e4\u4e00\u0301\u00a0\u2003\n " + SUBJECT + URL, max_size=50))
def test_the_ids_of_a_text_are_the_ids_of_its_pieces(text: str) -> None:
    """Remembering the ids of pieces changes no id: the library gives the same for the whole text."""
    assert TOKENIZER.encode(text) == TOKENIZER.encode_batch([text])[0]


def test_the_bundled_tokenizer_gives_the_same_ids_whole_and_in_pieces() -> None:
    """On mail of every kind that the tests have, and again when every piece is remembered."""
    tokenizer = TextTokenizer.from_json(load_artifact(active_folder(bundled_models())).tokenizer_json)
    texts = [message_text(read_mail(path.read_bytes())) for path in mail_files("spam", "ham", "defects")]
    for _ in range(2):
        assert list(map(tokenizer.encode, texts)) == tokenizer.encode_batch(texts)


def test_real_mail_has_the_same_ids_whole_and_in_pieces(corpora: Path) -> None:
    """The same on every tenth mail of all raw corpora."""
    tokenizer = TextTokenizer.from_json(load_artifact(active_folder(bundled_models())).tokenizer_json)
    texts = [message_text(read_mail(raw)) for raw in list(corpus_mail(corpora))[::10]]
    assert list(map(tokenizer.encode, texts)) == tokenizer.encode_batch(texts)
