"""The language that a mail is written in, guessed from its normalised text."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from classifier.text import BODY, SUBJECT

NOT_SURE = "not sure"

# A guess that is less certain, or of less text, says nothing: digits, product names, three words.
_CERTAIN_FROM = 0.9
_FEWEST_LETTERS = 30
_OTHERS = "others"
_NO_LANGUAGE = "zxx"
_READ = re.compile(f"[{SUBJECT}{BODY}]([^\ue000-\uf8ff]*)")
_NO_LETTER = re.compile(r"[\W\d_]+")


def language_of(text: str) -> str:
    """Return the language of a text, ISO 639-1, or "not sure"."""
    words = _NO_LETTER.sub(" ", " ".join(_READ.findall(text)))
    if len(words) < _FEWEST_LETTERS:
        return NOT_SURE
    language, certainty = _identifier().classify(words)
    return str(language) if certainty >= _CERTAIN_FROM and language != _NO_LANGUAGE else NOT_SURE


def rare_as_others(languages: Sequence[str], fewest: int = 30) -> list[str]:
    """Return each language, "others" in place of one that fewer than `fewest` texts are written in."""
    counts = Counter(languages)
    return [name if name == NOT_SURE or counts[name] >= fewest else _OTHERS for name in languages]


def names_in_order(names: Sequence[str]) -> list[str]:
    """Return each name once: the language of most mail first, "others" and "not sure" last."""
    return sorted(set(names), key=lambda name: (name == NOT_SURE, name == _OTHERS, -names.count(name), name))


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
