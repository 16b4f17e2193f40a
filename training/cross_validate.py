"""Known mail, all of it as a test: clusters dealt into folds, each held out while the rest is learned from.

One test part has some thousand ham, and five of them decide what is caught at 0.1 % ham loss: which five is a matter of
the draw. Pooled over the folds every message but those of the validation part is tested once.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from classifier.errors import ConfigError
from training.calibrate import calibrate
from training.config import TrainingConfig
from training.contest import SCORES, Task, check
from training.corpus import Corpus
from training.evaluate import cell, ranking, write_measures
from training.hold_out import HoldOut
from training.language_model import Pretrained
from training.measures import Scores
from training.prepare import data_manifest
from training.split import Part

CONTENDERS = ("hamlet", "ngrams", "tfidf")


def dealt(corpus: Corpus, folds: int, seed: int) -> dict[str, NDArray[np.bool_]]:
    """Deal all but the validation part into folds: by number from "1", which messages, bool (N,).

    Clusters of near copies stay together, and each fold has about the same share of each class of each corpus.

    Raises:
        ConfigError: fewer than two folds, or so many that one would not have both classes.
    """
    places = np.flatnonzero(corpus.parts != Part.VALIDATION)
    clusters, is_spam = corpus.clusters[places], corpus.is_spam[places]
    most = min(len(np.unique(clusters[of_class])) for of_class in (is_spam, ~is_spam))
    if not 2 <= folds <= most:
        raise ConfigError(
            f"--folds must be from 2 to {most}, got {folds}: this mail has {most} clusters of its rarer class, and "
            "each fold needs one of its own"
        )
    kinds = [f"{corpus.messages[place].corpus} {corpus.messages[place].is_spam}" for place in places.tolist()]
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    held: dict[str, NDArray[np.bool_]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some corpus has fewer messages of a class than there are folds
        for number, (_, chosen) in enumerate(dealer.split(places, kinds, clusters), start=1):
            held[str(number)] = np.zeros(len(corpus.messages), np.bool_)
            held[str(number)][places[chosen]] = True
    for name, members in held.items():
        if corpus.is_spam[members].all() or not corpus.is_spam[members].any():
            raise ConfigError(f"with --folds {folds} fold {name} does not have both classes: take fewer")
    return held


def cross_validate(
    sources: Sequence[str],
    config: TrainingConfig,
    folder: Path,
    names: Sequence[str] = CONTENDERS,
    *,
    folds: int = 4,
    only: Sequence[str] = (),
    pretrained: Pretrained | None = None,
) -> dict[str, Any]:
    """Hold out one fold after another, let every contender learn from the rest and be tested; return what came of it.

    Writes metrics.json and table.md in `folder`, anew after each. What an earlier run with the same mail and settings
    finished there is taken up.

    Args:
        only: numbers of the folds to do, all without any.
        pretrained: a language model that every LSTM starts from, in place of one fitted for each fold.
    """
    check(names)
    hold_out = HoldOut.of(sources, config, folder, pretrained)
    corpus = hold_out.corpus
    results: dict[str, Any] = {"data": data_manifest(sources), "folds": {}, "pooled": {}}
    scores: dict[str, list[tuple[NDArray[np.int64], Scores]]] = {name: [] for name in names}
    for number, task, result in hold_out.results(dealt(corpus, folds, config.seed), names, only):
        results["folds"][number] = result
        for name in names:
            scores[name].append(_log_odds(task, name))
            results["pooled"][name] = _pooled(corpus, scores[name])
        write_measures(folder, results)
        (folder / "table.md").write_text(table(results) + "\n", encoding="utf-8")
    return results


def _log_odds(task: Task, name: str) -> tuple[NDArray[np.int64], Scores]:
    """Which messages of the test part a contender scored, and their scores in log-odds: the same scale in all folds.

    They are calibrated on the validation part. A contender that scores none of it has one scale for all.
    """
    kept = np.load(task.folder / name / SCORES)
    places, scores = kept["places"], kept["scores"]
    known, tested = (task.corpus.parts[places] == part for part in (Part.VALIDATION, Part.TEST))
    if known.any():
        calibration = calibrate(scores[known], task.corpus.is_spam[places[known]])
        scores = calibration.slope * scores + calibration.offset
    return places[tested], scores[tested]


def _pooled(corpus: Corpus, folds: Sequence[tuple[NDArray[np.int64], Scores]]) -> dict[str, Any]:
    """The measures over the mail of all folds, and for each corpus."""
    places = np.concatenate([of for of, _ in folds])
    scores = np.concatenate([of for _, of in folds])
    is_spam, corpora = corpus.is_spam[places], corpus.corpora[places]
    groups = {name: corpora == name for name in dict.fromkeys(corpora.tolist())}
    return {
        "all": ranking(scores, is_spam),
        **{name: ranking(scores[members], is_spam[members]) for name, members in groups.items()},
    }


def table(results: dict[str, Any]) -> str:
    """Return two Markdown tables, a column a contender: (1-ROCA)%, and what is caught at 0.1 % ham loss.

    A line for each fold, for all of them pooled, and for each corpus with both classes, pooled.
    """
    lines: list[str] = []
    for title, measure, unit, form in (
        ("(1-ROCA)%", "one_minus_roca_percent", 1, "{:.3f}"),
        ("caught at 0.1 % ham loss", "spam_caught_at_0.1_percent_ham_loss", 100, "{:.1f}"),
    ):
        names = list(results["pooled"])
        lines += [f"| {title} | spam / ham | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
        for line, of in _lines(results):
            first = of[names[0]]
            cells = [cell(of[name].get(measure), unit, form) for name in names]
            lines.append(f"| {line} | {first['spam']:,} / {first['ham']:,} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _lines(results: dict[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The name of each line, and the measures of each contender there."""
    pooled = results["pooled"]
    lines: list[tuple[str, Mapping[str, Any]]] = []
    for number, fold in results["folds"].items():
        lines.append((f"fold {number}", {name: of["test"]["all"] for name, of in fold["contenders"].items()}))
    lines.append(("all", {name: of["all"] for name, of in pooled.items()}))
    for corpus, first in next(iter(pooled.values())).items():
        if corpus != "all" and first["spam"] and first["ham"]:
            lines.append((corpus, {name: of.get(corpus, {}) for name, of in pooled.items()}))
    return lines
