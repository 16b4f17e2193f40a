"""Normalised text to subword ids, by Hugging Face `tokenizers`.

Byte-level BPE: every text has ids, none is unknown. Words and punctuation are told apart before merging and each is
given a leading space, so that "hello , world" and "hello, world" are the same ids: corpora that were split at
punctuation teach nothing by their spacing.
"""

from collections.abc import Iterator, Sequence

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from classifier.text import MARKERS

PADDING = "<pad>"
PADDING_ID = 0


class TextTokenizer:
    """Wraps one trained `tokenizers.Tokenizer`; safe to use from several threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.vocabulary_size: int = tokenizer.get_vocab_size()
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        self.marker_ids: dict[str, int] = {marker: vocabulary[marker] for marker in MARKERS}

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
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of several texts, on all cores."""
        return [list(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def tokens(self, token_ids: Sequence[int]) -> list[str]:
        """Return each id as a person would read it."""
        return [str(self._tokenizer.decode([token_id], skip_special_tokens=False)) for token_id in token_ids]
