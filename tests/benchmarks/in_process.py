"""Messages per second of each step from bytes to score, without a server, in processes of their own."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from classifier.allocator import keep_freed_memory
from classifier.threads import available_cores
from tests.benchmarks.load import Rate, apart

if TYPE_CHECKING:
    from classifier.pipeline import SpamClassifier

NETWORK = "network alone (ids to score), one core, best batch"
PIPELINE = "in-process pipeline, one core"
PIPELINE_ALL_CORES = "in-process pipeline, a process a core"
BATCH_MESSAGES = 32
BATCHES_TRIED = (16, 32, 64, 128, 256)

Item = TypeVar("Item")


class Alone(NamedTuple):
    """What a mail gets that is scored alone."""

    probability: float
    score_s: float  # of the model; reading the mail is not counted


def step_rates(folder: Path, raws: Sequence[bytes], seconds: float) -> dict[str, Rate]:
    """Return the rate of each step, `seconds` each, on one thread as the service runs them, and of all on all cores."""
    with threads(1):
        rates = apart(_step_rates, folder, raws, seconds)
    return {**rates, PIPELINE_ALL_CORES: _rate_of_all_cores(folder, raws, seconds)}


def score_alone(folder: Path, raws: Sequence[bytes]) -> list[Alone]:
    """Score each mail alone, on one thread as the service does."""
    with threads(1):
        return apart(_score_alone, folder, raws)


def _step_rates(folder: Path, raws: Sequence[bytes], seconds: float) -> dict[str, Rate]:
    classifier = _load(folder)

    from classifier.message import parse_message
    from classifier.text import message_text

    texts = [message_text(parse_message(raw)) for raw in raws]
    prepared = [classifier.prepare(raw) for raw in raws]
    network = {
        size: rate(classifier.score, prepared, seconds / len(BATCHES_TRIED), batch=size) for size in BATCHES_TRIED
    }
    best = max(network, key=lambda size: network[size].per_second)
    return {
        "parse (bytes to text), one core": rate(
            lambda some: [message_text(parse_message(raw)) for raw in some], raws, seconds
        ),
        "tokenise (text to ids), one core": rate(
            lambda some: list(map(classifier.tokenizer.encode, some)), texts, seconds
        ),
        f"{NETWORK} ({best})": rate(classifier.score, prepared, seconds, batch=best),
        PIPELINE: rate(lambda some: _pipeline(classifier, some), raws, seconds),
    }


def _rate_of_all_cores(folder: Path, raws: Sequence[bytes], seconds: float) -> Rate:
    context = get_context("spawn")
    cores = available_cores()
    together, rates = context.Barrier(cores), context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(folder, raws[core::cores], seconds, together, rates))
        for core in range(cores)
    ]
    with threads(1):
        for worker in workers:
            worker.start()
    found: list[Rate] = [rates.get() for _ in workers]
    for worker in workers:
        worker.join()
    per_second = sum(one.per_second for one in found)
    return Rate(per_second, sum(one.cpu_s * one.per_second for one in found) / per_second)


def rate(
    step: Callable[[list[Item]], object], items: Sequence[Item], seconds: float, batch: int = BATCH_MESSAGES
) -> Rate:
    """Return the rate of a step that is given the items in batches, again and again."""
    batches = [list(items[start : start + batch]) for start in range(0, len(items), batch)]
    for some in batches:  # once for every shape, and for what is loaded on first use
        step(some)
    done, started, cpu_started = 0, time.perf_counter(), time.process_time()
    while True:
        for some in batches:
            step(some)
            done += len(some)
            if time.perf_counter() - started >= seconds:
                return Rate(done / (time.perf_counter() - started), (time.process_time() - cpu_started) / done)


def _score_alone(folder: Path, raws: Sequence[bytes]) -> list[Alone]:
    classifier = _load(folder)
    found = []
    for raw in raws:
        prepared = classifier.prepare(raw)
        started = time.perf_counter()
        probability = classifier.score([prepared])[0].probability
        found.append(Alone(probability, time.perf_counter() - started))
    return found


def _work(folder: Path, raws: Sequence[bytes], seconds: float, together: Barrier, rates: "SimpleQueue[Rate]") -> None:
    classifier = _load(folder)
    together.wait()
    rates.put(rate(lambda some: _pipeline(classifier, some), raws, seconds))


def _pipeline(classifier: "SpamClassifier", raws: Sequence[bytes]) -> object:
    return classifier.score(list(map(classifier.prepare, raws)))


def _load(folder: Path) -> "SpamClassifier":
    from classifier.pipeline import SpamClassifier

    keep_freed_memory()
    classifier = SpamClassifier.load(folder)
    classifier.use_bfloat16()  # as the service does, and then compiles
    classifier.warm_up()
    return classifier


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let processes that are started inside use so many threads, set up as the service sets itself up."""
    settings = {
        "OMP_NUM_THREADS": str(number),
        "MKL_NUM_THREADS": str(number),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
