"""Makes the candidate of a run: adapted from the fitted origin of the champion, calibrated, ready to be published.

From the origin and not from the champion, so that a version depends on the feedback that there is now and on nothing
else: what was forgotten leaves no trace in it, and many small runs end where one large run does.
"""

import base64
import datetime
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.artifact import Artifact, save_artifact
from classifier.encoding import PreparedMessage, select_tokens
from classifier.pipeline import SpamClassifier
from classifier.verdict import Verdict
from classifier.wide_and_deep import WideAndDeep
from training.adapt import AdaptConfig, Seen, adapt
from training.calibrate import calibrate, probabilities
from training.card import make_card
from training.choose_thresholds import choose_thresholds
from training.config import TrainingConfig
from training.corpus import Corpus
from training.curves import for_card
from training.evaluate import evaluate
from training.prepare import describe_split
from training.publish import golden_messages, rounded
from training.retrain.gate import Check, HeldOut, Limits, Scored
from training.retrain.mix import Mix
from training.retrain.registry import Champion
from training.split import Part

# Old mail of either class; with less of it, or none, the origin's calibration and thresholds stay.
_FEWEST_TO_CALIBRATE = 100
_POISONED_SHARE = 0.01
_TIMED = 128
_ROUNDS = 5
_SHORTEST_S = 0.02  # below this a ratio is noise
# Between what training measures and what the service will say of the same message.
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may take the champion's place."""

    artifact: Artifact  # without card, golden messages and version
    scored: Scored  # the test


