"""Mail made to break a reader: too big or too deep to keep as files, so it is built here.

Every builder returns the bytes of one message, the same for the same arguments. `every_kind` gives one of each at a
size that a good reader handles in well under a second.
"""

import base64
import random
from collections.abc import Iterator

_HEAD = (
    b"Received: from relay.example.net (relay.example.net [198.51.100.7]) by mx.example.org with ESMTP id 1A2B3C;\n"
    b"\tTue, 12 Mar 2024 09:00:00 +0100\n"
    b"Date: Tue, 12 Mar 2024 09:00:00 +0100\n"
    b"From: Marta Keller <marta.keller@example.net>\n"
    b"To: Ben Ashworth <ben.ashworth@example.org>\n"
    b"Subject: hostile on purpose\n"
    b"MIME-Version: 1.0\n"
)
_TEXT = b"The meeting moves to ten o'clock, please bring the printed plan.\n"


def _message(body: bytes, content_type: str = "text/plain; charset=utf-8", extra: bytes = b"") -> bytes:
    return _HEAD + extra + b"Content-Type: " + content_type.encode() + b"\n\n" + body


def deep_multipart(depth: int = 100) -> bytes:
    """Multiparts nested `depth` deep around one line of text."""
    opening = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (level, level) for level in range(depth)
    )
    closing = b"".join(b"\n--b%d--\n" % level for level in reversed(range(depth)))
    return _HEAD + opening + b"Content-Type: text/plain\n\n" + _TEXT + closing


def nested_messages(depth: int = 100) -> bytes:
    """Forwarded messages, each the only content of the one around it."""
    return _HEAD + b"Content-Type: message/rfc822\n\nSubject: inner\n" * depth + b"\n" + _TEXT


def many_parts(n: int = 50_000) -> bytes:
    """One multipart with `n` tiny text parts."""
    part = b"--p\nContent-Type: text/plain\n\nx\n"
    return _message(part * n + b"--p--\n", 'multipart/mixed; boundary="p"')


def many_attachments(n: int = 2_000) -> bytes:
    """A short text and `n` attachments with names."""
    parts = (b'--p\nContent-Disposition: attachment; filename="f%d.exe"\n\nx\n' % i for i in range(n))
    return _message(b"--p\n\n" + _TEXT + b"".join(parts) + b"--p--\n", 'multipart/mixed; boundary="p"')


def header_of_semicolons(n_bytes: int = 1_000_000) -> bytes:
    """A Content-Type whose parameters are `n_bytes` of semicolons."""
    return _message(_TEXT, "text/plain" + ";" * n_bytes)


