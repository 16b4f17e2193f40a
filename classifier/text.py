"""A `Message` to the one normalised string that the network reads.

The string is a row of fields, each opened by a marker: a single private-use character, so that no mail can write one
(its own are replaced) and the tokenizer keeps each as one token. Structural facts stand before the body, where a long
body cannot push them out.

Whatever only tells one collection of mail from another is generalised: digits (years, amounts keep their length),
addresses and URLs (their host stands in a field of its own), list tags, quote marks, redactions. Whatever only a
spammer does to letters is undone and marked: the network sees the word and the trick.

An expression that `re` would have to try at every character stands behind a look for what it cannot do without, or is
written to begin with a set of characters, to which `re` skips.

classifier.traced_text has the same steps without short cuts and with the way back: whoever changes one changes both.
"""

import re
import unicodedata
from collections.abc import Iterator

import numpy as np

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
UNFOLDED = 16
HIDDEN_CHARACTERS = 300
MOST_LINK_HOSTS = 6
MOST_ATTACHMENTS = 4
_LONGEST_WORD = 40
_FEW = 8
NFKC_PIECE = 512

QUOTE_MARK = re.compile(r"^[ \t]*(?:[>|][ \t]?)+", re.MULTILINE)
ARCHIVE_NOTE = re.compile(
    r"\[\[alternative html version deleted\]\]|\[(?:removed|redacted)\]|\bredacted(?:@redacted\.com)?\b", re.IGNORECASE
)
LIST_TAG = re.compile(r"\[[^\[\]]{1,40}\]\s*")
# (http|hxxp|htxp|hxtp)s?:// or ftp:// or www., with spaces in it; written so that it begins with a set.
_URL = re.compile(
    r"[HhFfWw](?:(?:(?<=[Hh])[TtXx]{2}[Pp][Ss]?|(?<=[Ff])[Tt][Pp])\s?:\s?/\s?/|(?<=[Ww])[Ww]{2}\s?\.)\s?[^\s<>\"]+"
)
# At most 64 characters before the @ (RFC 5321 4.5.3.1.1), which keeps a long run without one linear.
WRITTEN_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}(?: ?@ ?|\(at\))[\w.-]{1,255}")
_CAPITALS = re.compile(r"[A-Z](?<=\b[A-Z])[A-Z0-9]{2,}\b(?:[ ,.!:;-]+[A-Z][A-Z0-9]*\b)*")
_MAYBE_SPACED = re.compile(r"[ .*_-]\w[ .*_-]\w[ .*_-]\w")
SPACED_OUT = re.compile(r"(?<!\w)(?:\w[ .*_-]){3,}\w(?!\w)")
REPEAT = re.compile(r"(\S)\1{3,}")
OVERLONG_WORD = re.compile(rf"(\S{{{_LONGEST_WORD}}})\S+")
LONG_NUMBER = re.compile(r"0{6,}")

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2060-\u2064\u3164\ufe00-\ufe0f\ufeff"
)
_PRIVATE_RANGE = "\ue000-\uf8ff"
INVISIBLE_RUN = re.compile(f"[{_INVISIBLE}]+")
INVISIBLE_IN_WORD = re.compile(f"(?<=[A-Za-z])[{_INVISIBLE}]+(?=[A-Za-z])")
_DIRECTIONS = "\u202a-\u202e\u2066-\u2069"
BIDI_RUN = re.compile(f"[{_DIRECTIONS}]+")
# Letters that NFKC folds to ASCII: mathematical, full-width, circled, squared.
_STYLED_LETTERS = "\U0001d400-\U0001d7ff\uff21-\uff3a\uff41-\uff5a\u24b6-\u24e9\U0001f130-\U0001f189"
STYLED_RUN = re.compile(f"[{_STYLED_LETTERS}]+")
PRIVATE_USE = re.compile(f"[{_PRIVATE_RANGE}]")
_TRICK = re.compile(f"[{_PRIVATE_RANGE}{_INVISIBLE}{_DIRECTIONS}{_STYLED_LETTERS}]")
SQUARED = {0x1F130 + row * 0x20 + i: chr(ord("A") + i) for row in range(3) for i in range(26)}
_MIXABLE = "\u0250-\u02af\u0370-\u03ff\u0400-\u04ff\u1d00-\u1d2f"
_MIXABLE_LETTER = re.compile(f"[{_MIXABLE}]")
MIXABLE_WORD = re.compile(f"[A-Za-z{_MIXABLE}]{{2,}}")
_LOOKALIKES = str.maketrans(
    # Cyrillic, then Greek, then phonetic letters: Unicode confusables (UTS 39) of a Latin letter.
    "аАеЕоОрРсСуУхХіІјЈѕЅкКмМтТнНвВԁԛԝһгпиαΑοΟνΝρΡτΤυΥκΚηΗιΙχΧεΕβΒΜΖɑɡɩʏᴀᴄᴅᴇᴋᴍᴏᴘᴛᴜᴠᴡᴢ",
    "aAeEoOpPcCyYxXiIjJsSkKmMtTnHbBdqwhrnuaAoOvNpPtTuYkKnHiIxXeEbBMZagiyacdekmoptuvwz",
)


