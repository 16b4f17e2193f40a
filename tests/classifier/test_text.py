"""Message to normalised text."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.message import MailFields, message_from_fields, read_mail
from classifier.shown_message import show_message
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
from classifier.traced_text import Traced, traced_normalise
from tests.conftest import corpus_mail


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


# What the expressions look for, whole and in pieces, and what keeps it apart.
PIECES = [
    "@", "ann", "(at)", ".", "+", "-", "_", " ", "  ", "\n", "\t", "> ", "| ", "http", "hxxps",
    "HTTP", "ftp", "fTps", ":",
    "/", "//", "www", "WWW.", "x.example", '"', "<", "A", "AB", "ABC", "ABC1", "a", "b", "B", "1",
    "7", "000000", "1234567",
    "aaaa", "!!!!!", "....", "redacted", "[REMOVED]", "redacted@redacted.com", "[[alternative HTML version deleted]]",
    "x" * 39, "x" * 41, "y" * 66, "\u00a0", "\u2003", "\u0430", "\u03b1", "\u200b", "\u202e", "\uff26", "\U0001d405",
    "\ue000", "\u017f", "\u212a", "\u0130", "\u0131", "\u00b5", "\u0301", "\u4e00", "\u00e4",
    "\u00e4" * 5, "e\u0301" * 4,
]  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.sampled_from([(10_000, 0), (30, 0), (30, 20)]))
def test_the_short_cuts_change_nothing(text: str, kept: tuple[int, int]) -> None:
    """Where an expression is passed over or applied to a stretch only, the plain row of them gives the same."""
    assert normalise(text, *kept) == traced_normalise(Traced.of(text), *kept).text


def test_the_short_cuts_change_nothing_in_real_mail(corpora: Path) -> None:
    """Every tenth mail of all raw corpora is the same character for character, in all fields."""
    for raw in list(corpus_mail(corpora))[::10]:
        message = read_mail(raw)
        assert message_text(message) == show_message(message).text


HOSTILE: dict[str, Callable[[int], str]] = {
    "at signs": lambda n: "@" * n,
    "at signs apart": lambda n: "@ " * (n // 2),
    "words and at signs": lambda n: "a @" * (n // 3),
    "one local part": lambda n: "a." * (n // 2) + "@",
    "hosts": lambda n: "a@b." * (n // 4),
    "spaced letters": lambda n: "a_" * (n // 2) + " " + "a." * (n // 2) + "bc",
    "capitals": lambda n: "ABC," * (n // 4) + "," * n,
    "one capital word": lambda n: "A" * n + "a",
    "schemes": lambda n: "http :" * (n // 6) + "www " * (n // 4),
    "runs": lambda n: "".join(chr(0x4E00 + i % 5_000) * 4 for i in range(n // 4)),
    "quotes": lambda n: "> " * (n // 2) + "\n>" * (n // 2),
    "torn": lambda n: "a\u200b" * (n // 2),
    "look-alikes": lambda n: "a\u0430" * (n // 2),
    "digits": lambda n: "123456789" * (n // 9),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_length_and_no_faster(name: str) -> None:
    """Sixteen times the text takes about sixteen times as long, where going back and forth would take 256 times."""

    def seconds(length: int) -> float:
        text = HOSTILE[name](length)
        started = time.process_time()
        normalise(text, 10 * length, 0)
        return time.process_time() - started

    short = min(seconds(20_000) for _ in range(3))
    assert min(seconds(320_000) for _ in range(2)) < 64 * max(short, 0.002)
