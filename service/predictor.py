"""From prepared messages to scores: the model in service, its thread, and the swap of one for another."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from service.batcher_contract import PredictionFailedError
from service.inference_thread import InferenceThread
from service.models import ActiveModel, Classifier, Prepared, Score, Weighed

Returned = TypeVar("Returned")

# So many more than before, and the garbage collector looks at them. Hundreds of requests in flight are thousands of
# objects that come and go: at Python's 700 it took a fifth of the event loop's time at twice the capacity (py-spy). In
# turns at 1,800 requests/s, 700 against this: 850, 770, 776, 820 against 888, 820, 916, 907 messages/s scored.
_NEW_OBJECTS = 50_000


@dataclass(frozen=True, slots=True)
class Work:
    """A prepared message and the model that prepared it, the only one that may score it."""

    model: ActiveModel
    prepared: Prepared
    explain: bool = False


class Answer(NamedTuple):
    """A score, with what its reasons are told from where they were asked for."""

    score: Score
    weighed: Weighed | None = None


class Predictor:
    """Scores batches in the inference thread. Assigning `model` swaps it; batches under way keep theirs.

    Args:
        may_use_cuda: let a GPU run the model where there is one.
    """

    def __init__(self, *, may_use_cuda: bool = True) -> None:
        self._may_use_cuda = may_use_cuda
        self.model: ActiveModel | None = None
        self._thread = InferenceThread()
        self._loader = InferenceThread("loader")

    def start(self) -> None:
        """Start the threads."""
        self._thread.start()
        self._loader.start()

    def stop(self) -> None:
        """End the threads, the inference thread after the batch that it has."""
        self._loader.stop(0)
        self._thread.stop()

    @property
    def alive(self) -> bool:
        """Whether the inference thread runs."""
        return self._thread.alive

    async def load(self, read: Callable[[], Returned]) -> Returned:
        """Read something of a model from disk, beside the inference thread."""
        return await self._loader.run(read)

    async def prepare(self, load: Callable[[], Classifier]) -> ActiveModel:
        """Load a model beside the one in service, warm it up and test it; assign it to `model` to put it in service.

        Loading needs no inference, so it has a thread of its own; warm-up and self-test take their turns between
        batches, so that two inferences never fight for the cores.
        """
        classifier = await self._loader.run(load)
        if not (self._may_use_cuda and await self._thread.run(classifier.use_cuda)):
            await self._thread.run(classifier.use_bfloat16)
        await self._thread.run(classifier.warm_up)
        await self._thread.run(classifier.self_test)  # last, so that it tests what will serve
        await self._thread.run(_set_aside_what_stays)
        return ActiveModel(classifier)

    async def score(self, batch: list[Work]) -> list[Answer]:
        """Score a batch, in order, and explain what is to be explained.

        Messages of different models, as around a swap, are scored apart.
        """
        return await self._thread.run(lambda: _explain(batch, _score(batch)))


def _set_aside_what_stays() -> None:
    """Keep the garbage collector off the million objects of libraries and models: looking at all stops every thread.

    Taken back first, so that what an earlier model left behind is found.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)


def _explain(batch: list[Work], scores: list[Score]) -> list[Answer]:
    answers = [Answer(score) for score in scores]
    wanted = [position for position, work in enumerate(batch) if work.explain]
    for model in {id(batch[position].model): batch[position].model for position in wanted}.values():
        positions = [position for position in wanted if batch[position].model is model]
        weighed = model.classifier.weigh([batch[position].prepared for position in positions])
        for position, message in zip(positions, weighed, strict=True):
            answers[position] = Answer(scores[position], message)
    return answers


def _score(batch: list[Work]) -> list[Score]:
    if all(work.model is batch[0].model for work in batch):
        return list(batch[0].model.classifier.score([work.prepared for work in batch]))
    scores: dict[int, Score] = {}
    for model in {id(work.model): work.model for work in batch}.values():
        positions = [position for position, work in enumerate(batch) if work.model is model]
        answers = model.classifier.score([batch[position].prepared for position in positions])
        if len(answers) != len(positions):
            raise PredictionFailedError(f"The model gave {len(answers)} scores for {len(positions)} messages.")
        scores.update(zip(positions, answers, strict=True))
    return [scores[position] for position in range(len(batch))]
