"""Gathers what the report shows of a model: scores and measures, and what other steps found.

Shape letters: N messages.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.pipeline import SpamClassifier
from classifier.text import FIELD_MARKERS, SUBJECT
from classifier.verdict import Thresholds
from training.corpus import Corpus
from training.errors import DataError
from training.evaluate import evaluate
from training.evasion import evasion_table
from training.gradient_flow import gradient_flow
from training.languages import names_in_order, rare_as_others
from training.long_lag import long_lag
from training.measures import IsSpam, Scores
from training.progress import progress, say
from training.reasons import Reasons, reasons
from training.source_guess import SourceGuess, guess_source

_LENGTHS = (64, 256, 768)
_LENGTH_NAMES = ("up to 64", "65 to 256", "257 to 768", "over 768")
_WORST = 20
_SUBJECT = re.compile(f"{SUBJECT}([^{''.join(FIELD_MARKERS)}]*)")


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the page shows. What is None or empty is left out of it."""

    model: str
    mail: str  # which mail was scored, in words
    thresholds: Thresholds
    measures: Mapping[str, Any]  # training.evaluate.evaluate
    probabilities_N: Scores
    is_spam_N: IsSpam
    corpora_N: NDArray[np.str_]
    ids_N: Sequence[str]
    by_length: Mapping[str, Any] = field(default_factory=dict)  # the same measures for short, middle and long mail
    by_language: Mapping[str, Any] = field(default_factory=dict)  # and by the language that it seems to be in
    history: Sequence[Mapping[str, float]] = ()
    guess: SourceGuess | None = None
    gradients: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)  # training.gradient_flow
    lags: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # training.long_lag
    adaptation: Mapping[str, Any] | None = None  # training.adaptation
    tables: Mapping[str, str] = field(default_factory=dict)  # Markdown: "rivals", "leave-out", "evasion"
    reasons: Mapping[int, Reasons] = field(default_factory=dict)  # by place among the N, of the worst errors
    subjects_N: Sequence[str] | None = None  # with them, `reasons` has words


@dataclass(frozen=True, slots=True)
class Extras:
    """What a report is asked to show besides the measures."""

    rivals: Path | None = None  # folder that `compare` has written
    leave_out: Path | None = None  # folder that `leave-out` has written
    evasion: Sequence[Path] = ()  # files that `evasion` has written, one a model
    adaptation: Mapping[str, Any] | None = None  # training.adaptation
    studies: Path | None = None  # kept here, made when it is not there: gradient flow and long lag, some minutes
    show_content: bool = False  # subjects and words of mail


def gather(
    classifier: SpamClassifier,
    corpus: Corpus,
    places: NDArray[np.int64],
    probabilities_N: Scores,
    measures: Mapping[str, Any],
    mail: str,
    extras: Extras,
) -> Findings:
    """Return the findings on the messages at `places` of a corpus.

    Args:
        measures: of these messages (training.evaluate).
        mail: which mail this is, in words.

    Raises:
        DataError: a file that `extras` names is not there or is not what it should be.
    """
    tables = _tables(extras)  # first: a wrong path is told before the work
    studies = _studies(extras.studies) if extras.studies else {}
    is_spam = corpus.is_spam[places]
    say("measuring by length and language, and what guessing the source is worth")
    names = np.array(_LENGTH_NAMES)[np.searchsorted(_LENGTHS, corpus.token_ids().lengths[places])]
    by_length = evaluate(probabilities_N, is_spam, names, classifier.thresholds)
    of_languages = rare_as_others([corpus.messages[place].language for place in places.tolist()])
    by_language = evaluate(probabilities_N, is_spam, np.array(of_languages), classifier.thresholds)
    return Findings(
        model=classifier.version,
        mail=mail,
        thresholds=classifier.thresholds,
        measures=measures,
        probabilities_N=probabilities_N,
        is_spam_N=is_spam,
        corpora_N=corpus.corpora[places],
        ids_N=[corpus.messages[place].id for place in places.tolist()],
        by_length={name: by_length[name] for name in _LENGTH_NAMES if name in by_length},
        by_language={name: by_language[name] for name in names_in_order(of_languages)},
        history=classifier.card.get("history", ()),
        guess=guess_source(corpus),
        gradients=studies.get("gradient_flow", {}),
        lags=studies.get("long_lag", {}),
        adaptation=extras.adaptation,
        tables=tables,
        subjects_N=_subjects(corpus, places) if extras.show_content else None,
        reasons=_reasons(classifier, corpus, places, worst(probabilities_N, is_spam), extras.show_content),
    )


def worst(probabilities_N: Scores, is_spam_N: IsSpam) -> tuple[list[int], list[int]]:
    """Return where the ham stands that looks most like spam, and the spam that looks most like ham, worst first."""
    ham, spam = np.flatnonzero(~is_spam_N), np.flatnonzero(is_spam_N)
    most_like_spam = ham[np.argsort(-probabilities_N[ham], kind="stable")][:_WORST].tolist()
    most_like_ham = spam[np.argsort(probabilities_N[spam], kind="stable")][:_WORST].tolist()
    return most_like_spam, most_like_ham


def _reasons(
    classifier: SpamClassifier,
    corpus: Corpus,
    places: NDArray[np.int64],
    errors: tuple[list[int], list[int]],
    with_words: bool,
) -> dict[int, Reasons]:
    token_ids, found = corpus.token_ids(), {}
    each = [*errors[0], *errors[1]]
    for error in progress(each, "finding reasons of the worst errors", len(each)):
        why = reasons(
            classifier.network, classifier.tokenizer, token_ids[int(places[error])].tolist(), classifier.encoding
        )
        found[error] = why if with_words else why.without_words()
    return found


def _subjects(corpus: Corpus, places: NDArray[np.int64]) -> list[str]:
    texts = corpus.texts()
    matches = (_SUBJECT.match(texts[place]) for place in places.tolist())
    return [match[1].strip() if match else "" for match in matches]


def _tables(extras: Extras) -> dict[str, str]:
    tables: dict[str, str] = {}
    for name, folder in (("leave-out", extras.leave_out), ("rivals", extras.rivals)):
        if folder:
            tables[name] = _read(folder / "table.md")
    evasions = [json.loads(_read(path)) for path in extras.evasion]
    if evasions:
        tables["evasion"] = "\n\n".join(f"Model {each['model']}\n{evasion_table(each['rows'])}" for each in evasions)
    return tables


def _studies(path: Path) -> dict[str, Any]:
    if not path.exists():
        say("studying gradient flow and long lags")
        path.write_text(json.dumps({"gradient_flow": gradient_flow(), "long_lag": long_lag()}) + "\n", encoding="utf-8")
    studies: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return studies


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {path} for the report ({error}): run the step that writes it first") from error
