"""What spammers do to a mail to get it past a filter. Each trick takes a mail and random numbers, and returns a mail.

Bytes come back as bytes, with their MIME structure, and fields as fields (an image alone needs bytes), so that what
is measured on a tricked mail is the whole path: decoding, HTML, normalising, tokens.
"""

import codecs
import html
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from email import message_from_bytes, policy
from email.header import Header
from email.message import EmailMessage
from email.message import Message as Part

import numpy as np

from classifier.message import MailFields, read_mail

Mail = bytes | MailFields
Random = np.random.Generator
Trick = Callable[[Mail, Random], Mail]
Change = Callable[[str], str]

# Of the words of four letters and more: a spammer need not touch all, and a reader would not bear it.
TRICKED_SHARE = 0.5

# Not in addresses, hosts, entities or the names of files.
_WORD = re.compile(r"(?<![\w&#@./:-])[A-Za-z]{4,}(?![\w@/;:-]|\.\w)")
_MARKUP = re.compile(r"(<!--.*?-->|<(script|style|title)\b.*?</\2\s*>|<[^>]*>)", re.DOTALL | re.IGNORECASE)
_BODY = re.compile(r"<body[^>]*>", re.IGNORECASE)
_BODY_END = re.compile(r"</body", re.IGNORECASE)
_LOOKS_LIKE_HTML = re.compile(r"\s*(?:<!doctype html|<html|<body|<head|<div|<table|<p>)", re.IGNORECASE)
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\u00ad"
_CYRILLIC = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")  # noqa: RUF001 the trick itself
_LEET = str.maketrans("aeiostAEIOST", "431057431057")
# The last is on no list of hiding styles: white on white, which takes the page's colour to see through.
_HIDING_STYLES = ("display:none", "visibility:hidden", "font-size:0", "font-size:1px", "opacity:0", "color:#ffffff")
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501"
    "0127e3f8170000000049454e44ae426082"
)


def zero_width(mail: Mail, random: Random) -> Mail:
    """Put an invisible character inside words."""

    def torn(word: str) -> str:
        cut = int(random.integers(1, len(word)))
        return f"{word[:cut]}{_ZERO_WIDTH[int(random.integers(len(_ZERO_WIDTH)))]}{word[cut:]}"

    return _with_words(mail, torn, random)


def homoglyphs(mail: Mail, random: Random) -> Mail:
    """Replace letters of words by Cyrillic ones that look the same."""
    return _with_words(mail, lambda word: _translated(word, _CYRILLIC, random), random)


def leet(mail: Mail, random: Random) -> Mail:
    """Replace letters of words by digits that look alike."""
    return _with_words(mail, lambda word: _translated(word, _LEET, random), random)


def letter_spacing(mail: Mail, random: Random) -> Mail:
    """Set words l i k e  t h i s."""
    return _with_words(mail, " ".join, random)


def good_words_before(words: Sequence[str], number: int) -> Trick:
    """Return the trick that puts `number` of the words, drawn at random, before the body."""
    return lambda mail, random: _add(mail, _draw(words, number, random), "")


def good_words_after(words: Sequence[str], number: int) -> Trick:
    """Return the trick that puts `number` of the words, drawn at random, after the body."""
    return lambda mail, random: _add(mail, "", _draw(words, number, random))


def hidden_good_words(words: Sequence[str], number: int) -> Trick:
    """Return the trick that puts `number` of the words into an element that a style hides, before or after the body.

    Mail without HTML becomes HTML.
    """

    def trick(mail: Mail, random: Random) -> Mail:
        style = _HIDING_STYLES[int(random.integers(len(_HIDING_STYLES)))]
        hidden = f'<div style="{style}">{_draw(words, number, random)}</div>'
        before, after = (hidden, "") if random.random() < 0.5 else ("", hidden)
        return _add_markup(mail, before, after)

    return trick


def image_only(mail: Mail, random: Random) -> Mail:
    """Keep sender and subject; in place of the body stands an image, with the mail's first link on it."""
    message = read_mail(mail)
    link = next((link.target for link in message.links if link.host), "")
    tricked = EmailMessage(policy=policy.SMTP)
    # One line, no control characters: the library refuses others.
    subject, name = (
        " ".join(re.sub(r"[\x00-\x1f]", " ", text).split()) for text in (message.subject, message.sender_name)
    )
    tricked["Subject"] = subject
    if re.fullmatch(r"[\w.+-]+@[\w.-]*\w", message.sender_address, re.ASCII):
        name = re.sub(r"[^\w .-]", " ", name)
        tricked["From"] = f'"{name}" <{message.sender_address}>'
    image = '<img src="cid:image" alt="">'
    body = f'<a href="{html.escape(link)}">{image}</a>' if link else image
    tricked.set_content(f"<html><body>{body}</body></html>", subtype="html")
    tricked.add_related(_PIXEL, "image", "png", cid="<image>", filename=f"image{int(random.integers(1000)):03}.png")
    return tricked.as_bytes()


