"""From a mail to its reasons: what is shown, where the words stand, and what is odd about it."""

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import reasons
from classifier.message import Attachment, MailFields, Message, message_from_fields, read_mail
from classifier.pipeline import SpamClassifier
from classifier.reasons import MAX_REASONS, ExplainableMessage, Explanation, WeighedMessage
from classifier.shown_message import BODY_HEAD, BODY_TAIL, GAP, OTHER_HEAD, SHOWN_FIELDS, show_message
from classifier.text import message_text
from classifier.verdict import Verdict
from tests.classifier.models import small_artifact
from tests.classifier.test_text import PIECES
from tests.conftest import mail_files
from tests.hostile_mail import every_kind

MOST_SHOWN = BODY_HEAD + BODY_TAIL + len(GAP) + OTHER_HEAD * (len(SHOWN_FIELDS) - 1)


@pytest.fixture(scope="module")
def classifier() -> SpamClassifier:
    return SpamClassifier(small_artifact())


def explained(classifier: SpamClassifier, mail: bytes | MailFields) -> Explanation:
    (weighed,) = classifier.weigh([classifier.prepare_to_explain(mail)])
    return weighed.explanation()


def check(explanation: Explanation) -> None:
    """What holds for every explanation."""
    assert set(explanation.shown) <= set(SHOWN_FIELDS)
    assert sum(map(len, explanation.shown.values())) <= MOST_SHOWN
    assert len(explanation.reasons) <= MAX_REASONS
    strengths = [abs(reason.weight) for reason in explanation.reasons]
    assert strengths == sorted(strengths, reverse=True)
    for reason in explanation.reasons:
        assert 0 <= reason.start < reason.end
        assert explanation.shown[reason.field][reason.start : reason.end] == reason.text
    ordered = sorted(explanation.reasons, key=lambda reason: (reason.field, reason.start))
    for first, second in itertools.pairwise(ordered):
        assert first.field != second.field or first.end <= second.start
    for fact in explanation.facts:
        assert fact.text.endswith((".", "…."))
        assert len(fact.text) < 400


written = st.lists(st.sampled_from([*PIECES, "claim", "your", "prize", " ", "é", "中文", "한국", "🎁", "<pad>"])).map(
    "".join
)


@settings(max_examples=200, deadline=None)
@given(subject=written, sender=written, reply_to=written, text=written, html=written)
def test_spans_cut_the_shown_text(
    classifier: SpamClassifier, subject: str, sender: str, reply_to: str, text: str, html: str
) -> None:
    """Whatever is written, reasons are stretches of what is shown, side by side, and the same tokens are scored."""
    mail = MailFields(subject=f"x {subject}", sender=f"{sender} <a@{sender}>", reply_to=reply_to, text=text, html=html)
    message = message_from_fields(mail)
    assert show_message(message).text == message_text(message)
    check(explained(classifier, mail))
    prepared, explainable = classifier.prepare(mail), classifier.prepare_to_explain(mail)
    assert list(prepared.token_ids) == list(explainable.token_ids)
    assert (prepared.truncated, prepared.defects) == (explainable.truncated, explainable.defects)


@pytest.mark.parametrize("path", mail_files("spam", "ham", "defects"), ids=lambda path: path.stem)
def test_the_mails_of_the_tests_are_explained(classifier: SpamClassifier, path: Path) -> None:
    """The network's text is that of scoring, and every span is right, broken mail or not."""
    message = read_mail(path.read_bytes())
    assert show_message(message).text == message_text(message)
    check(explained(classifier, path.read_bytes()))


def test_hostile_mail_is_explained_in_bounded_time(classifier: SpamClassifier) -> None:
    """Of each kind, without an error; the slowest takes about 2 s (docs/reasons.md)."""
    for name, raw in every_kind():
        started = time.process_time()
        check(explained(classifier, raw))
        assert time.process_time() - started < 10, name


def test_all_weights_add_up_to_the_log_odds(classifier: SpamClassifier) -> None:
    """Of the calibrated probability, from those of nothing; where the LSTM does not read, from others, but always."""
    prepared = [classifier.prepare_to_explain(path.read_bytes()) for path in mail_files("spam", "ham")]
    scores, full = classifier.score(prepared), classifier.score(prepared, read_all=True)
    starts: dict[bool | Verdict, list[float]] = {}
    for score, read, weighed in zip(scores, full, classifier.weigh(prepared), strict=True):
        log_odds = 1.5 * score.logit - 0.5  # calibration of small_artifact
        is_read = score.logit == pytest.approx(read.logit, abs=1e-5)
        starts.setdefault(is_read or score.verdict, []).append(log_odds - sum(weighed.weights))
    assert starts[True] == pytest.approx([classifier.log_odds_of_nothing] * len(starts[True]), abs=2e-3)
    for of_verdict in starts.values():
        assert max(of_verdict) - min(of_verdict) < 2e-3