class Maker:
    """Makes candidates of one mix."""

    def __init__(
        self, champion: Champion, rival: Artifact, mixed: Mix, config: TrainingConfig, adapting: AdaptConfig
    ) -> None:
        """Take the mail, and the version that a candidate has to be no worse than: the champion, or its origin."""
        self._champion, self._rival, self._mix = champion, rival, mixed
        self._config, self._adapting = config, adapting
        corpus = mixed.corpus
        self._places = np.flatnonzero(np.isin(corpus.parts, (Part.TRAIN, Part.CALIBRATION, Part.TEST)))
        self._parts, self._is_spam = corpus.parts[self._places], corpus.is_spam[self._places]
        self._is_feedback = mixed.is_feedback[self._places]
        # Old mail by corpus, feedback by reporter.
        sources = [corpus.messages[place] for place in self._places.tolist()]
        self._slices = np.array(
            [one.source if feedback else one.corpus for one, feedback in zip(sources, self._is_feedback, strict=True)]
        )

    @cached_property
    def _seen(self) -> Seen:
        model = SpamClassifier(self._champion.origin).network
        return Seen.by(model, self._mix.corpus, self._places, self._config)

    @property
    def test(self) -> HeldOut:
        """What neither has learned from."""
        rows = self._rows(Part.TEST)
        return HeldOut(self._is_spam[rows], self._is_feedback[rows], self._slices[rows])

    def lacking(self, fewest: int) -> str:
        """Return what stands in the way of learning, as a sentence; empty where nothing does."""
        of_train = self._is_spam[self._rows(Part.TRAIN)]
        spam, ham = int(of_train.sum()), int((~of_train).sum())
        if min(spam, ham) >= fewest:
            return ""
        return (
            f"There are {spam} spam and {ham} ham to learn from, {fewest} of each are needed: with one class alone a "
            "filter learns to call all mail so. Give old mail with --base, or let users report the other class too."
        )

    def candidate(self) -> Candidate:
        """Return the model adapted to what is to be learned from."""
        return self._made(self._is_spam)

    def poisoned(self) -> Candidate:
        """Return what it would be with one of a hundred labels turned round, drawn by the seed."""
        rows = self._rows(Part.TRAIN)
        count = max(1, round(_POISONED_SHARE * len(rows)))
        turned = np.random.default_rng(self._config.seed).choice(rows, count, replace=False)
        is_spam = self._is_spam.copy()
        is_spam[turned] ^= True
        return self._made(is_spam)

    def rival(self) -> Scored:
        """Return what that version says of the test."""
        logits = self._seen.logits(SpamClassifier(self._rival).network)[self._rows(Part.TEST)]
        return Scored(probabilities(self._rival.calibration, logits), self._rival.thresholds)

    def technical(self, candidate: Candidate, limits: Limits) -> list[Check]:
        """Return what needs no labels: golden messages, size, speed, and that it will serve what was measured."""
        classifier, before = SpamClassifier(candidate.artifact), SpamClassifier(self._rival)
        sample = self._rows(Part.TEST)[:_TIMED]
        token_ids = self._mix.corpus.token_ids()
        prepared = [
            PreparedMessage(*select_tokens(token_ids[place].tolist(), classifier.encoding))
            for place in self._places[sample].tolist()
        ]
        measured = candidate.scored.probabilities_N[: len(sample)]
        served = np.array([score.probability for score in classifier.score(prepared, read_all=True)])
        gap = float(np.abs(served - measured).max(initial=0.0))
        # As the service scores: without the LSTM where that cannot change the verdict.
        said = [score.verdict for score in classifier.score(prepared)]
        others = sum(one is not classifier.thresholds.verdict(each) for one, each in zip(said, measured, strict=True))
        # In turns, the best of each.
        seconds = [[_seconds(each, prepared) for each in (before, classifier)] for _ in range(_ROUNDS)]
        old_s, new_s = np.min(seconds, axis=0)
        old_bytes, new_bytes = (_bytes(each) for each in (self._rival, candidate.artifact))
        return [
            self._golden(classifier),
            Check(
                "served as measured",
                gap <= _TOLERANCE and not others,
                f"{others} of {len(sample)} messages would get another verdict, probabilities differ by {gap:.1e}",
            ),
            Check(
                "size",
                new_bytes <= limits.size_ratio * old_bytes,
                f"{new_bytes / 1e6:.1f} MB of weights, the champion's {old_bytes / 1e6:.1f} MB",
            ),
            Check(
                "speed",
                bool(new_s <= limits.latency_ratio * max(old_s, _SHORTEST_S)),
                f"{len(sample)} messages in {1000 * new_s:.0f} ms, the champion in {1000 * old_s:.0f} ms",
            ),
        ]

    def measures(self, candidate: Candidate) -> dict[str, Any]:
        """Return what the candidate does on the test: all of it, feedback and old mail (training.evaluate)."""
        test, scored = self.test, candidate.scored
        kinds = np.where(test.is_feedback_N, "feedback", "old mail")
        return evaluate(scored.probabilities_N, test.is_spam_N, kinds, scored.thresholds)

    def publish(
        self,
        candidate: Candidate,
        data: list[dict[str, str]],
        measures: dict[str, Any],
        checks: Sequence[Check],
        models: Path,
    ) -> Path:
        """Write the candidate as a new version and return its folder."""
        champion, origin = self._champion.artifact, self._champion.origin
        curves = {"test": for_card(candidate.scored.probabilities_N, self.test.is_spam_N)}
        history = origin.card.get("history", [])
        card = make_card(data, self._config, self._split(), history, {"test": measures}, curves)
        learned = self._rows(Part.TRAIN)[self._is_feedback[self._rows(Part.TRAIN)]]
        card |= {
            "retrained": {
                "origin": origin.version,
                "instead_of": champion.version,
                "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "adapted": asdict(self._adapting),
                "feedback": {"spam": int(self._is_spam[learned].sum()), "ham": int((~self._is_spam[learned]).sum())},
                "checks": [asdict(check) for check in checks],
            },
        }
        golden = golden_messages(SpamClassifier(candidate.artifact))
        artifact = replace(candidate.artifact, card=card, golden=golden)
        return save_artifact(artifact, models, datetime.date.today().strftime("%Y.%m.%d"))

    def learned(self) -> list[str]:
        """Return the keys of the feedback that a candidate has learned from."""
        used = self._places[(self._parts != Part.TEST) & self._is_feedback]
        return [self._mix.keys[place] for place in used.tolist()]

    def _made(self, is_spam: NDArray[np.bool_]) -> Candidate:
        origin = self._champion.origin
        weights = np.where(self._is_feedback, self._adapting.mailbox_weight, 1.0) * self._mix.weights[self._places]
        rows = self._rows(Part.TRAIN)
        model = adapt(self._seen, origin.calibration, rows, is_spam, weights, self._adapting.variance)
        artifact = self._calibrated(rounded(model, self._config))
        logits = self._seen.logits(SpamClassifier(artifact).network)[self._rows(Part.TEST)]
        return Candidate(artifact, Scored(probabilities(artifact.calibration, logits), artifact.thresholds))

    def _calibrated(self, model: WideAndDeep) -> Artifact:
        artifact = replace(self._champion.origin, weights=dict(model.state_dict()), golden=[], card={})
        rows = self._rows(Part.CALIBRATION)
        is_spam = self._is_spam[rows]
        if min(is_spam.sum(), (~is_spam).sum()) < _FEWEST_TO_CALIBRATE:
            return artifact
        logits = self._seen.logits(model)[rows]
        calibration = calibrate(logits, is_spam)
        scores = probabilities(calibration, logits)
        thresholds = choose_thresholds(scores, is_spam, self._slices[rows], self._config.thresholds)
        return replace(artifact, calibration=calibration, thresholds=thresholds)

    def _split(self) -> dict[str, object]:
        corpus, places = self._mix.corpus, self._places
        messages = [corpus.messages[place] for place in places.tolist()]
        return describe_split(Corpus(corpus.folder, messages, corpus.clusters[places], corpus.parts[places]))

    def _golden(self, classifier: SpamClassifier) -> Check:
        """The golden messages on their side of even odds as the origin had them, or at least unsure."""
        wrong = []
        for golden in self._champion.origin.golden:
            score = classifier.score([classifier.prepare(base64.b64decode(golden.raw_base64))])[0]
            opposite = Verdict.HAM if golden.spam_probability >= 0.5 else Verdict.SPAM
            if score.verdict is opposite:
                wrong.append(f"{golden.name} is called {score.verdict}")
        count = len(self._champion.origin.golden)
        return Check("golden messages", not wrong, "; ".join(wrong) or f"none of {count} is called the opposite")

    def _rows(self, part: Part) -> NDArray[np.int64]:
        return np.flatnonzero(self._parts == part)


def _seconds(classifier: SpamClassifier, prepared: Sequence[PreparedMessage]) -> float:
    """Processor time: what else runs on the machine must not decide."""
    started = time.process_time()
    classifier.score(prepared)
    return time.process_time() - started


def _bytes(artifact: Artifact) -> int:
    return sum(2 * tensor.numel() for tensor in artifact.weights.values())  # half precision
