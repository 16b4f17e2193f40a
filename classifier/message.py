"""Raw bytes (or the fields that a client has left of them) to a `Message`. Never raises on broken mail."""

import base64
import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message as Headers
from email.utils import parseaddr

from classifier.errors import EmptyMessageError
from classifier.html import HtmlText, Link, read_html
from classifier.mime import MAX_HEADER_VALUE, ParseLimits, Part, read_tree

__all__ = [
    "Attachment",
    "MailFields",
    "Message",
    "ParseLimits",
    "decoded_field",
    "message_from_fields",
    "parse_message",
    "read_mail",
]

# Declared charset -> the superset that mail programs really mean by it (WHATWG Encoding, 4.2).
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
# Python also knows text codecs that are no charset of mail, some of them slow on purpose-made input (punycode, idna).
_CHARSET_NAMES = re.compile(
    r"utf-(?:7|8|16|32)(?:-[bl]e)?|ascii|iso8859-\d+|iso2022_\w+|cp\d{3,4}|koi8-\w|mac-\w+|big5(?:hkscs)?|gb\w+|hz"
    r"|euc_\w+|shift_jis\w*|johab|tis-620|ptcp154|kz1048"
)
# Begins with a set, to which `re` skips; with the two words and IGNORECASE it would try every character.
_URL = re.compile(r"[HhWw](?:(?<=[Hh])[TtXx]{2}[Pp][Ss\u017f]?://|(?<=[Ww])[Ww]{2}\.)[^\s<>\"]{1,2000}")
_LOOKS_LIKE_HTML = re.compile(r"\s*(?:<!doctype html|<html|<body|<head|<div|<table|<p>)", re.IGNORECASE)
_MAX_LINKS = 500


