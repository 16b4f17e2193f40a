"""Why a message got its score, for the report: how much each of its words and fields pulls it to spam or to ham.

The weights are those that the service gives (classifier.explanation); here the words are those that the network reads,
for of the corpus that is all there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tokenizers import decoders

from classifier import text as marks
from classifier.encoding import EncodingConfig, select_tokens
from classifier.explanation import logit_of_nothing, token_weights
from classifier.tokenizer import TextTokenizer
from classifier.wide_and_deep import WideAndDeep

FIELD_NAMES: Mapping[str, str] = {
    marks.SUBJECT: "subject",
    marks.SENDER: "sender",
    marks.REPLY_TO: "reply-to",
    marks.ATTACHMENT: "attachment",
    marks.LINK: "link host",
    marks.LINK_MISMATCH: "link text",
    marks.HIDDEN: "hidden text",
    marks.BODY: "body",
}
MARK_NAMES: Mapping[str, str] = {
    marks.URL: "[link]",
    marks.ADDRESS: "[address]",
    marks.CAPITALS: "[capitals]",
    marks.INVISIBLE: "[invisible characters]",
    marks.BIDI: "[turned direction]",
    marks.STYLED: "[styled letters]",
    marks.HOMOGLYPH: "[look-alike letters]",
    marks.SPACED: "[spaced letters]",
    marks.LONG_WORD: "[long word]",
}
_NO_FIELD = "before any field"
_WORD_START = "\u0120"  # how byte-level BPE writes the space before a word
_BYTES = decoders.ByteLevel()


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a message, or a mark that the normalised text has in its place."""

    text: str  # "[subject]" for the mark that opens the subject
    field: str
    weight: float  # nats, positive pulls to spam


@dataclass(frozen=True, slots=True)
class Reasons:
    """What made a message's logit. `by_field` tells nothing of what stands in the mail; `words` does."""

    baseline_logit: float  # where nothing is read
    by_field: Mapping[str, float]  # nats, in the order of the fields
    words: Sequence[Word]

    @property
    def logit(self) -> float:
        """The message's logit: where nothing is read, and the pull of each field."""
        return self.baseline_logit + sum(self.by_field.values())

    def without_words(self) -> "Reasons":
        """Return what may be shown of private mail."""
        return replace(self, words=())

    def strongest(self, count: int) -> tuple[list[Word], list[Word]]:
        """Return the words that pull most to spam and those that pull most to ham; a word counts once a field."""
        weights: dict[tuple[str, str], float] = {}
        for word in self.words:
            key = (word.text, word.field)
            weights[key] = weights.get(key, 0.0) + word.weight
        words = sorted((Word(*key, weight) for key, weight in weights.items()), key=lambda word: -word.weight)
        return [word for word in words[:count] if word.weight > 0], [
            word for word in words[: -count - 1 : -1] if word.weight < 0
        ]


def reasons(
    model: WideAndDeep, tokenizer: TextTokenizer, token_ids: Sequence[int], encoding: EncodingConfig
) -> Reasons:
    """Return the reasons for the logit of one message.

    Args:
        model: in evaluation mode.
        token_ids: the whole message; of a long one head and tail are read.
    """
    selected, _ = select_tokens(token_ids, encoding)
    (weights,) = token_weights(model, [selected], encoding)
    words = _words(tokenizer, selected, weights.tolist())
    by_field = dict.fromkeys((*FIELD_NAMES.values(), _NO_FIELD), 0.0)
    for word in words:
        by_field[word.field] += word.weight
    there = {word.field for word in words}
    return Reasons(logit_of_nothing(model), {name: by_field[name] for name in by_field if name in there}, words)


def _words(tokenizer: TextTokenizer, token_ids: Sequence[int], weights: Sequence[float]) -> list[Word]:
    """Tokens put together to words, in their order."""
    words: list[Word] = []
    field, opens_word = _NO_FIELD, True
    pieces: list[str] = []  # tokens of the last word: letters of more than one byte may be torn between two
    for token, weight in zip(tokenizer.tokens(token_ids), weights, strict=True):
        if token in marks.MARKERS:
            field = FIELD_NAMES.get(token, field)
            words.append(Word(MARK_NAMES.get(token, f"[{field}]"), field, weight))
            opens_word = True
            continue
        if opens_word or token.startswith(_WORD_START):
            pieces = []
            words.append(Word("", field, 0.0))
        pieces.append(token)
        words[-1] = Word(_BYTES.decode(pieces).strip(), field, words[-1].weight + weight)
        opens_word = False
    return words
