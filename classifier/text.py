"""A `Message` to the one normalised string that the network reads.

The string is a row of fields, each opened by a marker: a single private-use character, so that no mail can write one
(its own are replaced) and the tokenizer keeps each as one token. Structural facts stand before the body, where a long
body cannot push them out.

Whatever only tells one collection of mail from another is generalised: digits (years, amounts keep their length),
addresses and URLs (their host stands in a field of its own), list tags, quote marks, redactions. Whatever only a
spammer does to letters is undone and marked: the network sees the word and the trick.
"""

import re
import unicodedata
from collections.abc import Iterator

from classifier.message import Message

# Fields, in the order in which they are written.
SUBJECT, SENDER, REPLY_TO, ATTACHMENT, LINK, LINK_MISMATCH, HIDDEN, BODY = map(chr, range(0xE000, 0xE008))
FIELD_MARKERS = (SUBJECT, SENDER, REPLY_TO, ATTACHMENT, LINK, LINK_MISMATCH, HIDDEN, BODY)
# Marks inside a field: what stood there, or what was done to the word that follows.
URL, ADDRESS, CAPITALS, INVISIBLE, BIDI, STYLED, HOMOGLYPH, SPACED, LONG_WORD = map(chr, range(0xE010, 0xE019))
WORD_MARKERS = (URL, ADDRESS, CAPITALS, INVISIBLE, BIDI, STYLED, HOMOGLYPH, SPACED, LONG_WORD)
MARKERS = FIELD_MARKERS + WORD_MARKERS

# Characters of the body that are normalised. 24,000 are about 6,000 tokens, several times what the network reads.
BODY_HEAD, BODY_TAIL = 16_000, 8_000
# Before white space is folded a body may be this much longer: newsletters are mostly indentation.
_UNFOLDED = 16
_HIDDEN_CHARACTERS = 300
_MOST_LINK_HOSTS = 6
_MOST_ATTACHMENTS = 4
_LONGEST_WORD = 40
_NFKC_PIECE = 512

_PRIVATE_USE = re.compile("[\ue000-\uf8ff]")
_QUOTE_MARK = re.compile(r"^[ \t]*(?:[>|][ \t]?)+", re.MULTILINE)
_ARCHIVE_NOTE = re.compile(
    r"\[\[alternative html version deleted\]\]|\[(?:removed|redacted)\]|\bredacted(?:@redacted\.com)?\b", re.IGNORECASE
)
_LIST_TAG = re.compile(r"\[[^\[\]]{1,40}\]\s*")
_URL = re.compile(r"(?:(?:h[tx]{2}ps?|ftp)\s?:\s?/\s?/|www\s?\.)\s?[^\s<>\"]+", re.IGNORECASE)
# At most 64 characters before the @ (RFC 5321 4.5.3.1.1), which keeps a long run without one linear.
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}(?: ?@ ?|\(at\))[\w.-]{1,255}")
_CAPITALS = re.compile(r"\b[A-Z][A-Z0-9]{2,}\b(?:[ ,.!:;-]+[A-Z][A-Z0-9]*\b)*")
_SPACED = re.compile(r"(?<!\w)(?:\w[ .*_-]){3,}\w(?!\w)")
_REPEAT = re.compile(r"(\S)\1{3,}")
_LONG_WORD = re.compile(rf"(\S{{{_LONGEST_WORD}}})\S+")
_DIGITS = str.maketrans("123456789", "000000000")
_LONG_NUMBER = re.compile(r"0{6,}")

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2060-\u2064\u3164\ufe00-\ufe0f\ufeff"
)
_INVISIBLE_RUN = re.compile(f"[{_INVISIBLE}]+")
_INVISIBLE_IN_WORD = re.compile(f"(?<=[A-Za-z])[{_INVISIBLE}]+(?=[A-Za-z])")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]+")
# Letters that NFKC folds to ASCII: mathematical, full-width, circled, squared.
_STYLED = re.compile("[\U0001d400-\U0001d7ff\uff21-\uff3a\uff41-\uff5a\u24b6-\u24e9\U0001f130-\U0001f189]+")
_SQUARED = {0x1F130 + row * 0x20 + i: chr(ord("A") + i) for row in range(3) for i in range(26)}
_MIXABLE_WORD = re.compile("[A-Za-z\u0250-\u02af\u0370-\u03ff\u0400-\u04ff\u1d00-\u1d2f]{2,}")
_LOOKALIKES = str.maketrans(
    # Cyrillic, then Greek, then phonetic letters: Unicode confusables (UTS 39) of a Latin letter.
    "аАеЕоОрРсСуУхХіІјЈѕЅкКмМтТнНвВԁԛԝһгпиαΑοΟνΝρΡτΤυΥκΚηΗιΙχΧεΕβΒΜΖɑɡɩʏᴀᴄᴅᴇᴋᴍᴏᴘᴛᴜᴠᴡᴢ",
    "aAeEoOpPcCyYxXiIjJsSkKmMtTnHbBdqwhrnuaAoOvNpPtTuYkKnHiIxXeEbBMZagiyacdekmoptuvwz",
)