def message_text(message: Message) -> str:
    """Return the normalised text of a message: marked fields in a fixed order, lower case, no line ends."""
    return " ".join(_fields(message))


def _fields(message: Message) -> Iterator[str]:
    subject = normalise(LIST_TAG.sub(" ", message.subject), 600, 0)
    if subject:
        yield f"{SUBJECT} {subject}"
    if message.sender_address:
        name = normalise(message.sender_name, 100, 0)
        yield f"{SENDER} {name} {ADDRESS} {_plain(message.sender_address)}"
        if message.reply_to_address and domain_of(message.reply_to_address) != domain_of(message.sender_address):
            yield f"{REPLY_TO} {_plain(domain_of(message.reply_to_address))}"
    for attachment in message.attachments[:MOST_ATTACHMENTS]:
        yield f"{ATTACHMENT} {normalise(attachment.name, 60, 0)} {_plain(attachment.media_type)}"
    hosts = dict.fromkeys(link.host for link in message.links if link.host)
    for host in list(hosts)[:MOST_LINK_HOSTS]:
        yield f"{LINK} {_plain(host)}"
    mismatch = next((link for link in message.links if link.is_mismatch), None)
    if mismatch:
        yield f"{LINK_MISMATCH} {normalise(mismatch.text, 60, 0)}"
    if hidden := normalise(message.hidden_text, HIDDEN_CHARACTERS, 0):
        yield f"{HIDDEN} {hidden}"
    if body := normalise(message.text, BODY_HEAD, BODY_TAIL):
        yield f"{BODY} {body}"


def normalise(text: str, head: int, tail: int) -> str:
    """Fold one stretch of text; of a longer one the first `head` and the last `tail` characters are kept."""
    text = _cut(text, head * UNFOLDED, tail * UNFOLDED)
    if ">" in text or "|" in text:
        text = QUOTE_MARK.sub("", text)
    if not text.isascii():
        text = _undo_tricks(text)
    text = _cut(" ".join(text.split()), head, tail)
    lower = text.lower()
    if "redacted" in lower or "removed]" in lower or "ve html ver" in lower:
        text = ARCHIVE_NOTE.sub(" ", text)
    if "p" in lower or "www" in lower:
        text = _URL.sub(f" {URL} ", text)
    text = _mark_addresses(text)
    if _MAYBE_SPACED.search(text):
        text = SPACED_OUT.sub(lambda match: f" {SPACED} {re.sub('[ .*_-]', '', match[0])}", text)
    text = _CAPITALS.sub(lambda match: f"{CAPITALS} {match[0]}", text).lower()
    words = _shorten_repeats(text).split()
    text = " ".join(words)
    if max(map(len, words), default=0) > _LONGEST_WORD:
        text = OVERLONG_WORD.sub(rf"{LONG_WORD} \1", text)
    text = _fold_digits(text)
    return LONG_NUMBER.sub("000000", text) if "000000" in text else text


