"""Weights of tokens to reasons: the words and phrases of the shown message that moved the score."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from classifier import text as marks
from classifier.encoding import EncodingConfig, PreparedMessage, select_tokens
from classifier.facts import Fact, facts
from classifier.message import Message
from classifier.shown_message import SHOWN_FIELDS, ShownMessage, show_message
from classifier.text import message_text
from classifier.tokenizer import TextTokenizer

MAX_REASONS = 30
# Nats; what moves the odds by less than a twentieth is no reason.
_LEAST = 0.05
_LONGEST_PHRASE = 8  # words
_LONGEST_TEXT = 200  # characters
_WIDEST_SPACE = 3
# What belongs to a phrase beside letters and digits.
_OPENING, _CLOSING = frozenset("$€£#@!"), frozenset("%€£$!?")
# A neighbour belongs to the phrase of a word when it pulls the same way, at least so much of what the word does.
_SHARE_OF_PEAK = 0.25
# Marks that say what was done to the word behind them; the others stand for what was there.
_OF_NEXT_WORD = frozenset(
    (marks.CAPITALS, marks.INVISIBLE, marks.STYLED, marks.HOMOGLYPH, marks.SPACED, marks.LONG_WORD)
)


@dataclass(frozen=True, slots=True)
class Reason:
    """A stretch of a shown field, half-open in code points, and how far it moved the log-odds of spam."""

    text: str
    field: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the shown message and the tokens that stand for it."""

    field: str
    start: int
    end: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is told of a verdict."""

    reasons: list[Reason]  # strongest first
    shown: dict[str, str]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainableMessage(PreparedMessage):
    """A prepared message that can be followed back to what a person sees."""

    shown: dict[str, str]
    facts: tuple[Fact, ...]
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class WeighedMessage:
    """A message, and how far each of its tokens moves the log-odds of spam, in nats."""

    message: ExplainableMessage
    weights: Sequence[float]

    def explanation(self) -> Explanation:
        """Put the tokens together to reasons."""
        return Explanation(self._reasons(), self.message.shown, self.message.facts)

    def _reasons(self) -> list[Reason]:
        sums = [sum(self.weights[token] for token in word.tokens) for word in self.message.words]
        found: list[Reason] = []
        used: set[int] = set()
        for peak in sorted(range(len(sums)), key=lambda place: -abs(sums[place])):
            if peak in used or abs(sums[peak]) < _LEAST:
                continue
            first, last = self._phrase(peak, sums, used)
            used.update(range(first, last + 1))
            found += self._reason(first, last, sum(sums[first : last + 1]))
        found.sort(key=lambda reason: -abs(reason.weight))
        return found[:MAX_REASONS]

    def _phrase(self, peak: int, sums: Sequence[float], used: set[int]) -> tuple[int, int]:
        """The first and the last of the words that make one reason with the word `peak`."""
        first = last = peak
        while last - first + 1 < _LONGEST_PHRASE:
            if self._joins(first - 1, first, last, sums, used, peak):
                first -= 1
            elif self._joins(last + 1, first, last, sums, used, peak):
                last += 1
            else:
                break
        return first, last

    def _joins(self, place: int, first: int, last: int, sums: Sequence[float], used: set[int], peak: int) -> bool:
        if not 0 <= place < len(sums) or place in used:
            return False
        left, right = (
            (self.message.words[place], self.message.words[first])
            if place < first
            else (self.message.words[last], self.message.words[place])
        )
        if left.field != right.field or sums[place] * sums[peak] < _SHARE_OF_PEAK * sums[peak] ** 2:
            return False
        shown = self.message.shown[left.field]
        between = shown[left.end : right.start]
        if not between:
            return True
        # A phrase ends at punctuation with a space beside it, and where a line is left empty.
        is_words = all(any(map(str.isalnum, shown[word.start : word.end])) for word in (left, right))
        return is_words and between.isspace() and len(between) <= _WIDEST_SPACE and between.count("\n") < 2

    def _reason(self, first: int, last: int, weight: float) -> Iterator[Reason]:
        """The phrase without the punctuation at its ends; none where it is nothing else."""
        words = self.message.words
        field, start, end = words[first].field, words[first].start, words[last].end
        shown = self.message.shown[field]
        end = min(end, start + _LONGEST_TEXT)
        while start < end and not (shown[start].isalnum() or shown[start] in _OPENING):
            start += 1
        while start < end and not (shown[end - 1].isalnum() or shown[end - 1] in _CLOSING):
            end -= 1
        if start < end:
            yield Reason(shown[start:end], field, start, end, weight)


def explainable(message: Message, tokenizer: TextTokenizer, encoding: EncodingConfig) -> ExplainableMessage:
    """Return a message prepared as for scoring, with what its reasons need."""
    shown = show_message(message)
    token_ids, spans = tokenizer.encode_with_spans(shown.text)
    text = message_text(message)
    if shown.text != text:  # a bug of ours; the score is that of scoring all the same, and nothing is pointed at
        token_ids, spans = tokenizer.encode(text), []
    selected, truncated = select_tokens(token_ids, encoding)
    kept, _ = select_tokens(range(len(token_ids)), encoding)
    return ExplainableMessage(
        token_ids=selected,
        truncated=truncated,
        defects=message.defects,
        shown=shown.shown,
        facts=tuple(facts(message, text, truncated=truncated)),
        words=tuple(_side_by_side(_words(shown, [spans[token] for token in kept]))) if spans else (),
    )


def _words(shown: ShownMessage, spans: Sequence[tuple[int, int]]) -> Iterator[Word]:
    """Tokens put together to words, in their order; what is not shown has none."""
    starts, ends = shown.starts_C.tolist(), shown.ends_C.tolist()

    def word(tokens: Sequence[int]) -> Iterator[Word]:
        letters = [token for token in tokens if shown.text[spans[token][0]] not in _OF_NEXT_WORD] or tokens
        places = [place for token in letters for place in range(*spans[token]) if ends[place] > starts[place]]
        if places:
            field = SHOWN_FIELDS[shown.field_C[places[0]]]
            start, end = min(starts[place] for place in places), max(ends[place] for place in places)
            yield Word(field, start, end, tuple(tokens))

    tokens: list[int] = []
    for token, span in enumerate(spans):
        if tokens and not _goes_on(shown.text, spans[token - 1], span):
            yield from word(tokens)
            tokens = []
        tokens.append(token)
    yield from word(tokens)


def _side_by_side(words: Iterator[Word]) -> list[Word]:
    """Words that share a character, as the two halves of a fraction sign do, are one."""
    apart: list[Word] = []
    for word in words:
        if apart and apart[-1].field == word.field and word.start < apart[-1].end:
            last = apart.pop()
            word = Word(last.field, min(last.start, word.start), max(last.end, word.end), last.tokens + word.tokens)
        apart.append(word)
    return apart


def _goes_on(text: str, last: tuple[int, int], span: tuple[int, int]) -> bool:
    if span[0] < last[1] or text[last[0]] in _OF_NEXT_WORD:
        return True
    return span[0] == last[1] and _is_letter(text[last[1] - 1]) and _is_letter(text[span[0]])


def _is_letter(character: str) -> bool:
    """Whether words are made of it; Chinese and Japanese are written without spaces between words."""
    return unicodedata.category(character)[0] in "LMN" and not "\u2e80" <= character <= "\u9fff"
