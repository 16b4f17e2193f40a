"""Mail to score."""

from classifier.encoding import PreparedMessage
from classifier.pipeline import SpamClassifier
from tests.classifier.models import ENCODING, small_artifact
from tests.conftest import mail_files


def test_scores_come_in_the_order_given_and_do_not_depend_on_company() -> None:
    """Every message of the tests, alone and all together in any order: the same to 1e-4."""
    classifier = SpamClassifier(small_artifact())
    prepared = [classifier.prepare(path.read_bytes()) for path in mail_files("spam", "ham", "defects")]
    alone = [classifier.score([message])[0].probability for message in prepared]
    together = [score.probability for score in classifier.score(prepared)]
    backwards = [score.probability for score in classifier.score(prepared[::-1])][::-1]
    assert max(alone) - min(alone) > 0.1
    for one, two, three in zip(alone, together, backwards, strict=True):
        assert abs(one - two) < 1e-4
        assert abs(one - three) < 1e-4


def test_no_messages_have_no_scores() -> None:
    """An empty batch is not an error."""
    assert SpamClassifier(small_artifact()).score([]) == []


def test_a_long_mail_says_that_it_was_cut() -> None:
    """`tokens` is what was read; `truncated` that there was more."""
    classifier = SpamClassifier(small_artifact())
    long = classifier.prepare(b"Subject: x\n\n" + b"some words again and again " * 200)
    short = classifier.prepare(b"Subject: x\n\nsome words")
    assert (long.tokens, long.truncated) == (ENCODING.max_tokens, True)
    assert short.tokens < ENCODING.max_tokens
    assert not short.truncated


def test_a_message_without_tokens_has_a_score() -> None:
    """Headers alone leave nothing to read; the network still answers."""
    score = SpamClassifier(small_artifact()).score([PreparedMessage([], False)])[0]
    assert 0 < score.probability < 1