@dataclass(frozen=True, slots=True)
class MailFields:
    """A mail of which only some fields are left; None is a field that is not known."""

    subject: str | None = None
    sender: str | None = None
    to: str | None = None
    reply_to: str | None = None
    text: str | None = None
    html: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not shown as text: its file name (may be empty) and its media type."""

    name: str
    media_type: str


@dataclass(slots=True)
class Message:
    """What a reader, and the network, can know of one mail. Strings are decoded; nothing is normalised yet."""

    subject: str = ""
    sender_name: str = ""
    sender_address: str = ""
    reply_to_address: str = ""
    text: str = ""
    hidden_text: str = ""
    links: list[Link] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    charsets: list[str] = field(default_factory=list)
    defects: tuple[str, ...] = ()


def read_mail(mail: bytes | MailFields, limits: ParseLimits | None = None) -> Message:
    """Read a mail in either form. Raises EmptyMessageError when it says nothing."""
    return parse_message(mail, limits) if isinstance(mail, bytes) else message_from_fields(mail)


def parse_message(raw: bytes, limits: ParseLimits | None = None) -> Message:
    """Read a message as it stands on the wire (RFC 5322, MIME).

    Args:
        raw: the bytes; anything at all.
        limits: how much of it to look at.

    Raises:
        EmptyMessageError: there is not a single byte but white space.
    """
    if not raw.strip():
        raise EmptyMessageError("the message is empty: send the bytes of a mail, its headers first")
    limits = limits or ParseLimits()
    if raw[:1] in (b"\n", b"\r"):
        raw = raw.lstrip(b"\r\n")
    defects: list[str] = []
    headers, leaves = read_tree(raw, limits, defects)
    if not headers.keys():
        defects.append("no_headers")
    message = Message(subject=_header(headers, "subject", defects))
    message.sender_name, message.sender_address = _address(_header(headers, "from", defects))
    message.reply_to_address = _address(_header(headers, "reply-to", defects))[1]
    _read_bodies(message, leaves, limits, defects)
    message.defects = tuple(dict.fromkeys(defects))
    return message


def message_from_fields(fields: MailFields) -> Message:
    """Build a message from the fields that a client has.

    Raises:
        EmptyMessageError: neither subject nor text nor html says anything.
    """
    if not any(part and part.strip() for part in (fields.subject, fields.text, fields.html)):
        raise EmptyMessageError("the message is empty: give it a subject, a text or an html field that says something")
    message = Message(subject=_clean(fields.subject or ""))
    message.sender_name, message.sender_address = _address(_clean(fields.sender or ""))
    message.reply_to_address = _address(_clean(fields.reply_to or ""))[1]
    _add_bodies(message, [_clean(fields.text or "")], [_clean(fields.html or "")])
    return message


def decoded_field(value: str | None) -> str | None:
    """Return a header field with its encoded words decoded (RFC 2047), of a client that took it as it stands.

    A longer one than would be read of a raw mail stays as it is: decoding takes the square of its length.
    """
    if not value or "=?" not in value or not value.isascii() or len(value) > MAX_HEADER_VALUE:
        return value
    return _decode_words(_unfolded(_clean(value)), [])


def _read_bodies(message: Message, leaves: Iterable[Part], limits: ParseLimits, defects: list[str]) -> None:
    plain: list[str] = []
    html: list[str] = []
    room = limits.max_decoded_bytes
    for part in leaves:
        media_type = part.headers.get_content_type()
        name = _file_name(part.headers)
        is_attachment = part.headers.get_content_disposition() == "attachment" or name
        if not media_type.startswith(("text/", "multipart/", "message/")) or is_attachment:
            message.attachments.append(Attachment(name, media_type))
            # A page or a text that is sent as an attachment is a favourite of phishers: it is read as well.
            if not media_type.startswith("text/"):
                continue
        if room <= 0:
            defects.append("text_cut")
            break
        content = _transfer_decode(part, room, defects)
        room -= len(content)
        text, charset = _decode(content, _charset(part.headers), defects)
        message.charsets.append(charset)
        is_html = media_type == "text/html" or _LOOKS_LIKE_HTML.match(text)
        (html if is_html else plain).append(text)
    _add_bodies(message, plain, html)


def _add_bodies(message: Message, plain: list[str], html: list[str]) -> None:
    """Choose what a reader is shown: HTML where there is some, with the plain text that it does not repeat."""
    read: list[HtmlText] = [read_html(markup) for markup in html if markup]
    shown = "\n".join(page.visible for page in read if page.visible)
    plain_text = "\n".join(text for text in plain if text.strip())
    if not shown:
        message.text = plain_text
    elif _repeats(plain_text, shown):
        message.text = shown
    else:
        message.text = f"{plain_text}\n{shown}".strip()
    message.hidden_text = "\n".join(page.hidden for page in read if page.hidden)
    links = [link for page in read for link in page.links]
    for match in _URL.finditer(plain_text):
        if len(links) >= _MAX_LINKS:
            break
        links.append(Link("", match[0]))
    message.links = links[:_MAX_LINKS]


def _repeats(plain_text: str, shown: str) -> bool:
    """Whether the plain alternative says no more than the HTML: at least half of its words are shown there too."""
    words = set(plain_text.lower().split()[:2000])
    return len(words & set(shown.lower().split())) * 2 >= len(words)


def _transfer_decode(part: Part, most: int, defects: list[str]) -> bytes:
    """Undo base64, quoted-printable or uuencode; at most `most` bytes come back."""
    headers, body = part.headers, part.body
    encoding = str(headers.get("content-transfer-encoding", "")).strip().lower()
    if encoding in ("", "7bit", "8bit", "binary"):
        if len(body) > most:
            defects.append("text_cut")
        return body[:most]
    if len(body) > 3 * most:  # quoted-printable needs up to three bytes for one
        body = body[: 3 * most]
        defects.append("text_cut")
    if encoding not in ("base64", "quoted-printable", "x-uuencode", "uuencode", "uue", "x-uue"):
        defects.append("unknown_transfer_encoding")
    headers.set_payload(body.decode("ascii", "surrogateescape"))
    decoded = headers.get_payload(decode=True)
    headers.set_payload("")
    if not isinstance(decoded, bytes):
        return body[:most]
    if encoding == "base64" and headers.defects:
        defects.append("bad_base64")
        if decoded == body:  # one character too many or too few: the library gives up, a mail program does not
            alphabet = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
            decoded = base64.b64decode(alphabet[: len(alphabet) // 4 * 4])
    return decoded[:most]


def _charset(headers: Headers) -> str:
    declared = headers.get_param("charset", "")
    return (declared[2] if isinstance(declared, tuple) else declared).strip("'\" ").lower()


def _decode(content: bytes, declared: str, defects: list[str]) -> tuple[str, str]:
    """Bytes to text: the declared charset, then UTF-8, then Windows-1252, which takes every byte."""
    codec = _codec(declared)
    if codec is None:
        defects.append("unknown_charset")
    # Nothing declared, or ASCII alone: UTF-8 is more likely than Windows-1252, and fails where it is wrong.
    for candidate in ("utf-8", codec) if codec in (None, "cp1252") else (codec, "utf-8"):
        if candidate is not None:
            try:
                return _clean(content.decode(candidate)), declared
            except (UnicodeError, ValueError):
                continue
    defects.append("undecodable_text")
    return _clean(content.decode(codec or "cp1252", "replace")), declared


def _codec(charset: str) -> str | None:
    """Python's name for a charset of mail, or None when it is none that mail is written in."""
    try:
        name = codecs.lookup(charset).name if charset else "cp1252"
    except (LookupError, ValueError):
        return None
    name = _SUPERSETS.get(name, name)
    return name if _CHARSET_NAMES.fullmatch(name) else None