def header_of_quotes(n_bytes: int = 1_000_000) -> bytes:
    """A From header of quotation marks and backslashes that never close."""
    return _message(_TEXT, extra=b'Reply-To: "' + b'\\"' * (n_bytes // 2) + b"\n")


def header_of_brackets(n_bytes: int = 100_000) -> bytes:
    """A From header of comments that open and never close (recursion in an address parser)."""
    return _message(_TEXT, extra=b"Reply-To: " + b"(" * n_bytes + b"<a@example.net>\n")


def huge_header(n_bytes: int = 1_000_000) -> bytes:
    """A subject of `n_bytes` letters on one line."""
    return _message(_TEXT, extra=b"X-Long: " + b"a" * n_bytes + b"\n")


def many_headers(n: int = 50_000) -> bytes:
    """`n` header fields."""
    return _message(_TEXT, extra=b"".join(b"X-Field-%d: value\n" % i for i in range(n)))


def many_recipients(n: int = 20_000) -> bytes:
    """A Cc header of `n` addresses."""
    return _message(_TEXT, extra=b"Cc: " + b",\n ".join(b"p%d@example.org" % i for i in range(n)) + b"\n")


def endless_encoded_words(n: int = 20_000) -> bytes:
    """A header of `n` encoded words, all of them broken off."""
    return _message(_TEXT, extra=b"X-Words: x\nKeywords: " + b"=?utf-8?Q?=C3" * n + b"\nComments: " + b"=?" * n + b"\n")


def encoded_words_subject(n: int = 5_000) -> bytes:
    """A subject of `n` good encoded words over folded lines."""
    words = b"\n ".join(b"=?utf-8?B?" + base64.b64encode(b"word %d" % i) + b"?=" for i in range(n))
    return _message(_TEXT).replace(b"hostile on purpose", words, 1)


def endless_parameters(n: int = 20_000) -> bytes:
    """A file name in `n` RFC 2231 pieces."""
    pieces = b"".join(b";\n filename*%d*=%%41" % i for i in range(n))
    return _message(_TEXT, extra=b"Content-Disposition: attachment" + pieces + b"\n")


def html_without_end(n: int = 100_000) -> bytes:
    """HTML of `n` open elements and no closing tag."""
    return _message(b"<html><body>" + b"<div>" * n + _TEXT, "text/html; charset=utf-8")


def quadratic_html(n: int = 20_000) -> bytes:
    """`n` open formatting elements, then `n` paragraphs: a parser that restores each for each needs n * n steps."""
    formatting = b"".join(b"<b id=%d>" % i for i in range(n))
    return _message(formatting + b"<p>x" * n, "text/html; charset=utf-8")


def nested_comments(n: int = 100_000) -> bytes:
    """HTML comments that open inside each other and never end."""
    return _message(b"<p>before</p>" + b"<!-- <!" * n + _TEXT, "text/html; charset=utf-8")


def open_angle_brackets(n: int = 200_000) -> bytes:
    """HTML of nothing but `<`: every one could begin a tag."""
    return _message(b"<" * n + _TEXT, "text/html; charset=utf-8")


def endless_attributes(n: int = 100_000) -> bytes:
    """One element with `n` attributes."""
    attributes = b" ".join(b"a%d='%d" % (i, i) for i in range(n))
    return _message(b"<a " + attributes + b">link</a>", "text/html; charset=utf-8")


def endless_entities(n: int = 200_000) -> bytes:
    """`n` character references without an end."""
    return _message(b"&amp" * n + b"&#" * n + b"&#x11111111" * (n // 10), "text/html; charset=utf-8")


def style_bomb(n: int = 20_000) -> bytes:
    """A style attribute of `n` declarations, some of which hide the text."""
    style = b";".join(b"display:none;color:#%06x" % (i % 0xFFFFFF) for i in range(n))
    return _message(b'<p style="' + style + b'">hidden</p><p>seen</p>', "text/html; charset=utf-8")


def many_links(n: int = 20_000) -> bytes:
    """`n` links whose text names another host than the target."""
    links = (b'<a href="http://h%d.example/">http://bank.example</a> ' % i for i in range(n))
    return _message(b"".join(links), "text/html; charset=utf-8")


def long_word(n_bytes: int = 1_000_000) -> bytes:
    """A body of one word."""
    return _message(b"a" * n_bytes)


def zero_width_flood(n: int = 200_000) -> bytes:
    """One word with `n` zero-width characters between its letters."""
    return _message("\u200b".join("a" * n).encode())


def combining_flood(n: int = 100_000) -> bytes:
    """One letter with `n` combining marks (slow in a careless Unicode normalisation)."""
    return _message(("e" + "\u0301\u0323" * (n // 2)).encode())


def bidi_flood(n: int = 100_000) -> bytes:
    """`n` embeddings of the writing direction that never close."""
    return _message(("\u202e\u2066" * (n // 2) + "plan").encode())


def broken_base64(n_bytes: int = 1_000_000) -> bytes:
    """A base64 body with a wrong character in every line."""
    line = b"QUJD" * 18 + b"!\n"
    return _message(line * (n_bytes // len(line)), extra=b"Content-Transfer-Encoding: base64\n")


def quoted_printable_flood(n: int = 300_000) -> bytes:
    """A quoted-printable body of equals signs."""
    return _message(b"=" * n, extra=b"Content-Transfer-Encoding: quoted-printable\n")


def nul_bytes(n: int = 1_000) -> bytes:
    """NUL bytes in the header, in the body and alone on lines."""
    extra = b"X-Nul: a" + b"\x00" * n + b"b\n"
    return _message(b"\x00" * n + b"\n" + _TEXT.replace(b" ", b"\x00"), extra=extra)


def unknown_charset() -> bytes:
    """Text in a character set that does not exist, with bytes that are no UTF-8."""
    return _message(_TEXT + bytes(range(128, 256)), "text/plain; charset=x-no-such-charset-8859-99")


def binary_junk(seed: int = 0, n_bytes: int = 4_096) -> bytes:
    """Random bytes, without any header."""
    return random.Random(seed).randbytes(n_bytes)


def junk_after_header(seed: int = 0, n_bytes: int = 4_096) -> bytes:
    """A good header and random bytes as a multipart body."""
    return _message(random.Random(seed).randbytes(n_bytes), 'multipart/mixed; boundary="p"')


def carriage_returns(n: int = 200_000) -> bytes:
    """A body of lone carriage returns."""
    return _message(b"\r" * n + _TEXT)


def boundary_look_alikes(n: int = 50_000) -> bytes:
    """`n` lines that begin like the boundary and are not one."""
    return _message(b"--p-\n--pp\n-- p\n" * (n // 3) + b"--p\n\n" + _TEXT, 'multipart/mixed; boundary="p"')


def long_boundary(n_bytes: int = 100_000) -> bytes:
    """A boundary far beyond the 70 characters that RFC 2046 allows."""
    boundary = b"b" * n_bytes
    body = b"--" + boundary + b"\n\n" + _TEXT + b"--" + boundary + b"--\n"
    return _message(body, 'multipart/mixed; boundary="' + boundary.decode() + '"')


_KINDS = (
    deep_multipart, nested_messages, many_parts, many_attachments, header_of_semicolons, header_of_quotes,
    header_of_brackets, huge_header, many_headers, many_recipients, endless_encoded_words, encoded_words_subject,
    endless_parameters, html_without_end, quadratic_html, nested_comments, open_angle_brackets, endless_attributes,
    endless_entities, style_bomb, many_links, long_word, zero_width_flood, combining_flood, bidi_flood, broken_base64,
    quoted_printable_flood, nul_bytes, unknown_charset, binary_junk, junk_after_header, carriage_returns,
    boundary_look_alikes, long_boundary,
)  # fmt: skip


def every_kind() -> Iterator[tuple[str, bytes]]:
    """Yield the name and the message of each builder at its default size."""
    for build in _KINDS:
        yield build.__name__, build()
