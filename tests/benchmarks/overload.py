"""Latency against offered load, from a quarter of what the service can do to twice that."""

from dataclasses import replace

from tests.benchmarks.load import NO_ANSWER, RAW, Replies, Work, apart, closed_loop, open_loop, require_all_200
from tests.benchmarks.mail import sample_mail
from tests.benchmarks.results import Result, Table, milliseconds
from tests.benchmarks.running import Probe, hamlet, url

CLIENTS = 64  # of the closed loop that finds the capacity
LOADS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0)
QUICK_LOADS = (0.5, 2.0)
DEADLINE_MS = 2000
RETRY_AFTER_MAX_S = 60  # of the contract
REFUSED_WITHIN_S = 0.1
ALIVE_WITHIN_S = 0.1


def measure(*, quick: bool) -> Result:
    """Find the capacity, then offer shares and multiples of it, and hold the figures against the promises."""
    sample, seconds = sample_mail(1024), 3.0 if quick else 20.0
    result = Result()
    curve: dict[float, Replies] = {}
    with hamlet() as service:
        work = Work(url(service, "/v1/predict/raw"), sample.raws, RAW)
        timed = replace(work, headers={**RAW, "X-Request-Timeout-Ms": str(DEADLINE_MS)})
        closed = _closed(work, seconds)
        before = closed.per_second()
        for load in QUICK_LOADS if quick else LOADS:
            with Probe(service) as probe:
                curve[load] = apart(open_loop, timed, per_second=load * before, seconds=seconds)
        after = _closed(work, seconds).per_second()
    capacity = (before + after) / 2
    result.notes.append(
        f"{sample}, one a request, POST /v1/predict/raw, deadline {DEADLINE_MS} ms. Capacity "
        f"{capacity:,.0f} messages/s: closed loop of {CLIENTS} clients, {before:,.0f} before the loads (p50 "
        f"{milliseconds(closed.quantile_s(0.5))} ms, p99 {milliseconds(closed.quantile_s(0.99))} ms) and {after:,.0f} "
        "after them, for a machine's speed changes meanwhile. Open loop, Poisson, loads of the capacity before:"
    )
    result.tables.append(_table(curve, before))
    half, twice = curve[0.5], curve[2.0]
    result.at_most("half load: p99 to median", half.quantile_s(0.99, 200) / half.quantile_s(0.5, 200), 4, "times")
    result.at_most("half load: answers other than 200", len(half.status) - half.count(200), 0)
    result.at_most("twice the capacity: p99 of what was accepted", twice.quantile_s(0.99, 200), DEADLINE_MS / 1000, "s")
    result.at_least("twice the capacity: goodput of the capacity", twice.per_second() / capacity, 0.9, "%")
    if twice.count(429):
        result.at_most("twice the capacity: p99 of refusals", twice.quantile_s(0.99, 429), REFUSED_WITHIN_S, "s")
    others = len(twice.status) - twice.count(200) - twice.count(429)
    result.at_most("twice the capacity: answers other than 200 and 429", others, 0)
    refusals = [after for after, status in zip(twice.retry_after, twice.status, strict=True) if status == 429]
    sensible = [after for after in refusals if after.isdigit() and 1 <= int(after) <= RETRY_AFTER_MAX_S]
    result.exactly("twice the capacity: refusals without a sensible Retry-After", len(refusals) - len(sensible), 0)
    result.at_most("twice the capacity: slowest /health/live", max(probe.seconds), ALIVE_WITHIN_S, "s")
    result.exactly("twice the capacity: /health/live that failed", probe.failures, 0)
    return result


def _closed(work: Work, seconds: float) -> Replies:
    replies = apart(closed_loop, work, clients=CLIENTS, seconds=seconds)
    require_all_200(replies)
    return replies


def _table(curve: dict[float, Replies], capacity: float) -> Table:
    columns = (
        *("load", "offered/s", "200/s", "p50, ms", "p90, ms", "p99, ms", "p99.9, ms", "429", "503, 504", "no answer"),
        *("p99 of 429, ms", "client late, p99, ms", "client, cores"),
    )
    rows = [
        (
            f"{load:g}",
            f"{load * capacity:,.0f}",
            f"{replies.per_second():,.0f}",
            *(milliseconds(replies.quantile_s(share, 200)) for share in (0.5, 0.9, 0.99, 0.999)),
            str(replies.count(429)),
            str(replies.count(503) + replies.count(504)),
            str(replies.count(NO_ANSWER)),
            milliseconds(replies.quantile_s(0.99, 429)),
            milliseconds(replies.lag_s(0.99)),
            f"{replies.cpu_share:.2f}",
        )
        for load, replies in curve.items()
    ]
    return Table(columns, rows)
