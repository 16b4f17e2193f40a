"""A contest on one split: every contender learns from the train part and scores what it has not seen.

All networks see the same batches for the same epochs. What is kept is taken up again while mail, split and settings are
the same; after a change of a contender's code remove its folder.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from classifier.errors import ConfigError
from classifier.tokenizer import TextTokenizer
from training.calibrate import calibrate
from training.choose_thresholds import lowest_spam_from
from training.config import TrainingConfig
from training.corpus import Corpus, Texts
from training.evaluate import ranking
from training.evidence import fit_evidence
from training.fit import fit_network, pick_device, predict_logits
from training.language_model import Pretrained
from training.measures import Scores, share_interval
from training.model import fit_deep, fit_model
from training.peers import Bogofilter, FastText, MailFiles, SpamAssassin, require, write_mail_files
from training.progress import say
from training.rivals import NETWORKS, TfidfRegression, ngram_counts
from training.split import Part
from training.weights import message_weights

# Of each contender, beside its result: `places` and `scores`, as in its Outcome.
SCORES = "scores.npz"
# Nats of calibrated log-odds above the threshold that keeps to the budget on known mail.
ALLOWANCES = (0.0, 1.0, 2.0, 3.0, 4.0)
# SpamAssassin takes 0.1 to 0.5 s a message.
_SPAMASSASSIN_TESTED = 3_000
_SPAMASSASSIN_LEARNS = 4_000


@dataclass(frozen=True, slots=True)
class Task:
    """One split of one prepared corpus, the same for all contenders."""

    folder: Path
    corpus: Corpus  # with the ids of `tokenizer`; its parts are the split
    texts: Texts
    tokenizer: TextTokenizer
    config: TrainingConfig
    sources: Sequence[str]  # what the corpus was prepared of, for filters that read mail itself
    shared: Path  # holds what depends on the mail alone: n-gram counts and mail files
    key: str  # `fingerprint` of mail, split and settings, and whatever else the results hang on
    pretrained: Pretrained | None = None  # what the LSTM starts from, in place of a language model of this split

    def mail_files(self) -> MailFiles:
        return write_mail_files(self.sources, self.corpus, self.shared / "mail")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scores of the test and later parts or of a sample of them, higher leaning spam, on the contender's own scale.

    Those of the validation part too, for a threshold; without them there is none.
    """

    places: NDArray[np.int64]
    scores: Scores
    parameters: int | None = None
    note: str = ""


Contender = Callable[[Task, Path], Outcome]


def fingerprint(corpus: Corpus, tokenizer: TextTokenizer, config: TrainingConfig) -> str:
    """Return a hash of everything that a result depends on but the code: mail, split and settings."""
    digest = hashlib.sha256(corpus.parts.tobytes() + corpus.clusters.tobytes())
    digest.update("\n".join(message.id for message in corpus.messages).encode("utf-8", "surrogatepass"))
    digest.update(tokenizer.to_json().encode("utf-8"))
    digest.update(json.dumps(asdict(config)).encode("utf-8"))
    return digest.hexdigest()


def contest(names: Sequence[str], task: Task) -> dict[str, dict[str, Any]]:
    """Return the result of each contender by its name: parameters, seconds, note, measures of the test and later parts.

    The measures are those of `training.evaluate.ranking`, for all mail of a part and for each corpus; and what is lost
    and caught at the threshold that keeps to the preset's budget on the validation part.

    Raises:
        ConfigError: a name is no contender's.
        PeerError: a filter is not installed; said before anything is fitted.
    """
    check(names)
    results = {}
    for name in names:
        folder = task.folder / name
        results[name] = _kept(folder, task.key) or _held(name, task, folder)
    return results


def check(names: Sequence[str]) -> None:
    """Raise ConfigError for an unknown contender, PeerError for a filter that is not installed."""
    for name in names:
        if name not in CONTENDERS:
            raise ConfigError(f"there is no contender {name!r}; there is {', '.join(CONTENDERS)}")
    require(*(program for name in names for program in _PROGRAMS.get(name, ())))


