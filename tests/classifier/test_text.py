"""Message to normalised text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.message import MailFields, message_from_fields
from classifier.text import (
    ADDRESS,
    BODY,
    CAPITALS,
    HIDDEN,
    HOMOGLYPH,
    INVISIBLE,
    LINK,
    LINK_MISMATCH,
    LONG_WORD,
    MARKERS,
    REPLY_TO,
    SENDER,
    SPACED,
    STYLED,
    SUBJECT,
    URL,
    message_text,
    normalise,
)


def folded(text: str) -> str:
    return normalise(text, 10_000, 0)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("p\u0430ypal", f"{HOMOGLYPH} paypal"),  # Cyrillic a
        ("V\u200bia\u200bgra", f"{INVISIBLE} viagra"),
        ("\U0001d405\U0001d42b\U0001d41e\U0001d41e", f"{STYLED} free"),  # mathematical bold
        ("\uff26\uff52\uff45\uff45", f"{STYLED} free"),  # full width
        ("V i a g r a now", f"{SPACED} viagra now"),
        ("c.a.s.h", f"{SPACED} cash"),
        ("BUY NOW please", f"{CAPITALS} buy now please"),
        ("in 2024 for $1,999.50", "in 0000 for $0,000.00"),
        ("account 12345678901", "account 000000"),
        ("see http://a.example/x?y=1 or www.b.example", f"see {URL} or {URL}"),
        ("write to ann@example.org", f"write to {ADDRESS}"),
        ("stop!!!!!!!! ------------", "stop!!! ---"),
        ("> > quoted\n>more", "quoted more"),
        ("a" * 50, "aaa"),
        ("ab" * 50, f"{LONG_WORD} " + "ab" * 20),
        (
            "\u0437\u0434\u0440\u0430\u0432\u0441\u0442\u0432\u0443\u0439",
            "\u0437\u0434\u0440\u0430\u0432\u0441\u0442\u0432\u0443\u0439",
        ),
    ],
)
def test_tricks_are_undone_and_marked(written: str, read: str) -> None:
    """The network sees the word and the trick; honest writing of any script stays as it is."""
    assert folded(written) == read


def test_no_mail_can_write_a_marker() -> None:
    """Private-use characters of a mail are replaced before ours are set."""
    text = message_text(message_from_fields(MailFields(subject=f"a{SUBJECT}b", text=f"c{URL}d {BODY}")))
    assert sum(character in MARKERS for character in text) == 2  # the two that open subject and body


def test_facts_stand_before_the_body_in_a_fixed_order() -> None:
    """Sender, differing reply address, link hosts, mismatch and hidden text cannot be pushed out by a long body."""
    mail = MailFields(
        subject="Hello",
        sender="Bank <a@bank.example>",
        reply_to="b@evil.example",
        html='<a href="http://evil.example/">bank.example</a><p style="display:none">novel</p>' + "word " * 100_000,
    )
    text = message_text(message_from_fields(mail))
    places = [text.index(marker) for marker in (SUBJECT, SENDER, REPLY_TO, LINK, LINK_MISMATCH, HIDDEN, BODY)]
    assert places == sorted(places)
    assert places[-1] < 200
    assert len(text) < 30_000


def test_list_tags_and_redactions_teach_nothing() -> None:
    """What only tells one collection of mail from another is not in the text."""
    text = message_text(message_from_fields(MailFields(subject="Re: [R-help] plots", text="Dear [REMOVED], redacted")))
    assert text == f"{SUBJECT} re: plots {BODY} dear ,"


@given(st.text(max_size=300))
def test_folding_is_stable_and_bounded(text: str) -> None:
    """No text raises; the result holds no line ends, and is not much longer than its input."""
    once = folded(text)
    assert "\n" not in once
    assert len(once) <= 20 * len(text) + 10