def message_text(message: Message) -> str:
    """Return the normalised text of a message: marked fields in a fixed order, lower case, no line ends."""
    return " ".join(_fields(message))


def _fields(message: Message) -> Iterator[str]:
    subject = normalise(_LIST_TAG.sub(" ", message.subject), 600, 0)
    if subject:
        yield f"{SUBJECT} {subject}"
    if message.sender_address:
        name = normalise(message.sender_name, 100, 0)
        yield f"{SENDER} {name} {ADDRESS} {_plain(message.sender_address)}"
        if message.reply_to_address and _domain(message.reply_to_address) != _domain(message.sender_address):
            yield f"{REPLY_TO} {_plain(_domain(message.reply_to_address))}"
    for attachment in message.attachments[:_MOST_ATTACHMENTS]:
        yield f"{ATTACHMENT} {normalise(attachment.name, 60, 0)} {_plain(attachment.media_type)}"
    hosts = dict.fromkeys(link.host for link in message.links if link.host)
    for host in list(hosts)[:_MOST_LINK_HOSTS]:
        yield f"{LINK} {_plain(host)}"
    mismatch = next((link for link in message.links if link.is_mismatch), None)
    if mismatch:
        yield f"{LINK_MISMATCH} {normalise(mismatch.text, 60, 0)}"
    if hidden := normalise(message.hidden_text, _HIDDEN_CHARACTERS, 0):
        yield f"{HIDDEN} {hidden}"
    if body := normalise(message.text, BODY_HEAD, BODY_TAIL):
        yield f"{BODY} {body}"


def normalise(text: str, head: int, tail: int) -> str:
    """Fold one stretch of text; of a longer one the first `head` and the last `tail` characters are kept."""
    text = _cut(text, head * _UNFOLDED, tail * _UNFOLDED)
    text = _QUOTE_MARK.sub("", text)
    if not text.isascii():
        text = _undo_tricks(text)
    text = _cut(" ".join(text.split()), head, tail)
    text = _ARCHIVE_NOTE.sub(" ", text)
    text = _URL.sub(f" {URL} ", text)
    text = _ADDRESS.sub(f" {ADDRESS} ", text)
    text = _SPACED.sub(lambda match: f" {SPACED} {re.sub('[ .*_-]', '', match[0])}", text)
    text = _CAPITALS.sub(lambda match: f"{CAPITALS} {match[0]}", text)
    text = _REPEAT.sub(r"\1\1\1", text.lower())
    text = _LONG_WORD.sub(rf"{LONG_WORD} \1", text)
    text = _LONG_NUMBER.sub("000000", text.translate(_DIGITS))
    return " ".join(text.split())


def _undo_tricks(text: str) -> str:
    """Undo what is done to letters to get them past a filter, and leave a mark at each word it was done to."""
    text = _PRIVATE_USE.sub("\N{REPLACEMENT CHARACTER}", text)
    text = _INVISIBLE_IN_WORD.sub(INVISIBLE, text)
    text = _INVISIBLE_RUN.sub("", text)
    if INVISIBLE in text:  # one mark, before the word, however many letters were torn apart
        text = re.sub(
            rf"[A-Za-z]+(?:{INVISIBLE}+[A-Za-z]+)+", lambda m: f"{INVISIBLE} " + m[0].replace(INVISIBLE, ""), text
        )
    text = _BIDI.sub(f" {BIDI} ", text)
    text = _STYLED.sub(lambda match: f"{STYLED} {match[0].translate(_SQUARED)}", text)
    # In pieces: sorting one run of 100,000 combining marks takes the library 7 s.
    pieces = (text[start : start + _NFKC_PIECE] for start in range(0, len(text), _NFKC_PIECE))
    text = "".join(unicodedata.normalize("NFKC", piece) for piece in pieces)
    return _MIXABLE_WORD.sub(_unmix, text)


def _unmix(match: re.Match[str]) -> str:
    """A word with letters of two scripts becomes the Latin word that it looks like."""
    word = match[0]
    if word.isascii():
        return word
    latin = word.translate(_LOOKALIKES)
    mixed = latin.isascii() and any(character.isascii() for character in word)
    return f"{HOMOGLYPH} {latin}" if mixed else word


def _plain(text: str) -> str:
    """An address, host or media type: lower case, digits folded, markers impossible."""
    return _PRIVATE_USE.sub("", text[:200].lower()).translate(_DIGITS)


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _cut(text: str, head: int, tail: int) -> str:
    if len(text) <= head + tail:
        return text
    return f"{text[:head]} {text[-tail:]}" if tail else text[:head]