def _kept(folder: Path, key: str) -> dict[str, Any] | None:
    try:
        kept: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept["result"] if kept["key"] == key else None


def _held(name: str, task: Task, folder: Path) -> dict[str, Any]:
    say(f"{name}: learning in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    outcome = CONTENDERS[name](task, folder)
    seconds = time.monotonic() - started
    result: dict[str, Any] = {"parameters": outcome.parameters, "seconds": seconds, "note": outcome.note}
    spam_from = _spam_from(task, outcome)
    for part in (Part.TEST, Part.LATER):
        result[part.name.lower()] = _measures(task.corpus, outcome, part, spam_from)
    np.savez(folder / SCORES, places=outcome.places, scores=outcome.scores)
    beside = folder / "result.new"
    beside.write_text(json.dumps({"key": task.key, "result": result}, indent=2), encoding="utf-8")
    beside.replace(folder / "result.json")
    return result


def _spam_from(task: Task, outcome: Outcome) -> dict[float, float]:
    """The score that is the threshold at each allowance: what keeps to the budget on known mail, and so much more."""
    known = task.corpus.parts[outcome.places] == Part.VALIDATION
    places, scores = outcome.places[known], outcome.scores[known]
    if not len(places):
        return {}
    is_spam, corpora = task.corpus.is_spam[places], task.corpus.corpora[places]
    lowest = lowest_spam_from(scores, is_spam, corpora, task.config.thresholds.ham_loss_budget)
    return {nats: lowest + nats / calibrate(scores, is_spam).slope for nats in ALLOWANCES}


def _measures(corpus: Corpus, outcome: Outcome, part: Part, spam_from: dict[float, float]) -> dict[str, Any]:
    members = corpus.parts[outcome.places] == part
    places, scores = outcome.places[members], outcome.scores[members]
    is_spam, corpora = corpus.is_spam[places], corpus.corpora[places]
    measures = {"all": _of_group(scores, is_spam, spam_from)}
    for name in np.unique(corpora).tolist():
        measures[name] = _of_group(scores[corpora == name], is_spam[corpora == name], spam_from)
    return measures


def _of_group(scores: Scores, is_spam: NDArray[np.bool_], spam_from: dict[float, float]) -> dict[str, Any]:
    measures = ranking(scores, is_spam)
    at = {nats: _caught_and_lost(scores, is_spam, threshold) for nats, threshold in spam_from.items()}
    if at:
        measures |= at[0.0]
        measures["at_allowances"] = [{"nats": nats, **of} for nats, of in at.items()]
    return measures


def _caught_and_lost(scores: Scores, is_spam: NDArray[np.bool_], threshold: float) -> dict[str, Any]:
    return {
        name: asdict(share_interval(int((of_class >= threshold).sum()), len(of_class)))
        for name, of_class in (("spam_caught", scores[is_spam]), ("ham_lost", scores[~is_spam]))
        if len(of_class)
    }


def _unseen(corpus: Corpus) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(corpus.parts, (Part.TEST, Part.LATER)))


def _scored_places(corpus: Corpus) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(corpus.parts, (Part.VALIDATION, Part.TEST, Part.LATER)))


def _network(build: Callable[[TrainingConfig], nn.Module], task: Task, folder: Path) -> Outcome:
    network, _ = fit_network(build, task.corpus, task.tokenizer, task.config, folder, resume=True)
    return _scored(network, task)


def _hamlet(task: Task, folder: Path) -> Outcome:
    """The model as it is published: the LSTM that stands in the contest by itself too, and the n-grams."""
    lstm = folder.with_name("lstm")
    model, _ = fit_model(task.corpus, task.tokenizer, task.config, lstm, resume=True, pretrained=task.pretrained)
    return _scored(model, task)


def _lstm(task: Task, folder: Path) -> Outcome:
    deep, _ = fit_deep(task.corpus, task.tokenizer, task.config, folder, resume=True, pretrained=task.pretrained)
    return _scored(deep, task)


