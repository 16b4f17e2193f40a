"""The normalised text of a message, with the way back from each of its characters to the mail as a person sees it.

`classifier.text` is what scoring runs: fast, and without memory of where anything stood. Here stand the same steps as a
plain row of substitutions that remember it. Both give the same text for every mail (tests/classifier/test_text.py);
this one takes about ten times as long and runs only where reasons are asked for.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier import text as marks

Places = NDArray[np.int64]
# A piece of a rewritten text: the characters, and the stretch of the old text that they stand for.
Piece = tuple[str, int, int]
Rewrite = Callable[[re.Match[str]], Sequence[Piece]]

# As a person would write them; those of classifier.text begin with a set of characters, and find the same.
_URL = re.compile(r"(?:(?:h[tx]{2}ps?|ftp)\s?:\s?/\s?/|www\s?\.)\s?[^\s<>\"]+", re.IGNORECASE)
_CAPITALS = re.compile(r"\b[A-Z][A-Z0-9]{2,}\b(?:[ ,.!:;-]+[A-Z][A-Z0-9]*\b)*")
_SEPARATED = re.compile(r"[^ .*_-]")
_TORN = re.compile(rf"[A-Za-z]+(?:{marks.INVISIBLE}+[A-Za-z]+)+")
_LETTERS = re.compile("[A-Za-z]+")
_SPACE = re.compile(r"\s+")
_DIGITS = str.maketrans("123456789", "000000000")
# Before a character that neither combines with what stands before it nor is a jamo, NFKC can be cut.
_JAMO = range(0x1100, 0x1200)


@dataclass(frozen=True, slots=True)
class Traced:
    """A text and, for each of its C characters, the half-open stretch of a source that it stands for."""

    text: str
    starts_C: Places
    ends_C: Places

    @classmethod
    def of(cls, text: str) -> "Traced":
        """A text that is its own source."""
        places_C = np.arange(len(text), dtype=np.int64)
        return cls(text, places_C, places_C + 1)

    @classmethod
    def nowhere(cls, text: str) -> "Traced":
        """A text that stands for nothing in the source."""
        places_C = np.zeros(len(text), np.int64)
        return cls(text, places_C, places_C)

    @classmethod
    def joined(cls, texts: Sequence["Traced"]) -> "Traced":
        """Texts one after the other, all of one source."""
        return cls(
            "".join(traced.text for traced in texts),
            np.concatenate([traced.starts_C for traced in texts]),
            np.concatenate([traced.ends_C for traced in texts]),
        )

    def stretch(self, start: int, end: int) -> "Traced":
        """The part from `start` to `end`."""
        return Traced(self.text[start:end], self.starts_C[start:end], self.ends_C[start:end])

    def rewritten(self, pieces: Sequence[Piece]) -> "Traced":
        """Return the text made of pieces of this one.

        A piece as long as its stretch stands for it character by character; else each of its characters stands for all
        of it. A mark is given as pieces of one character, see `_mark`.
        """
        if not pieces:
            return Traced.of("")
        texts, starts, ends = zip(*pieces, strict=True)
        lengths_P = np.fromiter(map(len, texts), np.int64, len(texts))
        starts_P, ends_P = np.array(starts, np.int64), np.array(ends, np.int64)
        return self._of_stretches("".join(texts), lengths_P, starts_P, ends_P, lengths_P == ends_P - starts_P)

    def _of_stretches(
        self, text: str, lengths_P: Places, starts_P: Places, ends_P: Places, one_by_one_P: NDArray[np.bool_]
    ) -> "Traced":
        size = len(self.text)
        if not size:
            return Traced.of("")
        inside_C = np.arange(len(text)) - np.repeat(np.cumsum(lengths_P) - lengths_P, lengths_P)
        one_by_one_C = np.repeat(one_by_one_P, lengths_P)
        first_C = np.repeat(starts_P, lengths_P) + np.where(one_by_one_C, inside_C, 0)
        last_C = np.where(one_by_one_C, first_C, np.repeat(ends_P, lengths_P) - 1)
        # A stretch of no characters, as where a cut was made, stands for where it is.
        starts_C = self.starts_C[np.minimum(first_C, size - 1)]
        ends_C = np.where(last_C >= first_C, self.ends_C[np.clip(last_C, 0, size - 1)], starts_C)
        return Traced(text, starts_C, ends_C)

    def replaced(self, pattern: re.Pattern[str], characters: str) -> "Traced":
        """Return the text with these characters for each match, each of them standing for all of it."""
        spans = [match.span() for match in pattern.finditer(self.text)]
        if not spans:
            return self
        matches_M2 = np.array(spans, np.int64)
        # What is kept and what is replaced take turns.
        borders = np.concatenate([[0], matches_M2.ravel(), [len(self.text)]])
        starts_P, ends_P = borders[:-1], borders[1:]
        is_kept_P = np.arange(len(starts_P)) % 2 == 0
        lengths_P = np.where(is_kept_P, ends_P - starts_P, len(characters))
        text = pattern.sub(characters, self.text)
        return self._of_stretches(text, lengths_P, starts_P, ends_P, is_kept_P)

    def sub(self, pattern: re.Pattern[str], rewrite: Rewrite) -> "Traced":
        """Return the text with the pieces of `rewrite` for each match."""
        pieces: list[Piece] = []
        done = 0
        for match in pattern.finditer(self.text):
            pieces.append((self.text[done : match.start()], done, match.start()))
            pieces += rewrite(match)
            done = match.end()
        if not done:
            return self
        return self.rewritten([*pieces, (self.text[done:], done, len(self.text))])

    def mapped(self, text: str) -> "Traced":
        """Return another text of as many characters, each in the place of the old one."""
        assert len(text) == len(self.text), "not a text of as many characters"
        return Traced(text, self.starts_C, self.ends_C)

    def lower(self) -> "Traced":
        """As `str.lower`, which makes two characters of one in one case."""
        lower = self.text.lower()
        if len(lower) == len(self.text):
            return self.mapped(lower)
        lengths_C = np.array([len(character.lower()) for character in self.text])
        return Traced(lower, np.repeat(self.starts_C, lengths_C), np.repeat(self.ends_C, lengths_C))

    def folded_space(self) -> "Traced":
        """As `" ".join(text.split())`."""
        folded = self.replaced(_SPACE, " ")
        start = int(folded.text.startswith(" "))
        return folded.stretch(start, max(len(folded.text) - int(folded.text.endswith(" ")), start))

    def cut(self, head: int, tail: int, gap: str = " ") -> "Traced":
        """Return the first `head` and the last `tail` characters of a longer text, with `gap` between them."""
        size = len(self.text)
        if size <= head + tail:
            return self
        pieces = [(self.text[:head], 0, head)]
        if tail:
            pieces += [(gap, head, head), (self.text[-tail:], size - tail, size)]
        return self.rewritten(pieces)


def traced_normalise(traced: Traced, head: int, tail: int) -> Traced:
    """Return what classifier.text.normalise returns for the text, with its way back."""
    text = traced.cut(head * marks.UNFOLDED, tail * marks.UNFOLDED)
    text = text.replaced(marks.QUOTE_MARK, "")
    if not text.text.isascii():
        text = _undo_tricks(text)
    text = text.folded_space().cut(head, tail)
    text = text.replaced(marks.ARCHIVE_NOTE, " ")
    text = text.replaced(_URL, f" {marks.URL} ")
    text = text.replaced(marks.WRITTEN_ADDRESS, f" {marks.ADDRESS} ")
    text = text.sub(marks.SPACED_OUT, lambda match: _marked(match, f" {marks.SPACED} ", _SEPARATED))
    text = text.sub(_CAPITALS, lambda match: _same_letters(match, match[0], marks.CAPITALS)).lower()
    text = text.sub(marks.REPEAT, lambda match: [(match[0][:3], match.start(), match.start() + 3)])
    text = text.sub(
        marks.OVERLONG_WORD, lambda match: [*_mark(f"{marks.LONG_WORD} ", match), (match[1], *match.span(1))]
    )
    text = text.mapped(text.text.translate(_DIGITS))
    return text.sub(marks.LONG_NUMBER, lambda match: _shortened(match, 6)).folded_space()


def traced_plain(traced: Traced) -> Traced:
    """An address, host or media type: lower case, digits folded, markers impossible."""
    text = traced.cut(200, 0).lower().replaced(marks.PRIVATE_USE, "")
    return text.mapped(text.text.translate(_DIGITS))


def _undo_tricks(text: Traced) -> Traced:
    text = text.replaced(marks.PRIVATE_USE, "\N{REPLACEMENT CHARACTER}")
    text = text.replaced(marks.INVISIBLE_IN_WORD, marks.INVISIBLE)
    text = text.replaced(marks.INVISIBLE_RUN, "")
    text = text.sub(_TORN, lambda match: _marked(match, f"{marks.INVISIBLE} ", _LETTERS))
    text = text.replaced(marks.BIDI_RUN, f" {marks.BIDI} ")
    text = text.sub(
        marks.STYLED_RUN, lambda match: _same_letters(match, match[0].translate(marks.SQUARED), marks.STYLED)
    )
    text = text.rewritten(list(_compatible(text.text)))
    return text.sub(marks.MIXABLE_WORD, _unmixed)


def _mark(characters: str, match: re.Match[str]) -> Sequence[Piece]:
    """Characters each of which stands for all of a match."""
    return [(character, *match.span()) for character in characters]


def _marked(match: re.Match[str], mark: str, kept: re.Pattern[str]) -> Sequence[Piece]:
    """A mark for all of the match, then what is kept of it."""
    kept_parts = kept.finditer(match.string, *match.span())
    return [*_mark(mark, match), *((part[0], *part.span()) for part in kept_parts)]


def _same_letters(match: re.Match[str], letters: str, mark: str) -> Sequence[Piece]:
    return [*_mark(f"{mark} ", match), (letters, *match.span())]


def _unmixed(match: re.Match[str]) -> Sequence[Piece]:
    word = match[0]
    unmixed = marks.unmix(match)
    return [(word, *match.span())] if unmixed == word else _same_letters(match, unmixed[-len(word) :], marks.HOMOGLYPH)


def _shortened(match: re.Match[str], most: int) -> Sequence[Piece]:
    """The first characters of a match; the last of them stands for the rest."""
    last = match.start() + most - 1
    return [(match[0][: most - 1], match.start(), last), (match[0][-1], last, match.end())]


def _compatible(text: str) -> Iterator[Piece]:
    """Compatibility forms (NFKC), piece by piece as classifier.text takes them, each traced as finely as it can be."""
    for start in range(0, len(text), marks.NFKC_PIECE):
        piece = text[start : start + marks.NFKC_PIECE]
        whole = unicodedata.normalize("NFKC", piece)
        if whole == piece:
            yield piece, start, start + len(piece)
            continue
        ends = [place for place in range(1, len(piece)) if _can_cut_before(piece[place])] + [len(piece)]
        starts = [0, *ends[:-1]]
        parts = [
            (unicodedata.normalize("NFKC", piece[first:end]), start + first, start + end)
            for first, end in zip(starts, ends, strict=True)
        ]
        # Some characters compose with what stands before them though they do not combine.
        yield from parts if "".join(part for part, _, _ in parts) == whole else [(whole, start, start + len(piece))]


def _can_cut_before(character: str) -> bool:
    return not unicodedata.combining(character) and ord(character) not in _JAMO