def _with_words(mail: Mail, change: Change, random: Random) -> Mail:
    """The mail with `change` done to some words of its subject and its bodies."""

    def in_text(text: str) -> str:
        return _WORD.sub(lambda match: change(match[0]) if random.random() < TRICKED_SHARE else match[0], text)

    def in_markup(markup: str) -> str:
        pieces: list[str] = []
        end = 0
        for match in _MARKUP.finditer(markup):
            pieces += [in_text(markup[end : match.start()]), match[0]]
            end = match.end()
        return "".join([*pieces, in_text(markup[end:])])

    if isinstance(mail, MailFields):
        text, markup = (mail.text and in_text(mail.text)), (mail.html and in_markup(mail.html))
        return replace(mail, subject=mail.subject and in_text(mail.subject), text=text, html=markup)
    message = message_from_bytes(mail)
    if subject := read_mail(mail).subject:
        del message["subject"]
        message["Subject"] = Header(in_text(subject), "utf-8", maxlinelen=1000).encode()
    for part in _text_parts(message):
        content, is_html = _content(part)
        _set_content(part, in_markup(content) if is_html else in_text(content))
    return _as_bytes(message)


def _add(mail: Mail, before: str, after: str) -> Mail:
    """The mail with text before and after its body, in the plain text and in the HTML."""
    if isinstance(mail, MailFields):
        markup = mail.html and _inside(mail.html, before and f"<p>{before}</p>", after and f"<p>{after}</p>")
        text = f"{before}\n{mail.text or ''}\n{after}".strip() if mail.text or not mail.html else mail.text
        return replace(mail, text=text, html=markup)
    message = message_from_bytes(mail)
    seen: set[bool] = set()
    for part in _text_parts(message):
        content, is_html = _content(part)
        if is_html not in seen:  # the first of each kind
            seen.add(is_html)
            page = (before and f"<p>{before}</p>", after and f"<p>{after}</p>")
            _set_content(part, _inside(content, *page) if is_html else f"{before}\n{content}\n{after}".strip())
    return _as_bytes(message)


def _add_markup(mail: Mail, before: str, after: str) -> Mail:
    """The mail with markup before and after its HTML body, which is made of the plain text where there is none."""
    if isinstance(mail, MailFields):
        return replace(mail, text=None, html=_inside(mail.html or _page(mail.text or ""), before, after))
    message = message_from_bytes(mail)
    parts = [(part, *_content(part)) for part in _text_parts(message)]
    for part, content, is_html in sorted(parts, key=lambda each: not each[2])[:1]:
        part.set_type("text/html")
        _set_content(part, _inside(content if is_html else _page(content), before, after))
    return _as_bytes(message)


def _translated(word: str, table: dict[int, int], random: Random) -> str:
    """The word with each letter of the table replaced at even odds, and one of them for certain."""
    able = [place for place, letter in enumerate(word) if ord(letter) in table]
    chosen = {place for place in able if random.random() < 0.5} or set(able[:1])
    return "".join(letter.translate(table) if place in chosen else letter for place, letter in enumerate(word))


def _draw(words: Sequence[str], number: int, random: Random) -> str:
    return " ".join(words[place] for place in random.integers(len(words), size=number).tolist())


def _inside(markup: str, before: str, after: str) -> str:
    """The page with markup at the beginning and the end of its body."""
    start = match.end() if (match := _BODY.search(markup)) else 0
    ends = [match.start() for match in _BODY_END.finditer(markup)]
    end = ends[-1] if ends and ends[-1] >= start else len(markup)
    return f"{markup[:start]}{before}{markup[start:end]}{after}{markup[end:]}"


def _page(text: str) -> str:
    lines = html.escape(text).replace("\n", "<br>\n")
    return f"<html><body><div>{lines}</div></body></html>"


def _text_parts(message: Part) -> list[Part]:
    """What a reader is shown: text that is no attachment."""
    return [
        part
        for part in message.walk()
        if part.get_content_maintype() == "text" and not part.is_multipart() and not part.get_filename()
    ]


def _content(part: Part) -> tuple[str, bool]:
    """The text of a part, and whether it is HTML."""
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    try:
        codec = codecs.lookup(str(part.get_content_charset("utf-8"))).name
        text = raw.decode(codec)
    except (LookupError, UnicodeError, ValueError):
        text = raw.decode("cp1252", "replace")
    return text, part.get_content_type() == "text/html" or bool(_LOOKS_LIKE_HTML.match(text))


def _set_content(part: Part, content: str) -> None:
    del part["content-transfer-encoding"]
    part.set_payload(content.encode("utf-8", "replace").decode("utf-8"), "utf-8")


def _as_bytes(message: Part) -> bytes:
    return message.as_bytes(policy=policy.compat32.clone(max_line_length=None))
