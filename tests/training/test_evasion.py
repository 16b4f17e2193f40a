"""Tricks against the filter, on the tests' own mail."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from classifier.artifact import active_folder
from classifier.message import MailFields, Message, read_mail
from classifier.pipeline import SpamClassifier
from classifier.text import HOMOGLYPH, INVISIBLE, SPACED, message_text
from tests.conftest import MAIL, mail_files
from training.cli import main
from training.corpus import Corpus
from training.errors import DataError
from training.evasion import evasions, good_words, held_out_spam, mails_at, measure_evasion
from training.tricks import (
    Trick,
    good_words_after,
    good_words_before,
    hidden_good_words,
    homoglyphs,
    image_only,
    leet,
    letter_spacing,
    zero_width,
)

SOURCES = [str(MAIL / "spam"), str(MAIL / "ham")]
GOOD = ["minutes", "linguist", "checkout"]
TEXT = MailFields(subject="Your parcel waits", text="Please confirm your address today, otherwise parcels return.")
PAGE = MailFields(
    html='<p class="confirm">Please <b>confirm</b> your address &nbsp; today</p><style>p {color:red}</style>'
)
RAW = [path.read_bytes() for path in mail_files("spam", "ham", "defects")]
ALL = evasions(GOOD)


def random() -> np.random.Generator:
    return np.random.default_rng(1)


def text_of(mail: bytes | MailFields) -> str:
    return message_text(read_mail(mail))


def read(mail: bytes | MailFields) -> Message:
    return read_mail(mail)


@pytest.mark.parametrize("name", ALL)
def test_every_mail_can_be_tricked(name: str) -> None:
    """Broken mail too comes back as a mail that can be read, the same one for the same seed."""
    mails: list[bytes | MailFields] = [*RAW, TEXT, PAGE]
    for mail in mails:
        tricked = ALL[name](mail, random())
        assert text_of(tricked)
        assert text_of(tricked) == text_of(ALL[name](mail, random())) or name.startswith("an image")


@pytest.mark.parametrize(
    ("trick", "mark"), [(zero_width, INVISIBLE), (homoglyphs, HOMOGLYPH), (letter_spacing, SPACED), (leet, "0")]
)
def test_word_tricks_reach_subject_text_and_html(trick: Trick, mark: str) -> None:
    """Words are changed where a reader sees them, from bytes as from fields; markup stays as it is."""
    raw = (MAIL / "spam" / "parcel-customs-fee.eml").read_bytes()
    for mail in (TEXT, PAGE, raw):
        changed = Counter(text_of(trick(mail, random()))) - Counter(text_of(mail))
        assert changed[mark] >= 1
    tricked = trick(PAGE, random())
    assert isinstance(tricked, MailFields)
    assert str(tricked.html).startswith('<p class="confirm">')
    assert str(tricked.html).endswith("<style>p {color:red}</style>")


def test_word_tricks_keep_structure_and_links() -> None:
    """A mail with parts keeps them: as many attachments, the same hosts."""
    for raw in (path.read_bytes() for path in mail_files("spam", "ham")):
        before, after = read(raw), read(leet(raw, random()))
        assert len(after.attachments) == len(before.attachments)
        assert {link.host for link in after.links} == {link.host for link in before.links}


@pytest.mark.parametrize("mail", [TEXT, PAGE, RAW[0], RAW[5]])
def test_good_words_stand_where_they_are_put(mail: bytes | MailFields) -> None:
    """Before means in front of all text, after behind it; all of them are there."""
    before = read(good_words_before(GOOD, 30)(mail, random())).text.split()
    after = read(good_words_after(GOOD, 30)(mail, random())).text.split()
    assert set(before[:30]) <= set(GOOD)
    assert set(after[-30:]) <= set(GOOD)


def test_hidden_words_are_hidden_unless_the_style_is_the_colour_of_the_page() -> None:
    """The reader of HTML sees through every style but white on white; mail without HTML becomes HTML."""
    trick = hidden_good_words(["xylophone"], 10)
    hidden = shown = 0
    for seed in range(20):
        message = read(trick(TEXT, np.random.default_rng(seed)))
        assert "Please confirm" in message.text
        hidden += message.hidden_text.count("xylophone")
        shown += message.text.count("xylophone")
    assert hidden + shown == 200
    assert hidden > shown


def test_an_image_alone_keeps_subject_and_link() -> None:
    """What is left is what such spam has: a subject, a link, an image."""
    raw = b"From: Shop <a@shop.example>\nSubject: Last chance\n\nBuy at https://shop.example/now please"
    message = read(image_only(raw, random()))
    assert message.subject == "Last chance"
    assert message.sender_address == "a@shop.example"
    assert message.text == ""
    assert [link.host for link in message.links] == ["shop.example"]
    assert [attachment.media_type for attachment in message.attachments] == ["image/png"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("smoke")
    assert main(["fit", "--preset", "smoke", "--data", *SOURCES, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def corpus(run_folder: Path) -> Corpus:
    return Corpus.load(run_folder / "prepared")


def test_mails_are_found_again_by_their_place(corpus: Corpus) -> None:
    """The bytes read anew are those that the prepared text was made of."""
    places = corpus.all_places()
    mails = mails_at(corpus, SOURCES, places)
    texts = corpus.texts()
    assert all(text_of(mails[place]) == texts[place] for place in places.tolist())


def test_other_sources_are_refused(corpus: Corpus) -> None:
    """Half of the mail cannot stand for all of it."""
    with pytest.raises(DataError, match="is not what the corpus was prepared from"):
        mails_at(corpus, SOURCES[1:], corpus.all_places())


def test_good_words_are_words_of_training_ham(corpus: Corpus) -> None:
    """A spammer's list has no word that only spam, or only held-out mail, uses."""
    texts = corpus.texts()
    ham = " ".join(texts[place] for place, part in enumerate(corpus.parts) if part == 0 and not corpus.is_spam[place])
    words = good_words(corpus, seed=1)
    assert len(words) > 100
    assert all(word in ham for word in words)


def test_a_classifier_of_words_falls_to_the_trick_that_hides_them(run_folder: Path, corpus: Corpus) -> None:
    """The rows compare the same spam with and without the trick."""
    classifier = SpamClassifier.load(active_folder(run_folder / "models"))
    mails = held_out_spam(corpus, SOURCES, 5, seed=1)
    tricks: dict[str, Trick] = {"nothing": lambda mail, random: mail, "emptied": lambda mail, random: b" "}
    rows = measure_evasion(classifier, mails, tricks, seed=1)
    assert [row["trick"] for row in rows] == ["untouched", "nothing", "emptied"]
    assert rows[0]["caught"] == rows[1]["caught"]
    assert rows[2]["caught"]["value"] == 0
    assert rows[2]["fell_by_points"] == 100 * rows[0]["caught"]["value"]


def test_the_command_writes_a_row_for_each_trick(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Model and mail in, a table for people and a file for the report out."""
    model = str(active_folder(run_folder / "models"))
    arguments = ["evasion", "--model", model, "--preset", "smoke", "--messages", "3", "--out", str(run_folder)]
    assert main([*arguments, "--data", *SOURCES]) == 0
    rows = json.loads((run_folder / "evasion.json").read_text())["rows"]
    assert [row["trick"] for row in rows] == ["untouched", *ALL]
    assert capsys.readouterr().out.count("\n") == 2 + len(rows)
