"""The inference thread and the swap of models."""

import pytest

from service.batcher_contract import WorkerDeadError
from service.inference_thread import InferenceThread
from service.models import ActiveModel
from service.predictor import Predictor, Work
from tests.service.fakes import FakeClassifier, FakePrepared


async def test_a_job_that_fails_does_not_end_the_thread() -> None:
    """An exception goes to whoever asked, and the next job runs."""
    thread = InferenceThread()
    thread.start()
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 / 0)
    assert await thread.run(lambda: 42) == 42
    assert thread.alive
    thread.stop()
    assert not thread.alive


async def test_a_dead_thread_fails_its_jobs() -> None:
    """When the thread ends, neither the running job nor a later one is left hanging."""
    thread = InferenceThread()
    thread.start()

    def end() -> None:
        raise SystemExit

    with pytest.raises(WorkerDeadError):
        await thread.run(end)
    with pytest.raises(WorkerDeadError):
        await thread.run(lambda: 42)
    assert not thread.alive


@pytest.mark.parametrize(
    ("may_use_cuda", "has_cuda", "steps"),
    [
        (True, True, ["use_cuda", "warm_up", "self_test"]),
        (True, False, ["use_cuda", "use_bfloat16", "warm_up", "self_test"]),
        (False, True, ["use_bfloat16", "warm_up", "self_test"]),
    ],
)
async def test_a_model_is_made_ready_before_it_serves(may_use_cuda: bool, has_cuda: bool, steps: list[str]) -> None:
    """The fastest arithmetic first, then compiled and warm, then tested as it will serve."""
    done: list[str] = []

    class Remembering(FakeClassifier):
        def use_cuda(self) -> bool:
            done.append("use_cuda")
            return has_cuda

        def use_bfloat16(self) -> bool:
            done.append("use_bfloat16")
            return True

        def warm_up(self) -> None:
            done.append("warm_up")

        def self_test(self) -> None:
            done.append("self_test")

    predictor = Predictor(may_use_cuda=may_use_cuda)
    predictor.start()
    await predictor.prepare(Remembering)
    predictor.stop()
    assert done == steps


async def test_a_swap_in_the_middle_keeps_each_message_with_its_model() -> None:
    """A batch across a swap is scored by both models, each its own messages, and the order is kept."""
    predictor = Predictor()
    predictor.start()
    seen: list[tuple[str, list[str]]] = []

    class Remembering(FakeClassifier):
        def score(self, prepared):  # type: ignore[no-untyped-def]  # as in the base
            seen.append((self.version, [one.text for one in prepared]))
            return super().score(prepared)

    old, new = ActiveModel(Remembering(version="old")), ActiveModel(Remembering(version="new"))
    batch = [Work(old, FakePrepared("a", 1)), Work(new, FakePrepared("spam", 1)), Work(old, FakePrepared("c", 1))]
    answers = await predictor.score(batch)
    predictor.stop()
    assert [answer.score.verdict for answer in answers] == ["ham", "spam", "ham"]
    assert seen == [("old", ["a", "c"]), ("new", ["spam"])]


async def test_a_message_is_explained_by_the_model_that_prepared_it() -> None:
    """Across a swap, among messages that nobody wants explained."""
    predictor = Predictor()
    predictor.start()
    seen: list[tuple[str, list[str]]] = []

    class Remembering(FakeClassifier):
        def weigh(self, prepared):  # type: ignore[no-untyped-def]  # as in the base
            seen.append((self.version, [one.text for one in prepared]))
            return super().weigh(prepared)

    old, new = ActiveModel(Remembering(version="old")), ActiveModel(Remembering(version="new"))
    batch = [
        Work(old, FakePrepared("a", 1), explain=True),
        Work(new, FakePrepared("b", 1), explain=True),
        Work(old, FakePrepared("c", 1)),
    ]
    answers = await predictor.score(batch)
    predictor.stop()
    assert seen == [("old", ["a"]), ("new", ["b"])]
    assert [answer.weighed and answer.weighed.explanation().shown for answer in answers] == [
        {"body": "a"}, {"body": "b"}, None,
    ]  # fmt: skip
