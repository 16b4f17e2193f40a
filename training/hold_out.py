"""Holds mail out, whatever it is: a split, a vocabulary and a contest of their own for each set of messages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.tokenizer import TextTokenizer
from training.config import TrainingConfig
from training.contest import Task, contest, fingerprint
from training.corpus import Corpus, Texts, TokenIds
from training.errors import DataError
from training.language_model import Pretrained
from training.prepare import encoded, prepare
from training.progress import say
from training.split import Part

_UNUSED = -1

# By name, which messages are held out together: bool (N,).
Folds = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class HoldOut:
    """Mail, prepared once, of which one fold after another is held out."""

    sources: Sequence[str]
    config: TrainingConfig
    folder: Path
    corpus: Corpus
    tokenizer: TextTokenizer
    # Every LSTM starts from it, and its vocabulary is everyone's: saves its hours, but it has read what is held out.
    pretrained: Pretrained | None = None

    @classmethod
    def of(
        cls, sources: Sequence[str], config: TrainingConfig, folder: Path, pretrained: Pretrained | None = None
    ) -> "HoldOut":
        """Prepare the mail below `folder`."""
        corpus, tokenizer = prepare(sources, config, folder / "prepared")
        return cls(sources, config, folder, corpus, tokenizer, pretrained)

    def results(
        self, folds: Folds, contenders: Sequence[str], only: Sequence[str] = ()
    ) -> Iterator[tuple[str, Task, dict[str, Any]]]:
        """Hold out one fold after another; yield its name, its task, and the result that goes into metrics.json.

        What an earlier run with the same mail and settings finished there is taken up.

        Args:
            only: names of the folds to do, all without any.

        Raises:
            DataError: there is no such fold.
        """
        if unknown := [name for name in only if name not in folds]:
            raise DataError(f"cannot hold out {', '.join(unknown)}; these can be: {', '.join(folds) or 'none'}")
        for name in only or folds:
            task = self._task(name, folds[name])
            say(f"without {name}: {len(task.corpus.places(Part.TRAIN))} messages to learn from")
            result = {
                "messages": {part.name.lower(): len(task.corpus.places(part)) for part in Part},
                "near_copies_left_out": int((task.corpus.parts == _UNUSED).sum()),
                "contenders": contest(contenders, task),
            }
            yield name, task, result

    def _task(self, name: str, held: NDArray[np.bool_]) -> Task:
        place, texts = self.folder / "without" / name, self.corpus.texts()
        place.mkdir(parents=True, exist_ok=True)
        split = without(self.corpus, held, self.corpus.folder if self.pretrained else place)
        key = fingerprint(split, self.tokenizer, self.config)
        if self.pretrained:
            tokenizer, key = self.tokenizer, f"{key} {self.pretrained.fingerprint}"
        else:
            tokenizer = _own_vocabulary(split, texts, self.config, key)
        return Task(place, split, texts, tokenizer, self.config, self.sources, self.folder, key, self.pretrained)


def _own_vocabulary(split: Corpus, texts: Texts, config: TrainingConfig, key: str) -> TextTokenizer:
    """A tokenizer learned on the train part of the split, and its ids; made in the split's folder unless there."""
    own, done = split.folder / "tokenizer.json", split.folder / "encoded"
    if done.exists() and done.read_text(encoding="utf-8") == key:
        return TextTokenizer.from_json(own.read_text(encoding="utf-8"))
    done.unlink(missing_ok=True)
    say(f"{split.folder}: learning the vocabulary")
    train = (texts[place] for place in split.places(Part.TRAIN))
    tokenizer = TextTokenizer.learn(train, config.network.vocabulary_size)
    TokenIds.write(split.folder, encoded(texts, tokenizer), tokenizer.vocabulary_size)
    own.write_text(tokenizer.to_json(), encoding="utf-8")
    done.write_text(key, encoding="utf-8")
    return tokenizer


def without(corpus: Corpus, held: NDArray[np.bool_], folder: Path) -> Corpus:
    """Return the corpus with `held` as its test part and no near copy of it elsewhere; its ids are kept in `folder`.

    The validation part stays what it is, but for those near copies; all else is trained on.
    """
    parts = np.where(corpus.parts == Part.VALIDATION, Part.VALIDATION, Part.TRAIN).astype(np.int8)
    parts[np.isin(corpus.clusters, corpus.clusters[held])] = _UNUSED
    parts[held] = Part.TEST
    return replace(corpus, folder=folder, parts=parts)
