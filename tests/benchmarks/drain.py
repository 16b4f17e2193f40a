"""SIGTERM under load: what was accepted is answered, what comes after is refused, and the process ends with 0."""

import signal
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.benchmarks.load import JSON, NO_ANSWER, Work, closed_loop
from tests.benchmarks.mail import json_bodies, sample_mail
from tests.benchmarks.results import Result
from tests.benchmarks.running import hamlet, log_lines, url

CLIENTS = 16
BATCH_MESSAGES = 16
END_WITHIN_S = 30.0
ON_ITS_WAY_S = 0.5


def measure(*, quick: bool) -> Result:
    """Load the service, tell it to end, and look at every request from both sides."""
    rounds, before_s = (1, 1.0) if quick else (5, 4.0)
    lost = strange = unsent = pending = accepted = refused = 0
    exits, slowest_s = [], 0.0
    bodies = json_bodies(sample_mail(1024).raws, BATCH_MESSAGES)
    for _ in range(rounds):
        with hamlet(HAMLET_LOG_LEVEL="info") as service, ProcessPoolExecutor(1, get_context("spawn")) as process:
            work = Work(url(service), bodies, JSON, BATCH_MESSAGES)
            answers = process.submit(closed_loop, work, clients=CLIENTS, seconds=before_s + END_WITHIN_S, warm_up_s=0)
            service.wait_until(lambda: service.client.get("/health").json()["queue"]["messages_in_flight"] > 0)
            time.sleep(before_s)
            told_s = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            exits.append(service.process.wait(END_WITHIN_S))
            slowest_s = max(slowest_s, time.monotonic() - told_s)
            replies = answers.result()
            logged = [line.get("status") for line in log_lines(service) if line.get("route") == "/v1/predict"]
        requests = list(zip(replies.sent_s, replies.done_s, replies.status, strict=True))
        pending += sum(sent < told_s < done for sent, done, _ in requests)
        # One on its way at the signal may be read after it, and is then refused as it should be.
        lost += sum(sent < told_s and status not in (200, 503) for sent, _, status in requests)
        lost += sum(sent < told_s - ON_ITS_WAY_S and status == 503 for sent, _, status in requests)
        strange += sum(status not in (200, 503, NO_ANSWER) for _, _, status in requests)
        unsent += logged.count(200) - replies.count(200)
        accepted += replies.count(200)
        refused += replies.count(503)
    result = Result(
        notes=[
            f"{rounds} times: {CLIENTS} clients with batches of {BATCH_MESSAGES}, SIGTERM after {before_s:g} s. "
            f"{accepted:,} requests answered with 200; {pending} under way at the signal; {refused} got 503 after it."
        ]
    )
    result.at_least("requests under way at the signals", pending, rounds)
    result.exactly("requests sent before the signal that were lost", lost, 0)
    result.exactly("answers of 200 that the service logged and no client got", unsent, 0)
    result.exactly("requests after it with anything but 200, 503 or a closed door", strange, 0)
    result.exactly("exit statuses", sorted(set(exits)), [0])
    result.at_most("signal to end", slowest_s, END_WITHIN_S, "s")
    return result