def _mark_addresses(text: str) -> str:
    """Put a mark for every address. Only what stands round an @ is looked at, cut where no address can go on."""
    if "(at)" in text:
        return WRITTEN_ADDRESS.sub(f" {ADDRESS} ", text)
    pieces: list[str] = []
    done = 0
    at = text.find("@")
    while at >= 0:
        start = max(text.rfind(" ", done, max(at - 1, done)) + 1, done)
        end = text.find(" ", at + 2)
        while end >= 0 and "@" in (text[end - 1], text[end + 1 : end + 2]):  # `ann@ example.org @`
            end = text.find(" ", end + 1)
        end = len(text) if end < 0 else end
        pieces += (text[done:start], WRITTEN_ADDRESS.sub(f" {ADDRESS} ", text[start:end]))
        done = end
        at = text.find("@", done)
    return "".join([*pieces, text[done:]])


def _shorten_repeats(text: str) -> str:
    """Leave three of a character that stands more than three times in a row.

    Where that happens is found by numpy, which is several times faster than an expression tried at every place.
    """
    # lxml and the decoders give no lone surrogates, but a caller may.
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    same = codes[1:] == codes[:-1]
    repeated = set(codes[:-3][same[2:] & same[1:-1] & same[:-2]].tolist())
    if len(repeated) > _FEW:
        return REPEAT.sub(r"\1\1\1", text)
    for character in map(chr, repeated):
        if not character.isspace():
            literal = re.escape(character)  # four of them before the plus: `re` searches for such a prefix fast
            text = re.sub(literal * 4 + "+", lambda match: match[0][:3], text)
    return text


def _fold_digits(text: str) -> str:
    for digit in "123456789":  # nine passes that skip are faster than one `translate` that looks each character up
        text = text.replace(digit, "0")
    return text


def _undo_tricks(text: str) -> str:
    """Undo what is done to letters to get them past a filter, and leave a mark at each word it was done to."""
    if _TRICK.search(text):
        text = _undo_characters(text)
    # In pieces: the library sorts a run of combining marks in time that grows with its square.
    pieces = (text[start : start + NFKC_PIECE] for start in range(0, len(text), NFKC_PIECE))
    text = "".join(unicodedata.normalize("NFKC", piece) for piece in pieces)
    return MIXABLE_WORD.sub(unmix, text) if _MIXABLE_LETTER.search(text) else text


def _undo_characters(text: str) -> str:
    """Undo what is done with characters that honest text hardly has."""
    text = PRIVATE_USE.sub("\N{REPLACEMENT CHARACTER}", text)
    text = INVISIBLE_IN_WORD.sub(INVISIBLE, text)
    text = INVISIBLE_RUN.sub("", text)
    if INVISIBLE in text:  # one mark, before the word, however many letters were torn apart
        text = re.sub(
            rf"[A-Za-z]+(?:{INVISIBLE}+[A-Za-z]+)+", lambda m: f"{INVISIBLE} " + m[0].replace(INVISIBLE, ""), text
        )
    text = BIDI_RUN.sub(f" {BIDI} ", text)
    return STYLED_RUN.sub(lambda match: f"{STYLED} {match[0].translate(SQUARED)}", text)


def unmix(match: re.Match[str]) -> str:
    """A word with letters of two scripts becomes the Latin word that it looks like."""
    word = match[0]
    if word.isascii():
        return word
    latin = word.translate(_LOOKALIKES)
    mixed = latin.isascii() and any(character.isascii() for character in word)
    return f"{HOMOGLYPH} {latin}" if mixed else word


def _plain(text: str) -> str:
    """An address, host or media type: lower case, digits folded, markers impossible."""
    return _fold_digits(PRIVATE_USE.sub("", text[:200].lower()))


def domain_of(address: str) -> str:
    return address.rpartition("@")[2]


def _cut(text: str, head: int, tail: int) -> str:
    if len(text) <= head + tail:
        return text
    return f"{text[:head]} {text[-tail:]}" if tail else text[:head]
