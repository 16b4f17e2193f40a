"""Training mail disguised as spammers disguise it (training.tricks), on token ids, cheaply enough for every batch.

Spam is disguised at the chances that Disguises sets, ham at a quarter of them: newsletters have soft hyphens and
spaced headings too, and a mark that only spam ever had would be a verdict by itself. All chances 0 leave every message
as it is, and draw no random number.
"""

import numpy as np
from numpy.typing import NDArray

from classifier.text import BODY, HIDDEN, HOMOGLYPH, INVISIBLE, SPACED, STYLED, SUBJECT
from classifier.tokenizer import WORD_START, TextTokenizer
from training.config import Disguises
from training.corpus import Corpus
from training.fields import Fields

Ids = NDArray[np.int64]
Random = np.random.Generator

_HAM_SHARE = 0.25
# Good words that a spam gets, and messages of ham that they are taken from.
_FEWEST_WORDS, _MOST_WORDS = 15, 150
_GOOD_MESSAGES = 2_000
_SHORTEST_WORD = 3
# Normalising keeps 300 characters of hidden text.
_HIDDEN_RUN = 70
# At most this share of the words of a message is disguised.
_MOST_DISGUISED = 0.6
_LEET_LETTERS = "aeiost"
_LEET_FORMS = 3


class Augmenter:
    """Disguises messages of a corpus; what it does to one follows from the random numbers it is handed."""

    def __init__(self, corpus: Corpus, places: Ids, tokenizer: TextTokenizer, disguises: Disguises) -> None:
        """Take what is needed from the train part.

        Args:
            places: the messages that are fitted on; good words are taken from their ham alone.
        """
        self._chances = disguises
        self._is_spam = corpus.is_spam
        self._token_ids = corpus.token_ids()
        marker_ids = tokenizer.marker_ids
        self._body, self._hidden = marker_ids[BODY], marker_ids[HIDDEN]
        self._fields = Fields(tokenizer)
        self._read_fields = np.array([marker_ids[marker] for marker in (SUBJECT, HIDDEN, BODY)])
        self._marks = [marker_ids[marker] for marker in (INVISIBLE, HOMOGLYPH, STYLED, SPACED)]
        tokens = tokenizer.tokens(range(tokenizer.vocabulary_size))
        self._starts_word = np.array([token[:1] == WORD_START and token[1:].isalpha() for token in tokens])
        self._letters = np.array([len(word) if (word := token.lstrip(WORD_START)).isalpha() else 0 for token in tokens])
        self._good_words = self._words_of(places[~self._is_spam[places]]) if disguises.good_words_chance else []
        self._leet_forms = _leet_forms(tokens, tokenizer) if disguises.leet_chance else {}

    def augmented(self, place: int, random: Random) -> Ids:
        """Return the ids of the message at `place`, disguised or as they are."""
        token_ids = self._token_ids[place]
        share = 1.0 if self._is_spam[place] else _HAM_SHARE
        if _happens(self._chances.leet_chance * share, random):
            token_ids = self._with_digits(token_ids, random)
        if _happens(self._chances.tricks_chance * share, random):
            token_ids = self._with_marks(token_ids, random)
        if self._good_words and _happens(self._chances.good_words_chance * share, random):
            token_ids = self._with_good_words(token_ids, bool(self._is_spam[place]), random)
        return token_ids

    def _with_digits(self, token_ids: Ids, random: Random) -> Ids:
        pieces: list[Ids] = []
        end = 0
        for position in self._some_words(token_ids, random).tolist():
            if forms := self._leet_forms.get(int(token_ids[position])):
                pieces += [token_ids[end:position], forms[int(random.integers(len(forms)))]]
                end = position + 1
        return np.concatenate([*pieces, token_ids[end:]])

    def _with_marks(self, token_ids: Ids, random: Random) -> Ids:
        mark = self._marks[int(random.integers(len(self._marks)))]
        return np.insert(token_ids, self._some_words(token_ids, random), mark)

    def _some_words(self, token_ids: Ids, random: Random) -> Ids:
        """Where a random share of the words begins that a reader can see or that are hidden."""
        is_field = self._fields.are_markers(token_ids)
        is_read = np.isin(token_ids[is_field], self._read_fields)
        words = self._starts_word[token_ids] & np.concatenate(([False], is_read))[np.cumsum(is_field)]
        return np.flatnonzero(words & (random.random(len(token_ids)) < random.uniform(0, _MOST_DISGUISED)))

    def _with_good_words(self, token_ids: Ids, may_hide: bool, random: Random) -> Ids:
        drawn = random.integers(len(self._good_words), size=int(random.integers(_FEWEST_WORDS, _MOST_WORDS + 1)))
        run = np.concatenate([self._good_words[word] for word in drawn.tolist()])
        bodies = np.flatnonzero(token_ids == self._body)
        if not len(bodies):
            return np.concatenate([token_ids, [self._body], run])
        where = int(random.integers(3 if may_hide else 2))
        if where == 0:
            return np.insert(token_ids, bodies[0] + 1, run)
        if where == 1:
            return np.concatenate([token_ids, run])
        hidden = np.flatnonzero(token_ids == self._hidden)
        if len(hidden):
            return np.insert(token_ids, hidden[0] + 1, run[:_HIDDEN_RUN])
        return np.insert(token_ids, bodies[0], np.concatenate([[self._hidden], run[:_HIDDEN_RUN]]))

    def _words_of(self, ham: Ids) -> list[Ids]:
        """Words of the bodies of some ham, the tokens of each, as often as they are written there.

        Words alone: with the numbers and punctuation behind them, what only a mail of code or figures has would count
        for spam (docs/experiments.md).
        """
        words: list[Ids] = []
        for place in np.random.default_rng(0).permutation(ham)[:_GOOD_MESSAGES].tolist():
            token_ids = self._token_ids[place]
            bodies = np.flatnonzero(token_ids == self._body)
            body = token_ids[bodies[0] + 1 :] if len(bodies) else token_ids[:0]
            starts = np.flatnonzero(self._starts_word[body])
            # A word ends where the next begins, or at the first token that is no letters.
            breaks = np.flatnonzero(self._starts_word[body] | (self._letters[body] == 0))
            ends = np.append(breaks, len(body))[np.searchsorted(breaks, starts, side="right")]
            words += [body[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        return [word for word in words if self._letters[word].sum() >= _SHORTEST_WORD]


def _happens(chance: float, random: Random) -> bool:
    return chance > 0 and bool(random.random() < chance)


def _leet_forms(tokens: list[str], tokenizer: TextTokenizer) -> dict[int, list[Ids]]:
    """Forms of each token that begins a word, with digits for some letters: a 0, as normalised text writes them all."""
    random = np.random.default_rng(0)
    owners: list[int] = []
    texts: list[str] = []
    for token_id, token in enumerate(tokens):
        word = token[1:]
        if token[:1] == WORD_START and word.isalpha() and set(word) & set(_LEET_LETTERS):
            for _ in range(_LEET_FORMS):
                odds = random.random(len(word))
                texts.append(
                    "".join("0" if c in _LEET_LETTERS and p < 0.5 else c for c, p in zip(word, odds, strict=True))
                )
                owners.append(token_id)
    forms: dict[int, list[Ids]] = {}
    for owner, encoded in zip(owners, tokenizer.encode_batch(texts), strict=True):
        forms.setdefault(owner, []).append(np.array(encoded, np.int64))
    return forms
