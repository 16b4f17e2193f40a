"""Normalised text to subword ids, by Hugging Face `tokenizers`.

Byte-level BPE: every text has ids, none is unknown. Words and punctuation are told apart before merging and each is
given a leading space, so that "hello , world" and "hello, world" are the same ids: corpora that were split at
punctuation teach nothing by their spacing.
"""

import re
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from classifier.text import MARKERS

PADDING = "<pad>"
PADDING_ID = 0
_PADDING_AS_TEXT = "< pad >"
WORD_START = "\u0120"  # how byte-level BPE writes the space before a word

# Merges never cross white space or punctuation, so a text's ids are its pieces' ids one after the other. Only what
# every tokenizer of ours takes for a border is one here: a space, and ASCII punctuation, which is a piece by itself.
_PIECE = re.compile(r"[^ !-/:-@\[-`{-~]+|[!-/:-@\[-`{-~]")
# Pieces whose ids are remembered: mail repeats itself.
_REMEMBERED_PIECES = 32_768
# Longer ones are not remembered, so that nobody fills the memory with them: at most 20 characters, 80 ids a piece.
_LONGEST_REMEMBERED = 20


class TextTokenizer:
    """Wraps one trained `tokenizers.Tokenizer`; safe to use from several threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.vocabulary_size: int = tokenizer.get_vocab_size()
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        self.marker_ids: dict[str, int] = {marker: vocabulary[marker] for marker in MARKERS}
        # Stands for a word that is not to be known. Text has a full stop with the space before it, as one token.
        self.unknown_id: int = vocabulary["."]
        self._remembered = lru_cache(_REMEMBERED_PIECES)(self._encode)

    @classmethod
    def learn(cls, texts: Iterator[str], vocabulary_size: int, *, show_progress: bool = False) -> "TextTokenizer":
        """Learn the merges from texts, read once.

        Args:
            texts: normalised texts (classifier.text).
            vocabulary_size: at most this many ids, of which 256 are bytes and some are markers.
        """
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            min_frequency=3,
            special_tokens=[PADDING, *MARKERS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=show_progress,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def from_json(cls, text: str) -> "TextTokenizer":
        """Read what `to_json` wrote."""
        return cls(Tokenizer.from_str(text))

    def to_json(self) -> str:
        """Return the whole tokenizer as JSON."""
        return str(self._tokenizer.to_str())

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; none for an empty one."""
        pieces = _PIECE.findall(text)
        if max(map(len, pieces), default=0) > _LONGEST_REMEMBERED:
            return list(chain.from_iterable(map(self._piece, pieces)))
        return list(chain.from_iterable(map(self._remembered, pieces)))

    def _piece(self, piece: str) -> "array[int]":
        return self._remembered(piece) if len(piece) <= _LONGEST_REMEMBERED else self._encode(piece)

    def _encode(self, text: str) -> "array[int]":
        return array("I", self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_with_spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids of a text and where each stands in it: half-open, in code points.

        Tokens that are parts of one character have the same span.
        """
        token_ids: list[int] = []
        spans: list[tuple[int, int]] = []
        start = 0
        # Cut inside the padding token, which the library would take for itself; see encode_batch.
        for part in re.split(f"(?<={PADDING[0]})(?={PADDING[1:]})", text):
            encoding = self._tokenizer.encode(part, add_special_tokens=False)
            token_ids += encoding.ids
            spans += [(start + first, start + end) for first, end in encoding.offsets]
            start += len(part)
        return token_ids, spans

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of several texts, on all cores; those that `encode` returns, which remembers, one by one."""
        # The library takes the padding token for itself where a mail writes it; `encode` sees three pieces.
        texts = [text.replace(PADDING, _PADDING_AS_TEXT) for text in texts]
        return [list(encoding.ids) for encoding in self._tokenizer.encode_batch(texts, add_special_tokens=False)]

    def continues_word(self, token_ids: Sequence[int]) -> list[bool]:
        """Return for each id whether it goes on with the word of the token before it."""
        apart = {PADDING_ID, *self.marker_ids.values()}
        tokens = zip(token_ids, self.tokens(token_ids), strict=True)
        return [token_id not in apart and not token.startswith(WORD_START) for token_id, token in tokens]

    def tokens(self, token_ids: Sequence[int]) -> list[str]:
        """Return each id as a person would read it."""
        return [str(self._tokenizer.decode([token_id], skip_special_tokens=False)) for token_id in token_ids]
