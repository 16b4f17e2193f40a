"""From the mails of one request to their scores: parse, then batch with everybody else's."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from classifier.reasons import Explanation
from service.batcher import Batcher
from service.batcher_contract import BatcherError, Outcome
from service.clock import Clock
from service.errors import ApiError, api_error
from service.metrics import Metrics
from service.models import ActiveModel, Prepared, Score, Weighed
from service.parsing.parser import MOST_BYTES_FOR_PROCESS, Mail, Parser
from service.predictor import Answer, Work

log = logging.getLogger(__name__)

# One trip to the parser takes this much, so that a request of 256 large mails shares it with others.
CHUNK_MESSAGES = 16
CHUNK_BYTES = MOST_BYTES_FOR_PROCESS
# A message that is to be explained takes as long as so many that are not, when it is parsed and with the model
# (docs/reasons.md).
EXPLAINED_COSTS = 4


@dataclass(frozen=True, slots=True)
class Scored:
    """A message with its score."""

    prepared: Prepared
    score: Score
    weighed: Weighed | None = None  # where an explanation was asked for
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class ScoredRequest:
    """The results in the order of the mails, an ApiError for each that has none, and where the time went."""

    model: ActiveModel
    results: list[Scored | ApiError]
    queue_s: float
    inference_s: float


class Scoring:
    """Scores the mails of one request at a time, among many requests."""

    def __init__(self, parser: Parser, batcher: Batcher[Work, Answer], metrics: Metrics, clock: Clock) -> None:
        self._parser = parser
        self._batcher = batcher
        self._metrics = metrics
        self._clock = clock

    async def score(
        self,
        model: ActiveModel,
        mails: Sequence[Mail],
        *,
        deadline: float,
        parse_started: float,
        explain: bool = False,
    ) -> ScoredRequest:
        """Score mails with a model.

        Args:
            model: the model for all of them, whatever is swapped meanwhile.
            mails: at least one.
            deadline: on the clock, in seconds.
            parse_started: when decoding of the request began, on the clock.
            explain: whether to find the reasons too.

        Raises:
            OverloadedError: there is no room for all of them.
            ExpiredError: the deadline passed.
            WorkerDeadError: nothing can be scored.
        """
        with self._batcher.reserve(len(mails), deadline) as reservation:
            prepared: list[Prepared | ApiError] = []
            cost = EXPLAINED_COSTS if explain else 1
            for chunk in _chunks(mails, CHUNK_MESSAGES // cost):
                prepared += await self._parser.prepare(model, chunk, explain=explain)
            self._metrics.parse_seconds.observe(self._clock.now() - parse_started)
            works = [
                (Work(model, one, explain), cost * one.tokens) for one in prepared if not isinstance(one, ApiError)
            ]
            outcomes = iter(await reservation.score(works))
        results: list[Scored | ApiError] = []
        queue_s = inference_s = 0.0
        for one in prepared:
            if isinstance(one, ApiError):
                results.append(one)
                continue
            outcome = next(outcomes)
            results.append(self._result(model, one, outcome))
            if isinstance(outcome, Outcome) and outcome.queue_s + outcome.inference_s > queue_s + inference_s:
                queue_s, inference_s = outcome.queue_s, outcome.inference_s  # of the message that came last
        if explain:
            results = await self._parser.run(lambda: [_told(result) for result in results])
        return ScoredRequest(model, results, queue_s, inference_s)

    def _result(
        self, model: ActiveModel, prepared: Prepared, outcome: Outcome[Answer] | BatcherError
    ) -> Scored | ApiError:
        if isinstance(outcome, BatcherError):
            log.error("a message could not be scored", exc_info=outcome)
            return api_error(outcome)
        score, weighed = outcome.output
        self._metrics.message_scored(score.verdict.value, score.probability, model.classifier.version)
        return Scored(prepared, score, weighed)


def _chunks(mails: Sequence[Mail], most: int) -> Iterator[list[Mail]]:
    chunk: list[Mail] = []
    chunk_bytes = 0
    for mail in mails:
        if chunk and (len(chunk) == most or chunk_bytes + mail.size_bytes > CHUNK_BYTES):
            yield chunk
            chunk, chunk_bytes = [], 0
        chunk.append(mail)
        chunk_bytes += mail.size_bytes
    yield chunk


def _told(result: Scored | ApiError) -> Scored | ApiError:
    """Put what was weighed into words."""
    if isinstance(result, ApiError) or result.weighed is None:
        return result
    return replace(result, explanation=result.weighed.explanation())
