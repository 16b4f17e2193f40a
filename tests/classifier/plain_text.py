"""Normalisation as a plain row of substitutions: what classifier.text does, without its short cuts."""

import re
import unicodedata

from classifier import text as fast

_ARCHIVE_NOTE = re.compile(
    r"\[\[alternative html version deleted\]\]|\[(?:removed|redacted)\]|\bredacted(?:@redacted\.com)?\b", re.IGNORECASE
)
_URL = re.compile(r"(?:(?:h[tx]{2}ps?|ftp)\s?:\s?/\s?/|www\s?\.)\s?[^\s<>\"]+", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}(?: ?@ ?|\(at\))[\w.-]{1,255}")
_CAPITALS = re.compile(r"\b[A-Z][A-Z0-9]{2,}\b(?:[ ,.!:;-]+[A-Z][A-Z0-9]*\b)*")
_SPACED = re.compile(r"(?<!\w)(?:\w[ .*_-]){3,}\w(?!\w)")
_REPEAT = re.compile(r"(\S)\1{3,}")
_LONG_WORD = re.compile(r"(\S{40})\S+")
_DIGITS = str.maketrans("123456789", "000000000")


def plain_normalise(text: str, head: int, tail: int) -> str:
    """Return what `normalise` returns for a text that needs no cutting before white space is folded."""
    text = re.sub(r"^[ \t]*(?:[>|][ \t]?)+", "", text, flags=re.MULTILINE)
    if not text.isascii():
        text = _plain_undo(text)
    text = " ".join(text.split())
    if len(text) > head + tail:
        text = f"{text[:head]} {text[-tail:]}" if tail else text[:head]
    text = _ARCHIVE_NOTE.sub(" ", text)
    text = _URL.sub(f" {fast.URL} ", text)
    text = _ADDRESS.sub(f" {fast.ADDRESS} ", text)
    text = _SPACED.sub(lambda match: f" {fast.SPACED} {re.sub('[ .*_-]', '', match[0])}", text)
    text = _CAPITALS.sub(lambda match: f"{fast.CAPITALS} {match[0]}", text)
    text = _REPEAT.sub(r"\1\1\1", text.lower())
    text = _LONG_WORD.sub(rf"{fast.LONG_WORD} \1", text)
    return " ".join(re.sub("0{6,}", "000000", text.translate(_DIGITS)).split())


def _plain_undo(text: str) -> str:
    text = re.sub("[\ue000-\uf8ff]", "\N{REPLACEMENT CHARACTER}", text)
    text = fast._INVISIBLE_IN_WORD.sub(fast.INVISIBLE, text)
    text = fast._INVISIBLE_RUN.sub("", text)
    torn = rf"[A-Za-z]+(?:{fast.INVISIBLE}+[A-Za-z]+)+"
    text = re.sub(torn, lambda match: f"{fast.INVISIBLE} " + match[0].replace(fast.INVISIBLE, ""), text)
    text = fast._BIDI.sub(f" {fast.BIDI} ", text)
    text = fast._STYLED.sub(lambda match: f"{fast.STYLED} {match[0].translate(fast._SQUARED)}", text)
    text = "".join(unicodedata.normalize("NFKC", text[start : start + 512]) for start in range(0, len(text), 512))
    return fast._MIXABLE_WORD.sub(fast._unmix, text)
