"""A mail with its verdict: what is added, what is taken away, and that nothing else changes."""

import email
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.score.headers import with_verdict
from service.score.judges import Judged, NotJudged
from tests.conftest import mail_files

SPAM = Judged("spam", 0.99632, 130, False, (), "2026.11.29-99ccaa")
HAM = Judged("ham", 0.0041, 9, False, (), "2026.11.29-99ccaa")
ADDED = b"X-Spam: Yes\nX-Hamlet: spam; probability=0.9963; model=2026.11.29-99ccaa\n"


def test_the_verdict_is_on_top() -> None:
    """Yes for spam, No for anything else; X-Hamlet says the rest."""
    assert with_verdict(b"Subject: x\n\nbody", SPAM) == ADDED + b"Subject: x\n\nbody"
    unsure = Judged("unsure", 0.5, 9, False, (), "v")
    assert with_verdict(b"A: b\n\n", unsure).startswith(b"X-Spam: No\nX-Hamlet: unsure; probability=0.5000; model=v\n")
    assert with_verdict(b"A: b\n\n", HAM).startswith(b"X-Spam: No\nX-Hamlet: ham; probability=0.0041")


def test_without_a_verdict_there_is_no_x_spam() -> None:
    """Neither ours nor a forged one: a rule that looks at it finds nothing."""
    too_large = NotJudged("message_too_large", "The message is too large.", ours=False)
    assert with_verdict(b"X-Spam: No\nA: b\n\n", too_large) == b"X-Hamlet: none; reason=message_too_large\nA: b\n\n"


@pytest.mark.parametrize(
    ("forged", "kept"),
    [
        (b"X-Spam: No\nA: b\n\nbody", b"A: b\n\nbody"),
        (b"A: b\nx-SPAM: No\nC: d\n\nbody", b"A: b\nC: d\n\nbody"),
        (b"A: b\nX-Spam : No\nC: d\n\nbody", b"A: b\nC: d\n\nbody"),
        (b"A: b\nX-Hamlet: ham;\n probability=0.0\n\tmore\nC: d\n\nbody", b"A: b\nC: d\n\nbody"),
        (b"X-Spam: No\nX-Spam: No\nX-Hamlet: ham\n\nX-Spam: of the body\n", b"\nX-Spam: of the body\n"),
        (b"A: b\nX-Spam: No", b"A: b\n"),
        (b"A: b\n X-Spam: of a folded field\n\n", b"A: b\n X-Spam: of a folded field\n\n"),
        (b"X-Spam-Status: No\nX-Spammy: x\nNot-X-Spam: y\n\n", b"X-Spam-Status: No\nX-Spammy: x\nNot-X-Spam: y\n\n"),
        (b"From ann Mon Jan  1 00:00:00 2026\nX-Spam: No\nA: b\n\n", b"From ann Mon Jan  1 00:00:00 2026\nA: b\n\n"),
    ],
)
def test_forged_fields_are_removed(forged: bytes, kept: bytes) -> None:
    """In any case, folded, with white space before the colon, repeated; others of like names and the body stay."""
    top = kept.find(b"\n") + 1 if kept.startswith(b"From ") else 0
    assert with_verdict(forged, SPAM) == kept[:top] + ADDED + kept[top:]


def test_line_ends_are_those_of_the_mail() -> None:
    """CRLF where the mail has it, also behind an mbox From line that has none."""
    crlf = ADDED.replace(b"\n", b"\r\n")
    assert with_verdict(b"A: b\r\nX-Spam: No\r\n\r\nbody\n", SPAM) == crlf + b"A: b\r\n\r\nbody\n"
    assert with_verdict(b"From ann\nA: b\r\n\r\n", SPAM) == b"From ann\n" + crlf + b"A: b\r\n\r\n"
    for mail in (b"", b"no header at all", b"\nbody", b"A: b\rC: d"):
        assert with_verdict(mail, SPAM) == ADDED + mail


@given(st.one_of(st.binary(), st.from_regex(rb"(?:[A-Z][a-z]*: \w*\r?\n){0,5}\r?\n[\x00-\xff]*", fullmatch=True)))
def test_every_other_byte_is_as_it_was(mail: bytes) -> None:
    """Whatever the mail: without the lines on top it is what it was, unless there was something of ours in it."""
    marked = with_verdict(mail, SPAM)
    if not re.search(rb"x-(?:spam|hamlet)", mail, re.IGNORECASE):
        added = ADDED if ADDED in marked else ADDED.replace(b"\n", b"\r\n")
        assert marked.replace(added, b"", 1) == mail
    if mail[:1] not in (b" ", b"\t"):  # a line that would go on what is above it
        assert with_verdict(marked, SPAM) == marked


def test_a_mail_program_reads_it() -> None:
    """The standard library finds the fields, once, and the rest of each real mail unchanged."""
    for path in mail_files("spam", "ham"):
        raw = path.read_bytes()
        marked = email.message_from_bytes(with_verdict(raw, HAM))
        assert marked.get_all("X-Spam") == ["No"]
        rest = [(name, value) for name, value in marked.items() if name not in ("X-Spam", "X-Hamlet")]
        assert rest == email.message_from_bytes(raw).items()
        assert marked.get_payload() == email.message_from_bytes(raw).get_payload() or marked.is_multipart()


def test_a_version_that_somebody_made_up_cannot_add_a_field() -> None:
    """What comes from a service elsewhere is not trusted to be a token."""
    marked = with_verdict(b"A: b\n\n", Judged("ham", 0.1, 1, False, (), "v\nX-Evil: yes"))
    assert b"Evil" not in marked
    assert b"model=unknown\n" in marked


def test_removing_takes_time_in_proportion() -> None:
    """A header of 20 MB, all of it forged and folded, is through in seconds at most."""
    assert with_verdict(b"X-Spam: No\n" + b" \t" * 5_000_000 + b"\n x" * 3_000_000, SPAM) == ADDED
