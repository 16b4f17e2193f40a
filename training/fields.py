"""Parts of messages as token ids, to learn from: what tells collections apart better than spam from ham is left out.

That is sender, links and hidden text, and what stands at the same place in every mail of a list or a mailbox: its
greeting, its footer, the line above a quotation. An excerpt of the body has them seldom, and whole mails are always
among what is learned too (docs/experiments.md, 2026-11-28).
"""

import numpy as np
from numpy.typing import NDArray

from classifier.text import ATTACHMENT, BODY, FIELD_MARKERS, SUBJECT
from classifier.tokenizer import TextTokenizer

Ids = NDArray[np.int64]

# What says something wherever a mail comes from; sender, links and hidden text name the collection.
_KEPT = (SUBJECT, BODY, ATTACHMENT)
# Shares of the body that an excerpt has, and its fewest tokens.
_SHORTEST, _LONGEST = 0.05, 0.6
_FEWEST = 20


class Fields:
    """Finds the fields of a message by the ids of their markers."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        ids = tokenizer.marker_ids
        self._body = ids[BODY]
        self._markers = np.array([ids[marker] for marker in FIELD_MARKERS], np.int64)
        self._droppable = np.array([ids[marker] for marker in FIELD_MARKERS if marker not in _KEPT], np.int64)
        self._unknown = tokenizer.unknown_id
        self._continues = np.array(tokenizer.continues_word(range(tokenizer.vocabulary_size)))

    def are_markers(self, token_ids: Ids) -> NDArray[np.bool_]:
        """Whether each token opens a field."""
        return np.isin(token_ids, self._markers)

    def kept(self, token_ids: Ids, dropout: float, random: np.random.Generator) -> NDArray[np.bool_]:
        """Whether each token stays when every field that names the collection is left out with that chance."""
        return self.kept_and_markers(token_ids, dropout, random)[0]

    def kept_and_markers(
        self, token_ids: Ids, dropout: float, random: np.random.Generator
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return what `kept` and `are_markers` do, the markers looked for once."""
        is_marker = self.are_markers(token_ids)
        opens = token_ids[is_marker]
        is_dropped = np.isin(opens, self._droppable) & (random.random(len(opens)) < dropout)
        # Field number 0 is what stands before the first marker: nothing, mostly.
        return ~np.concatenate(([False], is_dropped))[np.cumsum(is_marker)], is_marker

    def excerpt(self, token_ids: Ids, random: np.random.Generator) -> NDArray[np.bool_]:
        """Whether each token stays when a run of the body, the last field, stands for all of it."""
        kept = np.ones(len(token_ids), np.bool_)
        bodies = np.flatnonzero(token_ids == self._body)
        start = int(bodies[0]) + 1 if len(bodies) else len(token_ids)
        length = len(token_ids) - start
        if length > _FEWEST:
            run = max(_FEWEST, int(length * random.uniform(_SHORTEST, _LONGEST)))
            first = start + int(random.integers(length - run + 1))
            kept[start:first] = False
            kept[first + run :] = False
        return kept

    def with_unknown_words(self, token_ids: Ids) -> Ids:
        """Return the tokens, every one of a word of several tokens as unknown."""
        continues = self._continues[token_ids]
        is_piece = continues.copy()
        is_piece[:-1] |= continues[1:]
        return np.where(is_piece, self._unknown, token_ids)
