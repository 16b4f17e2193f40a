"""Mail of other people: train without a corpus, test on all of it.

What is held out at a time:
    - every corpus with both classes, by itself;
    - "modern": each corpus of spam alone together with each corpus of ham alone, where half of the mail of both is of
      2015 or later. Neither kind of spam nor kind of ham was then seen in training.

Messages that are not held out but share a cluster of near copies with one that is are left out of training. The
validation part of the other corpora stays what it is, all else of them is trained on, and vocabulary and language model
are learned on that alone, unless a language model is given. A corpus of the same origin under another name is not held
out with it: the report has to say so.
"""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.config import TrainingConfig
from training.contest import ALLOWANCES, check
from training.corpus import Corpus
from training.errors import DataError
from training.evaluate import cell, write_measures
from training.hold_out import HoldOut
from training.language_model import Pretrained
from training.prepare import data_manifest

CONTENDERS = ("hamlet", "lstm", "ngrams", "tfidf", "bogofilter")
MODERN_FROM = datetime.date(2015, 1, 1)
# A corpus with fewer of either class is no test.
_FEWEST = 20
# What others run; all else is a part of Hamlet.
_OTHERS = ("tfidf", "bogofilter")


def held_out(corpus: Corpus) -> dict[str, NDArray[np.bool_]]:
    """Return what is held out at a time: by name, which messages, bool (N,)."""
    is_spam, corpora = corpus.is_spam, corpus.corpora
    folds: dict[str, NDArray[np.bool_]] = {}
    modern: tuple[list[str], list[str]] = ([], [])  # of spam, of ham
    for name in dict.fromkeys(corpora.tolist()):
        members = corpora == name
        spam = int(is_spam[members].sum())
        ham = int(members.sum()) - spam
        if min(spam, ham) >= _FEWEST:
            folds[name] = members
        elif min(spam, ham) == 0 and max(spam, ham) >= _FEWEST and _is_modern(corpus, members):
            modern[0 if spam else 1].append(name)
    for one in modern[0]:
        for other in modern[1]:
            folds[f"{one}+{other}"] = (corpora == one) | (corpora == other)
    return folds


def leave_out(
    sources: Sequence[str],
    config: TrainingConfig,
    folder: Path,
    names: Sequence[str] = CONTENDERS,
    only: Sequence[str] = (),
    pretrained: Pretrained | None = None,
) -> dict[str, Any]:
    """Hold out one after another, let every contender learn from the rest and be tested; return what came of it.

    Writes metrics.json and table.md in `folder`, anew after each. What an earlier run with the same mail and settings
    finished there is taken up.

    Args:
        only: names of `held_out` to do, all without any.
        pretrained: a language model that every LSTM starts from, in place of one fitted for each.
    """
    check(names)
    hold_out = HoldOut.of(sources, config, folder, pretrained)
    folds = held_out(hold_out.corpus)
    if not folds:
        raise DataError(
            f"there is nothing to hold out: it takes a corpus with {_FEWEST} messages of both classes, or a modern "
            "corpus of spam + one of ham"
        )
    results: dict[str, Any] = {"data": data_manifest(sources), "held_out": {}}
    for name, _, result in hold_out.results(folds, names, only):
        results["held_out"][name] = result
        write_measures(folder, results)
        (folder / "table.md").write_text(table(results) + "\n", encoding="utf-8")
    return results


def table(results: dict[str, Any]) -> str:
    """Return four Markdown tables, a line for what was held out, a column a contender.

    (1-ROCA)%; spam caught at 1 % ham loss; and what becomes of strangers' mail at a threshold that was set on mail of
    the corpora that were learned from: ham lost / spam caught; and the same for the first contender alone, the
    threshold higher by each allowance, for `thresholds.strangers_allowance` of a preset.

    The last column of the first is the (1-ROCA)% of the first contender as a share of the better one's of TF-IDF and
    bogofilter.
    """
    held = results["held_out"]
    names = list(next(iter(held.values()))["contenders"])
    others = [name for name in names if name in _OTHERS]
    compared = f"{names[0]} / the better of {' and '.join(others)}" if others else ""
    lines = [
        f"| held out | spam / ham | {' | '.join(f'{name} (1-ROCA)%' for name in names)} | {compared} |",
        "|---" * (len(names) + 3) + "|",
    ]
    for name, result in held.items():
        measures = [result["contenders"][contender]["test"]["all"] for contender in names]
        areas = [cell(of.get("one_minus_roca_percent"), 1, "{:.2f}") for of in measures]
        size = f"{measures[0]['spam']:,} / {measures[0]['ham']:,}"
        lines.append(f"| {name} | {size} | {' | '.join(areas)} | {_share(result['contenders'])} |")
    lines += ["", f"| caught at 1 % ham loss | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name, result in held.items():
        measures = [result["contenders"][contender]["test"]["all"] for contender in names]
        caught = [cell(of.get("spam_caught_at_1_percent_ham_loss"), 100, "{:.1f}") for of in measures]
        lines.append(f"| {name} | {' | '.join(caught)} |")
    lines += ["", f"| at a threshold set on known mail | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name, result in held.items():
        measures = [result["contenders"][contender]["test"]["all"] for contender in names]
        lines.append(f"| {name} | {' | '.join(map(_lost_and_caught, measures))} |")
    allowances = [f"{nats:g}" for nats in ALLOWANCES]
    lines += ["", f"| {names[0]}, nats above that threshold | {' | '.join(allowances)} |"]
    lines += ["|---" * (len(allowances) + 1) + "|"]
    for name, result in held.items():
        at = result["contenders"][names[0]]["test"]["all"].get("at_allowances", [])
        lines.append(f"| {name} | {' | '.join(map(_lost_and_caught, at))} |")
    return "\n".join(lines)


def _lost_and_caught(measures: Mapping[str, Any]) -> str:
    lost, caught = (cell(measures.get(name), 100, "{:.1f}") for name in ("ham_lost", "spam_caught"))
    return f"{lost} / {caught}"


def _is_modern(corpus: Corpus, members: NDArray[np.bool_]) -> bool:
    """Whether half of the dated messages are of MODERN_FROM or later; without any date it cannot be said."""
    dates = sorted(date for place in np.flatnonzero(members).tolist() if (date := corpus.messages[place].date))
    return bool(dates) and dates[len(dates) // 2] >= MODERN_FROM


def _share(contenders: Mapping[str, Any]) -> str:
    values = {name: of["test"]["all"]["one_minus_roca_percent"]["value"] for name, of in contenders.items()}
    best = min((value for name, value in values.items() if name in _OTHERS), default=0.0)
    return f"{next(iter(values.values())) / best:.2f}" if best else "-"
