"""Half of the clients are killed while their messages wait: nothing is scored for them, and nobody else notices."""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Event

from tests.benchmarks.in_process import score_alone
from tests.benchmarks.load import JSON, Replies, Work, one_each
from tests.benchmarks.mail import json_bodies, sample_mail
from tests.benchmarks.results import Result
from tests.benchmarks.running import hamlet, metric, model_folder, url
from tests.service.process import Process

STAYING_MESSAGES, LEAVING_MESSAGES = 64, 16  # a request
SCORE_TOLERANCE = 1e-4  # of the contract; rounding, which depends on the machine
MIXED_UP_FROM = 1e-3  # more than rounding
SLOWER_AT_MOST = 1.25
NOTHING_IS_REFUSED = {"HAMLET_MAX_QUEUED_TOKENS": "10000000", "HAMLET_REQUEST_TIMEOUT_MS": "120000"}
# In larger batches the model keeps up with reading, so that hardly anything is queued.
ONE_BY_ONE = {"HAMLET_MAX_BATCH_MESSAGES": "1"}
# On a busy machine it keeps up all the same. Where that may be, the model waits longer than it takes to queue all.
HELD_BACK = {
    "HAMLET_BATCH_WAIT_MS": "10000",
    "HAMLET_MAX_BATCH_MESSAGES": "2000",  # more than are sent: a full batch would not wait
    "HAMLET_MAX_BATCH_TOKENS": "10000000",
}
QUEUED_WITHIN_S = 60.0


def measure(*, quick: bool) -> Result:
    """Queue slow mails of clients that stay, then short mails of clients that are killed; count what the model did."""
    clients = 8 if quick else 16
    drawn = 256 * clients
    mails = sample_mail(drawn).raws
    by_time = sorted(zip(mails, score_alone(model_folder(), mails), strict=True), key=lambda each: each[1].score_s)
    slowest = by_time[-clients * STAYING_MESSAGES :]
    staying = [raw for raw, _ in slowest]
    leaving = sorted(mails, key=len)[: clients * LEAVING_MESSAGES]
    settings = {**NOTHING_IS_REFUSED, **(HELD_BACK if quick else ONE_BY_ONE)}
    with hamlet(**settings) as service:
        alone = _send_and_kill(service, clients, staying, [])
    with hamlet(**settings) as service:
        beside = _send_and_kill(service, clients, staying, leaving)
        scored = metric(service, "hamlet_batch_messages_sum")
        dropped = metric(service, "hamlet_dropped_total", reason="cancelled")
        still_ready = service.ready()
    apart = [
        abs(result["spam_probability"] - slowest[body * STAYING_MESSAGES + place][1].probability)
        for body, text in zip(beside.body, beside.text, strict=True)
        for place, result in enumerate(json.loads(text)["results"])
    ]
    result = Result(
        notes=[
            f"{clients} clients send {STAYING_MESSAGES} mails each, of {drawn:,} the slowest to score, then {clients} "
            f"others {LEAVING_MESSAGES} each, the shortest; once all are queued, the process of the others gets "
            f"SIGKILL. {'The model waits 10 s for them.' if quick else 'Batches of one message.'}"
        ]
    )
    result.exactly("messages scored beyond those of the clients that stayed", int(scored) - len(staying), 0)
    result.exactly("messages in hamlet_dropped_total, reason cancelled", int(dropped), len(leaving))
    result.exactly("clients that stayed and got a 200", beside.count(200), clients)
    wrong = sum(difference > MIXED_UP_FROM for difference in apart)
    result.exactly("their messages with another score than alone", wrong, 0)
    result.at_most("largest difference of a score from that alone", max(apart), SCORE_TOLERANCE)
    result.exactly("ready afterwards", still_ready, True)
    slower = (max(beside.done_s) - beside.started_s) / (max(alone.done_s) - alone.started_s)
    result.at_most("their time against that without the others", slower, SLOWER_AT_MOST, "times")
    return result


def _send_and_kill(service: Process, clients: int, staying: list[bytes], leaving: list[bytes]) -> Replies:
    """Return what the clients got that stay; each of them, and of those that leave, sends one request."""
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        # Started first: starting a process takes as long as scoring hundreds of messages.
        ready, go = context.Event(), context.Event()
        others = context.Process(
            target=_send_when_told, args=(ready, go, _work(service, leaving, LEAVING_MESSAGES), clients), daemon=True
        )
        others.start()
        ready.wait(QUEUED_WITHIN_S)
        answers = process.submit(one_each, _work(service, staying, STAYING_MESSAGES), clients=clients)
        _wait(lambda: _queued(service) >= len(staying), answers)
        if leaving:
            go.set()
            _wait(lambda: _queued(service) >= len(staying) + len(leaving), answers)
        others.kill()
        others.join()
        return answers.result()


def _send_when_told(ready: Event, go: Event, work: Work, clients: int) -> None:
    ready.set()
    go.wait()
    one_each(work, clients=clients)


def _work(service: Process, raws: list[bytes], messages: int) -> Work:
    return Work(url(service), json_bodies(raws, messages), JSON, messages)


def _queued(service: Process) -> float:
    """Messages that are or were queued."""
    return metric(service, "hamlet_queue_messages") + metric(service, "hamlet_queue_seconds_count")


def _wait(holds: Callable[[], bool], answers: "Future[Replies]") -> None:
    end = time.monotonic() + QUEUED_WITHIN_S
    while not holds():
        if answers.done():
            raise RuntimeError(f"all were answered before they were seen in the queue: {answers.result().status}")
        if time.monotonic() > end:
            raise RuntimeError(f"the messages were not all queued within {QUEUED_WITHIN_S:g} s")
        time.sleep(0.005)