def weighed(mail: MailFields, classifier: SpamClassifier, **weights: float) -> Explanation:
    """Reasons where each word weighs what is said, and everything else nothing."""
    message: ExplainableMessage = classifier.prepare_to_explain(mail)
    of_tokens = [0.0] * message.tokens
    for word in message.words:
        text = message.shown[word.field][word.start : word.end].lower()
        of_tokens[word.tokens[0]] = weights.get(text, 0.0)
    return WeighedMessage(message, of_tokens).explanation()


def test_neighbours_that_pull_the_same_way_are_one_reason(classifier: SpamClassifier) -> None:
    """A phrase ends where a word is weak or pulls the other way, at a full stop, and at an empty line."""
    mail = MailFields(subject="hi", text="Please verify your account now. Account of ours\n\nverify")
    found = weighed(mail, classifier, verify=1.0, your=0.5, account=0.9, now=0.1, please=-0.3).reasons
    assert [(reason.text, round(reason.weight, 6)) for reason in found] == [
        ("verify your account", 2.4), ("verify", 1.0), ("Account", 0.9), ("Please", -0.3), ("now", 0.1),
    ]  # fmt: skip
    assert found[0].start == 7
    assert found[0].field == "body"


def test_a_mail_that_shows_nothing_is_explained(classifier: SpamClassifier) -> None:
    """A picture and no more: there is nothing to point at, and that is said."""
    explanation = explained(classifier, MailFields(html='<img src="cid:a">'))
    assert (explanation.reasons, explanation.shown) == ([], {})
    assert [fact.code for fact in explanation.facts] == ["no_text"]


def test_a_text_that_went_wrong_costs_the_reasons_and_not_the_score(
    classifier: SpamClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should what is traced ever differ from what is scored, the tokens are those of scoring."""
    mail = MailFields(subject="hi", text="claim your prize")
    monkeypatch.setattr(reasons, "show_message", lambda message: show_message(Message(text="another")))
    assert classifier.prepare_to_explain(mail).token_ids == classifier.prepare(mail).token_ids
    assert explained(classifier, mail).reasons == []


def test_offsets_count_code_points(classifier: SpamClassifier) -> None:
    """Not bytes, nor the units of JavaScript."""
    found = weighed(MailFields(text="🎁🎁 é 𝒳 prize"), classifier, prize=1.0).reasons
    assert [(reason.text, reason.start, reason.end) for reason in found] == [("prize", 7, 12)]


def test_a_word_that_was_torn_is_shown_as_it_is_written(classifier: SpamClassifier) -> None:
    """The span covers the trick."""
    torn = "v\u200bia\u200bgra"
    found = weighed(MailFields(text=f"cheap {torn} here"), classifier, **{torn: 1.0}).reasons
    assert [(reason.text, reason.start) for reason in found] == [(torn, 6)]


def test_a_long_body_is_shown_in_part() -> None:
    """Its head and its tail, with a gap between them that is seen; what stands in the gap has no span."""
    message = message_from_fields(MailFields(text="start " + "word " * 100_000 + "end"))
    shown = show_message(message)
    body = shown.shown["body"]
    assert len(body) == BODY_HEAD + len(GAP) + BODY_TAIL
    assert (body[:5], body[-3:], body.count(GAP)) == ("start", "end", 1)
    last = len(shown.text) - 1
    assert body[shown.starts_C[last - 2] : shown.ends_C[last]] == "end"


def test_fields_are_shown_as_a_person_would_see_them() -> None:
    """With what else is read: where links go, what is hidden, what is attached. What says nothing is left out."""
    message = Message(
        subject="Hi",
        sender_name="Ann Other",
        sender_address="ann@example.org",
        text="a\n \n\n\n  \nb",
        attachments=[Attachment("a.pdf", "application/pdf"), Attachment("", "image/png")],
    )
    assert show_message(message).shown == {
        "subject": "Hi",
        "from": "Ann Other <ann@example.org>",
        "attachments": "a.pdf (application/pdf)\n (image/png)",
        "body": "a\n\nb",
    }
