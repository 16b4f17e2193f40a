"""Other filters, by their real programs where these are installed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from classifier.message import MailFields, parse_message
from tests.conftest import MAIL, mail_files
from training.config import load_preset
from training.errors import DataError, PeerError
from training.measures import one_minus_roca
from training.peers import Bogofilter, FastText, SpamAssassin, as_raw, require, write_mail_files
from training.prepare import prepare

needs_bogofilter = pytest.mark.skipif(
    not shutil.which("bogofilter"), reason="bogofilter is not installed: apt-get install bogofilter to run this test"
)
needs_spamassassin = pytest.mark.skipif(
    not shutil.which("spamd", path="/usr/sbin:/usr/bin"),
    reason="spamd is not installed: apt-get install spamd to run this test",
)


@needs_bogofilter
def test_bogofilter_learns_and_scores(tmp_path: Path) -> None:
    """Trained on every other message it gives each of the rest its own score, in the order asked for."""
    spam, ham = mail_files("spam"), mail_files("ham")
    peer = Bogofilter(tmp_path / "words")
    peer.train(spam[::2], ham[::2])
    unseen = [*spam[1::2], *ham[1::2]]
    scores = peer.score(unseen)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert one_minus_roca(scores, np.arange(len(unseen)) < len(spam[1::2])) < 40  # 51 messages teach it little
    assert peer.score(unseen[::-1]).tolist() == scores[::-1].tolist()


@needs_bogofilter
def test_bogofilter_starts_with_an_empty_list(tmp_path: Path) -> None:
    """What was learned in a folder before does not help the next one there."""
    peer = Bogofilter(tmp_path / "words")
    peer.train(mail_files("spam"), mail_files("ham"))
    unlearned = Bogofilter(tmp_path / "words")
    unlearned.train([], [])
    assert len(set(unlearned.score(mail_files("spam")).tolist())) == 1


@pytest.mark.skipif(
    not shutil.which("fasttext"), reason="fasttext is not installed: apt-get install fasttext to run this test"
)
def test_fasttext_learns_and_scores(tmp_path: Path) -> None:
    """Texts of several lines are one each; the class it saw them in gets the higher logit, always the same."""
    spam = ["win a prize\nnow", "cheap pills now"] * 20
    ham = ["minutes of the\nmeeting", "see you at lunch"] * 20
    scores = []
    for name in ("one", "two"):
        peer = FastText(tmp_path / name)
        peer.train([*spam, *ham], [True] * 40 + [False] * 40)
        scores.append(peer.score(["a prize\nof pills", "lunch\nmeeting", ""]))
    assert scores[0][0] > 0 > scores[0][1]
    assert scores[0].tolist() == scores[1].tolist()


@needs_spamassassin
def test_spamassassin_scores_without_the_network() -> None:
    """Each message gets the points of the local rules, more for an advance-fee letter than for a bank statement."""
    mails = [MAIL / "spam" / "pharma-plain.eml", MAIL / "ham" / "bank-statement-ready.eml"]
    spam, ham = SpamAssassin().score(mails)
    assert spam > ham


def test_a_missing_filter_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what to install."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(PeerError, match=r"spamd is not installed: apt-get install spamd, or leave this filter out"):
        require("spamd")


def test_verdicts_of_other_filters_are_not_shown() -> None:
    """Headers in which a filter wrote its verdict are gone, with their folded lines; the body is as it was."""
    headers = b"From: a@example.org\nX-Spam-Status: No,\n\tscore=-1\nSubject: x\nX-Mimecast-Spam-Score: 0\n"
    raw = headers + b"\nX-Spam-Flag: YES\n"
    assert as_raw(raw) == b"From: a@example.org\nSubject: x\n\nX-Spam-Flag: YES\n"
    assert as_raw(raw.replace(b"\n", b"\r\n")) == b"From: a@example.org\r\nSubject: x\r\n\r\nX-Spam-Flag: YES\r\n"


def test_bare_fields_become_a_message_that_says_the_same() -> None:
    """Subject, sender and body survive, in any script; a line end in a subject opens no header."""
    fields = MailFields(subject="käse\nX-Evil: 1", sender="Bo <bo@example.org>", text="Grüße, 再见")
    message = parse_message(as_raw(fields))
    assert (message.subject, message.sender_address) == ("käse X-Evil: 1", "bo@example.org")
    assert message.text.strip() == "Grüße, 再见"


def test_mail_files_are_the_messages_of_the_corpus(tmp_path: Path) -> None:
    """The file of a place holds the mail of that place; without its sources a corpus cannot be written out."""
    sources = [str(MAIL / "spam"), str(MAIL / "ham")]
    corpus, _ = prepare(sources, load_preset("smoke"), tmp_path / "prepared")
    files = write_mail_files(sources, corpus, tmp_path / "mail")
    for place, message in enumerate(corpus.messages):
        original = MAIL / message.source.rpartition(":")[2] / message.id
        assert files.path(place).read_bytes() == as_raw(original.read_bytes())
    with pytest.raises(DataError, match="not in the sources any more"):
        write_mail_files(sources[:1], corpus, tmp_path / "half")
