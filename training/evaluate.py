"""What a model does on labelled mail: the measures over all of it and for each corpus."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.encoding import PreparedMessage, select_tokens
from classifier.pipeline import SpamClassifier
from classifier.verdict import Thresholds
from training.corpus import Corpus
from training.measures import (
    IsSpam,
    Scores,
    bootstrap,
    calibration_error,
    one_minus_roca,
    share_interval,
    spam_caught,
)
from training.progress import progress

_CHUNK = 512


def score_corpus(classifier: SpamClassifier, corpus: Corpus, places: NDArray[np.int64]) -> Scores:
    """Return the probability of each message, by the classifier that the service runs.

    The ids in `corpus` must be of the classifier's own tokenizer.
    """
    token_ids = corpus.token_ids()
    probabilities: list[float] = []
    chunks = range(0, len(places), _CHUNK)
    for start in progress(chunks, "scoring (512 messages a step)", len(chunks)):
        prepared = []
        for place in places[start : start + _CHUNK].tolist():
            selected, truncated = select_tokens(token_ids[place].tolist(), classifier.encoding)
            prepared.append(PreparedMessage(selected, truncated))
        probabilities += [score.probability for score in classifier.score(prepared)]
    return np.array(probabilities, np.float64)


def evaluate(
    probabilities_N: Scores, is_spam_N: IsSpam, corpora_N: NDArray[np.str_], thresholds: Thresholds
) -> dict[str, Any]:
    """Return the measures as plain values: "all", then each corpus by name.

    A corpus of one class has no ROC; a ham loss is not claimed below 3 / ham, which the interval says.
    """
    groups = {"all": np.ones(len(is_spam_N), np.bool_)}
    groups |= {str(name): corpora_N == name for name in np.unique(corpora_N)}
    return {
        name: _measures(probabilities_N[members], is_spam_N[members], thresholds) for name, members in groups.items()
    }


def ranking(scores_N: Scores, is_spam_N: IsSpam) -> dict[str, Any]:
    """Return the counts, and with both classes the measures that need no threshold, on any scale that leans spam."""
    spam = int(is_spam_N.sum())
    measures: dict[str, Any] = {"spam": spam, "ham": len(is_spam_N) - spam}
    if 0 < spam < len(is_spam_N):
        measures["one_minus_roca_percent"] = asdict(bootstrap(one_minus_roca, scores_N, is_spam_N))
        for name, ham_loss in (("0.1", 0.001), ("1", 0.01)):
            measure = partial(spam_caught, ham_loss=ham_loss)
            measures[f"spam_caught_at_{name}_percent_ham_loss"] = asdict(bootstrap(measure, scores_N, is_spam_N))
    return measures


def _measures(scores: Scores, is_spam: IsSpam, thresholds: Thresholds) -> dict[str, Any]:
    spam, ham = scores[is_spam], scores[~is_spam]
    measures = ranking(scores, is_spam)
    if len(spam) and len(ham):
        measures["calibration_error"] = calibration_error(scores, is_spam)
    if len(spam):
        measures["spam_caught"] = asdict(share_interval(int((spam >= thresholds.spam_from).sum()), len(spam)))
        measures["spam_leaked"] = asdict(share_interval(int((spam < thresholds.ham_below).sum()), len(spam)))
    if len(ham):
        measures["ham_lost"] = asdict(share_interval(int((ham >= thresholds.spam_from).sum()), len(ham)))
    unsure = (scores >= thresholds.ham_below) & (scores < thresholds.spam_from)
    measures["unsure"] = float(unsure.mean()) if len(scores) else 0.0
    return measures


def write_measures(folder: Path, measures: dict[str, Any]) -> None:
    """Write metrics.json in `folder`."""
    text = json.dumps(measures, indent=2, ensure_ascii=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")


def table(measures: dict[str, Any]) -> str:
    """Return the measures as a Markdown table for people."""
    lines = [
        "| corpus | spam / ham | (1-ROCA)% | caught at 0.1 % ham loss | caught | ham lost | unsure |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, of in measures.items():
        roca = cell(of.get("one_minus_roca_percent"), 1, "{:.3f}")
        cells: Sequence[str] = (
            name,
            f"{of['spam']:,} / {of['ham']:,}",
            roca,
            cell(of.get("spam_caught_at_0.1_percent_ham_loss"), 100, "{:.1f}"),
            cell(of.get("spam_caught"), 100, "{:.1f}"),
            cell(of.get("ham_lost"), 100, "{:.2f}"),
            f"{of['unsure'] * 100:.1f} %",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(estimate: dict[str, float] | None, scale: float, form: str) -> str:
    """A value with its interval, or a dash."""
    if estimate is None:
        return "-"
    value, low, high = (form.format(estimate[key] * scale) for key in ("value", "low", "high"))
    return f"{value} ({low}-{high})" + (" %" if scale == 100 else "")