def _header(headers: Headers, name: str, defects: list[str]) -> str:
    """One header field, decoded and unfolded; the first where it is repeated; "" where there is none."""
    values = [value for key, value in headers.raw_items() if key.lower() == name]
    if not values:
        return ""
    if len(values) > 1:
        defects.append(f"repeated_{name.replace('-', '_')}")
    return _decode_words(_unfolded(values[0]), defects)


def _unfolded(value: str) -> str:
    return re.sub(r"\r?\n[ \t]*", " ", value).strip()


def _decode_words(value: str, defects: list[str]) -> str:
    """Decode the encoded words of a header value (RFC 2047)."""
    if "=?" not in value:
        return _unescape(value, defects)
    try:
        chunks = decode_header(value)
    except (HeaderParseError, ValueError):
        defects.append("bad_encoded_word")
        return _unescape(value, defects)
    words: list[str] = []
    for chunk, charset in chunks:
        if isinstance(chunk, str):
            words.append(_unescape(chunk, defects))
        elif charset is None:  # decode_header gives the plain stretches of a mixed value as raw-unicode-escape
            words.append(_unescape(chunk.decode("ascii", "surrogateescape"), defects))
        else:
            words.append(_decode(chunk, charset.lower(), defects)[0])
    return "".join(words).strip()


def _unescape(value: str, defects: list[str]) -> str:
    """Bytes above 127 in a header arrive as surrogates: read them as UTF-8, else Windows-1252."""
    if value.isascii():
        return _clean(value)
    defects.append("8bit_header")
    return _decode(value.encode("utf-8", "surrogateescape"), "", [])[0]


def _address(value: str) -> tuple[str, str]:
    """Name and address of the first mailbox in a field; both empty where there is none."""
    if value.count("(") > 20:  # the library reads nested comments by recursion
        value = value.replace("(", " ")
    name, address = parseaddr(value[:1000])
    if "@" not in address:
        return value.strip(), ""
    return name, address.lower()


def _file_name(headers: Headers) -> str:
    """File name of a part. RFC 2231 forms are the standard library's, encoded words (not allowed, but common) ours."""
    return _decode_words(headers.get_filename(""), [])[:200]


def _clean(text: str) -> str:
    """No NUL, no lone surrogates, one kind of line end."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
