"""The language that a mail is written in, guessed from its normalised text, to measure each by itself."""

import re
from collections.abc import Iterable, Sequence

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from classifier.text import BODY, SUBJECT

# A guess that is less certain, or of less text, says nothing: digits, product names, three words.
_CERTAIN_FROM = 0.9
_FEWEST_LETTERS = 30
_NOT_SURE = "not sure"
_OTHERS = "others"
_READ = re.compile(f"[{SUBJECT}{BODY}]([^\ue000-\uf8ff]*)")
_NO_LETTER = re.compile(r"[\W\d_]+")


def languages(texts: Iterable[str], fewest: int = 30) -> list[str]:
    """Return the language of each text, ISO 639-1, or "not sure"; "others" for one of fewer than `fewest` texts."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found = [_language(text, identifier) for text in texts]
    many = {name for name in set(found) if name == _NOT_SURE or found.count(name) >= fewest}
    return [name if name in many else _OTHERS for name in found]


def names_in_order(names: Sequence[str]) -> list[str]:
    """Return each name once: the language of most mail first, "others" and "not sure" last."""
    return sorted(set(names), key=lambda name: (name == _NOT_SURE, name == _OTHERS, -names.count(name), name))


def _language(text: str, identifier: LanguageIdentifier) -> str:
    words = _NO_LETTER.sub(" ", " ".join(_READ.findall(text)))
    if len(words) < _FEWEST_LETTERS:
        return _NOT_SURE
    language, certainty = identifier.classify(words)
    return str(language) if certainty >= _CERTAIN_FROM else _NOT_SURE
