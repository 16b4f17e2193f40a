"""How fast a model learns a new mailbox: adapted to its first messages, tested on the next ones, beside bogofilter.

The mailbox is mail that the model has not seen, in its order of arrival; public corpora are dated otherwise for spam
than for ham, so each class keeps its own order and both are mixed evenly. bogofilter learns the same: the train part of
the old mail, then the same messages of the mailbox. What has a near copy in the old mail is not tested on. What is
forgotten is measured on the test part of the old mail, which neither has learned from.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from classifier.artifact import load_artifact
from classifier.pipeline import SpamClassifier
from training.adapt import AdaptConfig, Seen, adapt, replay_places
from training.config import config_of_card
from training.corpus import Corpus
from training.deduplicate import Deduplicator, readable
from training.errors import DataError
from training.evaluate import cell, ranking
from training.measures import Scores
from training.peers import Bogofilter, MailFiles, require, write_mail_files
from training.prepare import prepare
from training.progress import progress, say
from training.split import Part

POINTS = (0, 100, 1_000, 5_000)
NEXT = 2_000
REPLAYED = 16_000
FILE_NAME = "adaptation.json"
_FEWEST = 20


def measure_adaptation(
    model: Path, old: Corpus, base: Sequence[str], mailbox: Sequence[str], folder: Path, config: AdaptConfig
) -> dict[str, Any]:
    """Return the curve, and write it to FILE_NAME in `folder`.

    Args:
        old: the mail that the model was fitted on, divided as in the fit, with the ids of its tokenizer.
        base: the sources of that.
        mailbox: spam and ham of one mailbox, nothing of which the model has seen.

    Raises:
        PeerError: bogofilter is not installed.
        DataError: the mailbox is too small.
    """
    require("bogofilter")
    artifact = load_artifact(model)
    classifier = SpamClassifier(artifact)
    settings = config_of_card(
        artifact.card, network=artifact.network, ngrams=artifact.ngrams, encoding=artifact.encoding
    )
    new, _ = prepare(mailbox, settings, folder / "mailbox", tokenizer=classifier.tokenizer)
    order = arrival(new)
    fresh = _is_fresh(old, new)
    points = {count: _next(order, count, fresh) for count in POINTS}
    points = {count: places for count, places in points.items() if _is_enough(new, places)}
    if len(points) < 2:
        raise DataError(f"{len(order)} messages, of which spam and ham are to be left after the first 100, are too few")

    test, replayed = old.places(Part.TEST), replay_places(old, old.places(Part.TRAIN), REPLAYED, settings)
    old_mails = write_mail_files(base, old, folder / "mail")
    new_mails = write_mail_files(mailbox, new, folder / "mailbox-mail")
    network = classifier.network
    seen_old = Seen.by(network, old, np.concatenate([replayed, test]), settings)
    seen_new = Seen.by(network, new, new.all_places(), settings)
    peer = Bogofilter(folder / "words")
    say("bogofilter: learning the old mail")
    _teach(peer, old, old_mails, old.places(Part.TRAIN))
    known = 0
    rows: list[dict[str, Any]] = []
    for count, places in points.items():
        say(f"after {count} messages")
        learned = order[:count]
        _teach(peer, new, new_mails, order[known:count])
        known = count
        adapted = network
        if count:
            seen = Seen(
                network,
                np.concatenate([seen_old.deep_N[: len(replayed)], seen_new.deep_N[learned]]),
                scipy.sparse.vstack([seen_old.known_NF[: len(replayed)], seen_new.known_NF[learned]]).tocsr(),
            )
            is_spam = np.concatenate([old.is_spam[replayed], new.is_spam[learned]])
            weights = np.where(np.arange(len(is_spam)) < len(replayed), 1.0, config.mailbox_weight)
            all_rows = np.arange(len(is_spam))
            adapted = adapt(seen, artifact.calibration, all_rows, is_spam, weights, config.variance)
        on_old, on_new = seen_old.logits(adapted)[len(replayed) :], seen_new.logits(adapted)[places]
        rows.append({"messages": count, "tested": len(places)})
        for name, scores_new, scores_old in (
            ("hamlet", on_new, on_old),
            ("bogofilter", peer.score(new_mails.paths(places)), peer.score(old_mails.paths(test))),
        ):
            rows[-1][name] = {
                "next": ranking(scores_new, new.is_spam[places]),
                "old": ranking(scores_old, old.is_spam[test]),
            }
    found = {"model": classifier.version, "mailbox": list(mailbox), "adapt": asdict(config), "points": rows}
    (folder / FILE_NAME).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def table(found: Mapping[str, Any]) -> str:
    """Return the curve as a Markdown table: (1-ROCA)% on the messages that follow, and on old mail."""
    lines = [
        "| learned | tested on | Hamlet | bogofilter | Hamlet, old mail | bogofilter, old mail |",
        "|---|---|---|---|---|---|",
    ]
    for point in found["points"]:
        values = [
            cell(point[name][of].get("one_minus_roca_percent"), 1, "{:.3f}")
            for of in ("next", "old")
            for name in ("hamlet", "bogofilter")
        ]
        lines.append(f"| {point['messages']:,} | {point['tested']:,} | {' | '.join(values)} |")
    return "\n".join(lines)


def arrival(corpus: Corpus) -> NDArray[np.int64]:
    """Return where the messages stand, in order of arrival: each class by date, both mixed evenly.

    Messages without a date keep their order in the source, after those that have one.
    """
    keys = np.zeros(len(corpus.messages))
    for one_class in (corpus.is_spam, ~corpus.is_spam):
        members = np.flatnonzero(one_class)
        dates = [corpus.messages[place].date for place in members.tolist()]
        by_date = np.argsort([date.toordinal() if date else np.inf for date in dates], kind="stable")
        keys[members[by_date]] = (np.arange(len(members)) + 0.5) / max(1, len(members))
    return np.argsort(keys, kind="stable")


def _is_fresh(old: Corpus, new: Corpus) -> NDArray[np.bool_]:
    """Which messages of the mailbox have no near copy in the old mail."""
    deduplicator = Deduplicator()
    texts = [(corpus.texts(), len(corpus.messages)) for corpus in (old, new)]
    for corpus_texts, count in texts:
        for text in progress(corpus_texts, "finding near copies", count):
            deduplicator.add(readable(text))
    clusters = deduplicator.clusters()
    known, mailbox = clusters[: len(old.messages)], clusters[len(old.messages) :]
    fresh: NDArray[np.bool_] = ~np.isin(mailbox, known)
    return fresh


def _next(order: NDArray[np.int64], count: int, fresh: NDArray[np.bool_]) -> NDArray[np.int64]:
    following = order[count : count + NEXT]
    return following[fresh[following]]


def _is_enough(corpus: Corpus, places: NDArray[np.int64]) -> bool:
    spam = int(corpus.is_spam[places].sum())
    return min(spam, len(places) - spam) >= _FEWEST


def _teach(peer: Bogofilter, corpus: Corpus, mails: MailFiles, places: NDArray[np.int64]) -> None:
    if len(places):
        is_spam = corpus.is_spam[places]
        peer.train(mails.paths(places[is_spam]), mails.paths(places[~is_spam]))


Curve = tuple[NDArray[np.float64], Scores]


def curves(found: Mapping[str, Any]) -> dict[str, Curve]:
    """Return for the picture: messages learned, and (1-ROCA)% on those that follow, a line for each filter."""
    learned = np.array([point["messages"] for point in found["points"]], np.float64)
    return {
        name: (learned, np.array([point[name]["next"]["one_minus_roca_percent"]["value"] for point in found["points"]]))
        for name in ("hamlet", "bogofilter")
    }
