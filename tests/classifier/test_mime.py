"""The MIME tree, held against the standard library's."""

import email
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.message import _transfer_decode
from classifier.mime import _BLANK_LINE, _PARSER, ParseLimits, _regular_headers, read_tree
from tests import hostile_mail
from tests.conftest import corpus_mail, mail_files

Leaf = tuple[str, str | None, bytes]


def leaves_of_the_standard_library(raw: bytes) -> list[Leaf]:
    leaves: list[Leaf] = []
    for part in email.message_from_bytes(raw).walk():
        if not part.is_multipart():
            content = part.get_payload(decode=True)
            text = content.strip() if isinstance(content, bytes) and part.get_content_maintype() == "text" else b""
            leaves.append((part.get_content_type(), part.get_filename(), text))
    return leaves


def leaves_of_ours(raw: bytes) -> list[Leaf]:
    _, parts = read_tree(raw, ParseLimits(), [])
    leaves: list[Leaf] = []
    for part in parts:
        is_text = part.headers.get_content_maintype() == "text"
        text = _transfer_decode(part, len(raw), []).strip() if is_text else b""
        leaves.append((part.headers.get_content_type(), part.headers.get_filename(), text))
    return leaves


@pytest.mark.parametrize("path", mail_files("spam", "ham"), ids=lambda path: path.stem)
def test_honest_mail_has_the_leaves_that_the_standard_library_finds(path: Path) -> None:
    """Same parts in the same order, same types and names, and every text the same to the byte."""
    assert leaves_of_ours(path.read_bytes()) == leaves_of_the_standard_library(path.read_bytes())


def test_real_mail_has_the_leaves_that_the_standard_library_finds(corpora: Path) -> None:
    """Over all raw corpora nothing differs but delivery reports, whose inner headers the library takes for parts."""
    count = 0
    for raw in corpus_mail(corpora):
        count += 1
        ours = leaves_of_ours(raw)
        if all(media_type != "message/delivery-status" for media_type, _, _ in ours):
            assert ours == leaves_of_the_standard_library(raw)
    assert count > 10_000


@pytest.mark.parametrize(
    ("raw", "defect"),
    [
        (hostile_mail.deep_multipart(100), "too_deeply_nested"),
        (hostile_mail.nested_messages(100), "too_deeply_nested"),
        (hostile_mail.many_parts(50_000), "too_many_parts"),
        (hostile_mail.header_of_semicolons(1_000_000), "header_block_too_long"),
        (hostile_mail.html_without_end(10)[:-60], None),
    ],
    ids=["deep", "messages in messages", "many parts", "semicolons", "cut off"],
)
def test_a_limit_that_is_met_is_a_defect(raw: bytes, defect: str | None) -> None:
    """What lies beyond a limit is left out, and the message says so."""
    defects: list[str] = []
    _, leaves = read_tree(raw, ParseLimits(), defects)
    assert leaves
    assert len(leaves) <= ParseLimits().max_parts
    assert defect is None or defect in defects


@given(st.binary(max_size=300), st.sampled_from([b"", b"a", b"--", b"-"]))
def test_any_bytes_between_delimiters_have_leaves(noise: bytes, boundary: bytes) -> None:
    """Whatever stands in and around delimiter lines, there is at least one leaf and no exception."""
    head = b"Content-Type: multipart/mixed; boundary=" + boundary + b"\n\n"
    body = b"\n--" + boundary + b"\n" + noise + b"\n--" + boundary + b"--" + noise
    assert read_tree(head + body, ParseLimits(max_parts=5, max_depth=2), [])[1]


def test_parts_are_counted_over_the_whole_tree() -> None:
    """Many small multiparts inside one another hold no more parts together than one may."""
    inner = b"Content-Type: multipart/mixed; boundary=i\n\n" + b"--i\n\nx\n" * 50 + b"--i--\n"
    raw = b"Content-Type: multipart/mixed; boundary=o\n\n" + (b"--o\n" + inner) * 50 + b"--o--\n"
    defects: list[str] = []
    _, leaves = read_tree(raw, ParseLimits(max_parts=100), defects)
    assert len(leaves) <= 100
    assert "too_many_parts" in defects


FIELD_LINES = st.sampled_from(
    [
        b"From x@y Mon Jan  1", b"From: a <a@b>", b"from:b", b"Subject: hi", b"SUBJECT:",
        b"Subject:  \t", b"Reply-To: c@d",
        b"Content-Type: text/html;", b"content-type:text/plain",
        b"Content-Transfer-Encoding: base64", b" folded", b"\tmore",
        b"Content-Disposition: attachment; filename=x", b"X-Other: Subject: no", b"Subjects: no",
        b":", b"a b: c", b"--x",
        b"Subject : spaced", b"X-8bit: \xff\xc3", b"Subject: \xe4", b" ", b"\x0bSubject: vt", b"X: " + b"y" * 5000,
        b"Subject: " + b"z" * 5000, b"Content-Language: de", b"Subject: a\rFrom: b",
    ]
)  # fmt: skip
READ = ("subject", "from", "reply-to", "content-type", "content-transfer-encoding", "content-disposition")


@given(st.lists(FIELD_LINES, max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
def test_a_regular_header_block_has_the_fields_that_the_standard_library_finds(
    lines: list[bytes], line_end: bytes, closed: bool
) -> None:
    """Cut by us or read line by line, the fields are the same to the character; irregular blocks are left to it."""
    block = line_end.join(lines) + line_end * (2 if closed else 1)
    ours = _regular_headers(block)
    if ours is not None:
        library = _PARSER.parsebytes(block, headersonly=True)
        assert [(k.lower(), v) for k, v in ours.raw_items() if k.lower() in READ] == [
            (k.lower(), v) for k, v in library.raw_items() if k.lower() in READ
        ]
        assert bool(ours.keys()) == bool(library.keys())
        assert not library.defects
        assert not library.get_payload()


def test_real_header_blocks_are_regular(corpora: Path) -> None:
    """The fast way is the usual one: of a thousand mails hardly any needs the library's line reader."""
    mails = list(corpus_mail(corpora))[::15]
    irregular = 0
    for raw in mails:
        blank = _BLANK_LINE.search(raw)
        irregular += blank is not None and _regular_headers(raw[: blank.end()]) is None
    assert irregular < len(mails) / 50
