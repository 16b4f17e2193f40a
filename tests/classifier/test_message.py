"""Bytes to Message."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.errors import EmptyMessageError
from classifier.message import _URL, MailFields, ParseLimits, decoded_field, message_from_fields, parse_message
from classifier.text import message_text
from tests import hostile_mail
from tests.conftest import MAIL, mail_files

DEFECTS = {
    "8bit-in-header": "8bit_header",
    "bad-base64": "bad_base64",
    "bad-encoded-word": "bad_encoded_word",
    "boundary-never-used": "boundary_never_found",
    "duplicate-from": "repeated_from",
    "lone-surrogate-utf8": "undecodable_text",
    "missing-boundary": "multipart_without_boundary",
    "no-body-separator": "header_block_broken",
    "no-header": "no_headers",
    "truncated-multipart": "multipart_not_closed",
    "unknown-charset": "unknown_charset",
    "unknown-transfer-encoding": "unknown_transfer_encoding",
}


@pytest.mark.parametrize(("name", "defect"), DEFECTS.items(), ids=list(DEFECTS))
def test_a_broken_mail_says_what_is_broken(name: str, defect: str) -> None:
    """Each kind of damage is named in `defects`."""
    assert defect in parse_message((MAIL / "defects" / f"{name}.eml").read_bytes()).defects


@pytest.mark.parametrize("path", mail_files("spam", "ham"), ids=lambda path: path.stem)
def test_whole_mail_has_no_defects(path: Path) -> None:
    """Mail as programs write it is read without a complaint, with a subject, a sender and something to read."""
    message = parse_message(path.read_bytes())
    assert message.defects == ()
    assert message.subject
    assert "@" in message.sender_address
    assert message.text or message.attachments


@pytest.mark.parametrize("path", mail_files("defects"), ids=lambda path: path.stem)
def test_every_broken_mail_is_read(path: Path) -> None:
    """Something of each broken mail reaches the network, and nothing in it can be mistaken for a marker."""
    message = parse_message(path.read_bytes())
    assert message_text(message)
    (message.subject + message.text + message.hidden_text).encode("utf-8")


@pytest.mark.parametrize(
    ("name", "raw"), list(hostile_mail.every_kind()), ids=lambda case: case if isinstance(case, str) else ""
)
def test_hostile_mail_costs_no_more_than_a_second(name: str, raw: bytes) -> None:
    """Mail made to break a reader is read and normalised within a second (measured: at most 0.13 s)."""
    started = time.process_time()
    message_text(parse_message(raw))
    assert time.process_time() - started < 1, name


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=2000))
def test_parsing_never_raises(raw: bytes) -> None:
    """Any bytes that are not all white space are a message."""
    if raw.strip():
        message_text(parse_message(raw))


HEADER_LINES = st.sampled_from(
    [
        b"Subject: =?utf-8?q?a?=",
        b"Subject: =?x?b?=?=",
        b"From: a@b (c",
        b"From: =?utf-8?b?!!?= <>",
        b"Reply-To: @",
        b"Content-Type: multipart/mixed; boundary=x",
        b"Content-Type: message/rfc822",
        b"Content-Type: text/html; charset=utf-7",
        b"Content-Type: text/plain; charset*=x''y",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Transfer-Encoding: x-uuencode",
        b"Content-Disposition: attachment; filename*0*=%ff",
        b"--x",
        b"--x--",
        b"",
        b"<a href=//x><div style=display:none>",
        b"\xff\x00\r",
        b"begin 644 x",
        b"=3D=",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(HEADER_LINES, min_size=1, max_size=30), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_parsing_never_raises_on_pieces_of_mail(lines: list[bytes], line_end: bytes) -> None:
    """Fragments of real syntax in any order are read too, where random bytes would never get."""
    raw = line_end.join(lines)
    if raw.strip():
        message_text(parse_message(raw, ParseLimits(max_parts=10, max_depth=3)))


@pytest.mark.parametrize("raw", [b"", b" \r\n\t\n"])
def test_nothing_is_an_empty_message(raw: bytes) -> None:
    """No byte but white space: the one thing that is refused."""
    with pytest.raises(EmptyMessageError, match="empty"):
        parse_message(raw)


@pytest.mark.parametrize("fields", [MailFields(), MailFields(subject=" ", text="\n"), MailFields(sender="a@b.example")])
def test_fields_that_say_nothing_are_an_empty_message(fields: MailFields) -> None:
    """A sender alone is no message."""
    with pytest.raises(EmptyMessageError, match="subject"):
        message_from_fields(fields)


def test_fields_and_bytes_give_the_same_text() -> None:
    """A client that sends fields gets the text of one that sends the same mail raw."""
    raw = b"From: Ann <ann@shop.example>\r\nReply-To: x@else.example\r\nSubject: hi\r\n\r\nSee http://a.example/b\r\n"
    fields = MailFields(
        subject="hi", sender="Ann <ann@shop.example>", reply_to="x@else.example", text="See http://a.example/b\r\n"
    )
    assert message_text(parse_message(raw)) == message_text(message_from_fields(fields))


def test_encoded_words_of_a_field_are_decoded() -> None:
    """To what the same header of a raw mail says, folded or not; what is decoded already stays as it is."""
    subject = "=?utf-8?Q?Dear_C?=\n =?utf-8?Q?lient=3A_pay?="
    assert decoded_field(subject) == parse_message(f"Subject: {subject}\n\nx".encode()).subject == "Dear Client: pay"
    for value in (None, "", "Ä =? 再见", "a =? b"):
        assert decoded_field(value) == value


def test_a_long_field_of_encoded_words_is_taken_as_it_is() -> None:
    """The standard library's decoding takes the square of a header's length: 20 s for a megabyte of empty words."""
    subject = "=?a?q?b?= " * 100_000
    started = time.monotonic()
    assert decoded_field(subject) == subject
    assert time.monotonic() - started < 1.0


def test_html_and_its_plain_repetition_are_read_once() -> None:
    """A plain alternative that says the same as the HTML adds nothing; one that says something else is read too."""
    same = MailFields(text="Hello Ben, the meeting moves", html="<p>Hello Ben, the meeting moves</p>")
    other = MailFields(text="good words that nobody is shown here", html="<p>Cheap watches</p>")
    assert message_from_fields(same).text == "Hello Ben, the meeting moves"
    assert "nobody" in message_from_fields(other).text
    assert "watches" in message_from_fields(other).text


def test_decoded_bytes_are_capped() -> None:
    """Past the limit of decoded bytes nothing more is read, and a defect says so."""
    raw = b"Subject: x\n\n" + b"word " * 1000
    message = parse_message(raw, ParseLimits(max_decoded_bytes=100))
    assert len(message.text) <= 100
    assert "text_cut" in message.defects


@given(
    st.lists(
        st.sampled_from(["http", "HTTPS", "hXxp", "htxp\u017f", "ww", "WWW", "w", ".", ":", "//", " ", "a", '"', "<"])
    )
)
def test_page_addresses_are_found_as_by_the_plain_expression(pieces: list[str]) -> None:
    """The expression that begins with a set of letters finds what the readable one finds."""
    text = "".join(pieces)
    plain = r"(?:h[tx]{2}ps?://|www\.)[^\s<>\"]{1,2000}"
    assert _URL.findall(text) == re.findall(plain, text, re.IGNORECASE)


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (hostile_mail.many_parts, 50_000),
        (hostile_mail.header_of_semicolons, 200_000),
        (hostile_mail.header_of_quotes, 200_000),
        (hostile_mail.many_headers, 12_000),
        (hostile_mail.many_recipients, 12_000),
        (hostile_mail.html_without_end, 100_000),
        (hostile_mail.quadratic_html, 40_000),
        (hostile_mail.nested_comments, 100_000),
        (hostile_mail.open_angle_brackets, 800_000),
        (hostile_mail.endless_attributes, 60_000),
        (hostile_mail.endless_entities, 80_000),
        (hostile_mail.many_links, 20_000),
        (hostile_mail.long_word, 2_000_000),
        (hostile_mail.broken_base64, 2_000_000),
        (hostile_mail.carriage_returns, 1_600_000),
        (hostile_mail.boundary_look_alikes, 200_000),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_time_grows_with_the_size_and_no_faster(build: Callable[[int], bytes], size: int) -> None:
    """Sixteen times the mail takes about sixteen times as long, where a quadratic reader would take 256 times."""

    def seconds(raw: bytes) -> float:
        started = time.process_time()
        message_text(parse_message(raw))
        return time.process_time() - started

    small, large = build(size // 16), build(size)
    short = min(seconds(small) for _ in range(3))
    assert min(seconds(large) for _ in range(2)) < 64 * max(short, 0.001)