def _ngrams(task: Task, folder: Path) -> Outcome:
    return _scored(fit_evidence(task.corpus, task.tokenizer, task.config).to(pick_device()), task)


def _scored(network: nn.Module, task: Task) -> Outcome:
    places = _scored_places(task.corpus)
    logits = predict_logits(network, task.corpus, places, task.config, pick_device())
    return Outcome(places, logits, sum(parameter.numel() for parameter in (*network.parameters(), *network.buffers())))


def _tfidf(task: Task, folder: Path) -> Outcome:
    counts_NF = ngram_counts(task.texts, task.shared / "ngrams.npz")
    train, scored = task.corpus.places(Part.TRAIN), _scored_places(task.corpus)
    weights = message_weights(task.corpus, train, task.config.fit)
    model = TfidfRegression()
    say(f"tfidf: fitting on {len(train)} messages")
    model.fit(counts_NF[train], task.corpus.is_spam[train], weights[train])
    return Outcome(scored, model.score(counts_NF[scored]), counts_NF.shape[1] + 1)


def _bogofilter(task: Task, folder: Path) -> Outcome:
    mails = task.mail_files()
    places = _scored_places(task.corpus)
    peer = Bogofilter(folder / "words")
    say("bogofilter: learning")
    peer.train(*_spam_and_ham(task, mails, task.corpus.places(Part.TRAIN)))
    say("bogofilter: scoring")
    return Outcome(places, peer.score(mails.paths(places)))


def _spamassassin(task: Task, folder: Path, *, bayes: bool) -> Outcome:
    mails = task.mail_files()
    unseen = _unseen(task.corpus)
    places = _sample(unseen, _SPAMASSASSIN_TESTED, task.config.seed)
    note = f"tested on {len(places)} of {len(unseen)} messages, drawn by lot"
    peer = SpamAssassin()
    if bayes:
        learned = _sample(task.corpus.places(Part.TRAIN), _SPAMASSASSIN_LEARNS, task.config.seed)
        note += f"; its Bayes learned {len(learned)} of the train part"
        say(f"spamassassin: learning {len(learned)} messages")
        peer.train(*_spam_and_ham(task, mails, learned), folder / "learned")
    return Outcome(places, peer.score(mails.paths(places)), note=note)


def _fasttext(task: Task, folder: Path) -> Outcome:
    peer = FastText(folder / "model")
    train, places = task.corpus.places(Part.TRAIN), _scored_places(task.corpus)
    say(f"fasttext: fitting on {len(train)} messages")
    peer.train((task.texts[place] for place in train.tolist()), task.corpus.is_spam[train].tolist())
    return Outcome(places, peer.score(task.texts[place] for place in places.tolist()))


def _spam_and_ham(task: Task, mails: MailFiles, places: NDArray[np.int64]) -> tuple[list[Path], list[Path]]:
    is_spam = task.corpus.is_spam[places]
    return mails.paths(places[is_spam]), mails.paths(places[~is_spam])


def _sample(places: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    if len(places) <= count:
        return places
    return np.sort(np.random.default_rng(seed).choice(places, count, replace=False))


CONTENDERS: dict[str, Contender] = {
    "hamlet": _hamlet,
    **{name: partial(_network, build) for name, build in NETWORKS.items()},
    "lstm": _lstm,
    "ngrams": _ngrams,
    "tfidf": _tfidf,
    "bogofilter": _bogofilter,
    "spamassassin": partial(_spamassassin, bayes=False),
    "spamassassin_bayes": partial(_spamassassin, bayes=True),
    "fasttext": _fasttext,
}
_PROGRAMS = {
    "bogofilter": ("bogofilter",),
    "spamassassin": ("spamd",),
    "spamassassin_bayes": ("spamd", "sa-learn"),
    "fasttext": ("fasttext",),
}
RIVALS = ("hamlet", *NETWORKS, "ngrams", "tfidf")
PEERS = tuple(_PROGRAMS)
