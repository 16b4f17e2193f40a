"""The job from end to end. Every step is announced; a run that is killed in any of them is simply started again.

Nothing of an unfinished run is taken up but the prepared old mail: the rest takes minutes, and so the same feedback
gives the same version whatever happened before.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from classifier.artifact import Artifact
from classifier.pipeline import SpamClassifier
from training.adapt import AdaptConfig
from training.config import config_of_card
from training.corpus import Corpus
from training.errors import RetrainError
from training.prepare import data_manifest, describe_split, prepare
from training.progress import say
from training.retrain import feedback as journal
from training.retrain.candidate import Candidate, Maker
from training.retrain.decision import Decision, Outcome
from training.retrain.feedback import Feedback, Rules, Sieved
from training.retrain.gate import Check, Limits, first_failed, judge, judge_poisoned
from training.retrain.lock import locked
from training.retrain.mix import Mix, Sizes, mix
from training.retrain.page import write_decision
from training.retrain.registry import Champion, champion, promote, prune, was_rolled_back
from training.retrain.service import Service
from training.retrain.state import State
from training.split import Part

_WORK = "work"
_BASE = "base"


@dataclass(frozen=True, slots=True)
class RetrainConfig:
    """What `--settings` may say."""

    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    rules: Rules = field(default_factory=Rules)
    sizes: Sizes = field(default_factory=Sizes)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Job:
    """What a person asks for."""

    models: Path
    out: Path
    service: Service | None = None
    file: Path | None = None  # an export, in place of the service's
    base: Sequence[str] = ()  # the mail that the model was fitted on
    at_least: int = 1  # so many messages that are new, or one that is gone
    keep: int = 5  # adapted versions that stay in the folder
    config: RetrainConfig = field(default_factory=RetrainConfig)


def retrain(job: Job) -> Outcome:
    """Do the job, and say in words what came of it.

    Raises:
        HamletError: it could not be done; the version in service is the one that was.
    """
    with locked(job.models):
        work = job.out / _WORK
        try:
            shutil.rmtree(work, ignore_errors=True)  # of a run that was killed: there is mail in it
            work.mkdir(parents=True)
            return _Run(job, work).outcome()
        except OSError as error:
            place = error.filename or f"to {job.out} or {job.models}"
            raise RetrainError(f"cannot write {place}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)


class _Run:
    def __init__(self, job: Job, work: Path) -> None:
        self._job, self._work = job, work
        self._state = State.load(job.out)
        self._champion: Champion = champion(job.models)
        origin = self._champion.origin
        self._config = config_of_card(
            origin.card, network=origin.network, ngrams=origin.ngrams, encoding=origin.encoding
        )
        self._manifest = data_manifest(job.base)
        self._notes: list[str] = []
        # Whether the champion has learned from what was forgotten since: then it may not stay.
        self._must_go = False

    def outcome(self) -> Outcome:
        same_settings = self._state.settings == self._settings(self._champion.artifact.version)
        _step("exporting feedback")
        if same_settings and self._nothing_since():
            return self._nothing("nothing was said or forgotten since the last run")
        written = journal.write_journal(self._lines(), self._work / journal.FILE_NAME)
        _step("validating feedback")
        feedback = journal.read_feedback(self._work / journal.FILE_NAME, self._job.config.rules, written.sieved)
        self._state.newest, self._state.at_newest = written.newest, written.at_newest
        keys = {one.key for one in feedback}
        said, before = {f"{one.key} {one.is_spam}" for one in feedback}, set(self._state.said)
        gone, new = len(before - said), len(said - before)
        self._state.said = sorted(said)
        self._must_go = not keys.issuperset(self._learned())
        self._state.learned = {
            version: [key for key in learned if key in keys]
            for version, learned in self._state.learned.items()
            if (self._job.models / version).is_dir()
        }
        content = journal.fingerprint(feedback)
        if same_settings and self._state.feedback == content:
            self._state.save(self._job.out)
            return self._nothing("the journal says what it said at the last run")
        self._state.feedback = content
        if not feedback:
            return self._without_feedback(written.sieved)
        if not gone and new < self._job.at_least and same_settings:
            return self._nothing(f"{new} new messages, {self._job.at_least} are waited for (--at-least)")
        return self._learn(feedback, written.sieved)

    def _learned(self) -> frozenset[str]:
        """What the champion has learned from, by key."""
        return frozenset(self._state.learned.get(self._champion.artifact.version, ()))

    @property
    def _rival(self) -> Artifact:
        """What the candidate has to be no worse than: the champion, or where that may not stay what it came from."""
        return self._champion.origin if self._must_go else self._champion.artifact

    def _lines(self) -> Iterator[bytes]:
        if self._job.file is not None:
            return journal.lines_of_file(self._job.file)
        assert self._job.service is not None
        return self._job.service.export(forgotten="true")

    def _nothing_since(self) -> bool:
        """Whether the service's journal has nothing newer than what the last run saw; cheap to ask."""
        if self._job.service is None or self._job.file is not None or not self._state.newest:
            return False
        lines = self._job.service.export(since=self._state.newest, forgotten="true")
        return journal.hash_of_ids(json.loads(line)["id"] for line in lines) == self._state.at_newest

    def _nothing(self, why: str) -> Outcome:
        say(f"nothing to do: {why}; {self._champion.artifact.version} stays in service")
        return Outcome.NOTHING_TO_DO

    def _without_feedback(self, sieved: Sieved) -> Outcome:
        """No feedback, or none left: what was learned from it goes out of service."""
        artifact = self._champion.artifact
        if artifact.version == self._champion.origin.version:
            self._finish(artifact.version)
            return self._nothing("there is no feedback")
        self._must_go = True
        return self._keep("there is no feedback any more", sieved)

    def _learn(self, feedback: Sequence[Feedback], sieved: Sieved) -> Outcome:
        before = self._champion.artifact.version
        if self._must_go:
            self._notes.append(
                f"{before} has learned from what was forgotten since, and may not stay: the candidate was judged "
                f"beside {self._rival.version}, which has learned from no feedback."
            )
        mixed = self._mix(feedback, sieved)
        messages = _count(mixed)
        _step("adapting the model")
        maker = Maker(self._champion, self._rival, mixed, self._config, self._job.config.adapt)
        lacking = maker.lacking(self._job.config.limits.fewest)
        if lacking:
            return self._keep(lacking, sieved, messages)
        candidate = maker.candidate()
        _step("judging the candidate")
        checks = self._judge(maker, candidate)
        failed = first_failed(checks)
        if failed:
            return self._keep(f"{failed.name}: {failed.words}", sieved, messages, checks)
        _step("publishing the candidate")
        measures = maker.measures(candidate)
        folder = maker.publish(candidate, self._manifest, measures, checks, self._job.models)
        self._state.learned[folder.name] = maker.learned()
        if folder.name.rpartition("-")[2] == before.rpartition("-")[2]:
            self._finish(before)
            return self._nothing("what is in service has learned all of this")
        if was_rolled_back(self._job.models, folder.name):
            why = (
                f"the candidate is {folder.name}, which was rolled back by hand. More or other feedback gives another; "
                "POST /v1/models/{version}/activate puts this one into service all the same"
            )
            return self._keep(why, sieved, messages, checks)
        _step("activating the candidate")
        how = promote(self._job.models, folder.name, before, self._job.service)
        reason = f"{folder.name} is in service, put there {how}: it passed every check against {self._rival.version}."
        outcome = self._decide(Outcome.PROMOTED, reason, folder.name, sieved, messages, checks, measures)
        prune(self._job.models, self._job.keep)
        return outcome

    def _keep(
        self,
        why: str,
        sieved: Sieved,
        messages: Sequence[tuple[str, str, str, int]] = (),
        checks: Sequence[Check] = (),
    ) -> Outcome:
        """No candidate: the champion stays, or where it may not, what it was adapted from takes its place."""
        version, origin = self._champion.artifact.version, self._champion.origin.version
        if not self._must_go:
            return self._decide(Outcome.KEPT, f"{version} stays: {why}.", "", sieved, messages, checks)
        _step("activating the fitted version")
        how = promote(self._job.models, origin, version, self._job.service)
        reason = (
            f"{version} has learned from feedback that was forgotten since, so {origin}, which it was adapted from, is "
            f"in service again, put there {how}; no candidate took its place: {why}."
        )
        return self._decide(Outcome.PROMOTED, reason, origin, sieved, messages, checks)

    def _mix(self, feedback: Sequence[Feedback], sieved: Sieved) -> Mix:
        tokenizer = SpamClassifier(self._champion.origin).tokenizer
        base: Corpus | None = None
        if self._job.base:
            _step("preparing the old mail, once")
            base, _ = prepare(self._job.base, self._config, self._job.out / _BASE, tokenizer=tokenizer)
            self._note_other_mail(base)
        else:
            self._notes.append(
                "No old mail was given (--base): only feedback says whether the candidate still knows what the "
                "champion knows."
            )
        _step("mixing feedback and old mail")
        config = self._job.config
        learned = frozenset[str]() if self._must_go else self._learned()
        folder = self._work / "mix"
        return mix(base, feedback, learned, tokenizer, self._config, config.rules, config.sizes, sieved, folder)

    def _note_other_mail(self, base: Corpus) -> None:
        of_fit = self._champion.origin.card.get("split", {}).get("ids_sha256", {})
        if of_fit.get("test") != describe_split(base)["ids_sha256"]["test"]:  # type: ignore[index]
            self._notes.append(
                f"The old mail is not divided as it was when {self._champion.origin.version} was fitted, so that both "
                "versions may have learned from some of the old mail that they are judged by."
            )

    def _judge(self, maker: Maker, candidate: Candidate) -> list[Check]:
        test, limits = maker.test, self._job.config.limits
        checks = judge(test, maker.rival(), candidate.scored, limits)
        checks += maker.technical(candidate, limits)
        if not first_failed(checks):  # it takes as long as the candidate did
            _step("poisoning a copy of the candidate")
            checks.append(judge_poisoned(test, candidate.scored, maker.poisoned().scored, limits))
        return checks

    def _decide(
        self,
        outcome: Outcome,
        reason: str,
        candidate: str,
        sieved: Sieved,
        messages: Sequence[tuple[str, str, str, int]] = (),
        checks: Sequence[Check] = (),
        measures: dict[str, Any] | None = None,
    ) -> Outcome:
        """Tell the decision, write its page, and remember the run."""
        artifact, origin = self._champion.artifact, self._champion.origin
        decision = Decision(
            outcome, reason, artifact.version, origin.version, candidate, sieved, messages, checks, measures or {},
            self._notes,
        )  # fmt: skip
        _step("writing the decision")
        write_decision(decision, self._job.out)
        self._finish(candidate if outcome is Outcome.PROMOTED else artifact.version)
        say(reason)
        say(f"why, in full: {self._job.out / 'decision.html'}")
        return outcome

    def _finish(self, in_service: str) -> None:
        self._state.settings = self._settings(in_service)
        self._state.save(self._job.out)

    def _settings(self, in_service: str) -> str:
        """A hash of all but feedback that a decision depends on."""
        values = [in_service, self._manifest, asdict(self._job.config)]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _step(what: str) -> None:
    say(f"retrain: {what}")


def _count(mixed: Mix) -> list[tuple[str, str, str, int]]:
    corpus = mixed.corpus
    parts = {"learned from": Part.TRAIN, "calibrated on": Part.CALIBRATION, "judged by": Part.TEST}
    rows = []
    for kind, part, label in product(("feedback", "old mail"), parts, ("spam", "ham")):
        members = (mixed.is_feedback == (kind == "feedback")) & (corpus.parts == parts[part])
        rows.append((kind, part, label, int((members & (corpus.is_spam == (label == "spam"))).sum())))
    return [row for row in rows if row[3] or row[1] != "calibrated on"]
