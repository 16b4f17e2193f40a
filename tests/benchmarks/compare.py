"""Hamlet beside its own parts, other servers with the same model, and other filters: one run, one table."""

import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.threads import available_cores
from tests.benchmarks.filters import MissingError, bogofilter_rate, rspamd_rate, spamd_rate
from tests.benchmarks.frameworks.servers import FRAMEWORKS, framework
from tests.benchmarks.in_process import PIPELINE_ALL_CORES, step_rates
from tests.benchmarks.load import Rate, Work, closed_rate
from tests.benchmarks.mail import LabelledMail, json_bodies, sample_mail
from tests.benchmarks.results import Result, Table, megabytes, milliseconds
from tests.benchmarks.running import hamlet, model_folder, rss_bytes, url

BATCH_MESSAGES = 32
BATCH_CLIENTS = 4
SINGLE_CLIENTS = 64
BATCHES = f"batches of {BATCH_MESSAGES}, {BATCH_CLIENTS} clients"
SINGLE = f"one a request, {SINGLE_CLIENTS} clients"
HAMLET = "Hamlet"
HAMLET_ALL_CORES = "Hamlet, a worker a core"
SERVERS = (HAMLET, HAMLET_ALL_CORES, *FRAMEWORKS.values())
# How many times faster Hamlet, with a worker a core and in batches over HTTP, is to be than each.
FILTER_LIMITS = {"bogofilter": 1.0, "rspamd": 4.0, "spamd": 60.0}
# The same of one worker and one mail a request.
SERVER_LIMITS = {"plain_fastapi": 2.0, "lit_serve": 1.0, "ray_serve": 1.0}


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one form of asking."""

    what: str
    form: str
    rate: Rate
    p50_s: float | None = None
    p99_s: float | None = None
    rss_bytes: int | None = None


def measure(*, quick: bool) -> Result:
    """Measure its own parts, then all others turn by turn, so that what else the machine does falls on all of them."""
    sample = sample_mail(256 if quick else 2048)
    half = len(sample.mails) // 2
    raws, seconds, rounds = sample.raws[:half], 1.0 if quick else 8.0, 1 if quick else 3
    result = Result(notes=[f"{sample}; {half} of them scored; model {model_folder().name}; {available_cores()} cores"])
    steps = [Row(step, "in process", rate) for step, rate in step_rates(model_folder(), raws, seconds).items()]
    servers: list[Row] = []
    filters: list[Row] = []
    for _ in range(rounds):
        servers += _servers(raws, seconds / rounds)
        filters += _filters(sample.mails[half:], raws, seconds / rounds, result)
    rows = [*steps, *_medians(sorted(servers, key=lambda row: row.form == SINGLE)), *_medians(filters)]
    result.tables.append(_table(rows))
    _judge(rows, result)
    return result


def _servers(raws: list[bytes], seconds: float) -> Iterator[Row]:
    """Each server in both forms of asking, `seconds` each."""

    def ask(what: str, address: str, process_id: int) -> Iterator[Row]:
        for form, messages, clients in ((BATCHES, BATCH_MESSAGES, BATCH_CLIENTS), (SINGLE, 1, SINGLE_CLIENTS)):
            work = Work(address, json_bodies(raws, messages), messages=messages)
            replies, rate = closed_rate(work, clients=clients, seconds=seconds, process_id=process_id)
            yield Row(what, form, rate, replies.quantile_s(0.5), replies.quantile_s(0.99), rss_bytes(process_id))

    for what, workers in {HAMLET: 1, HAMLET_ALL_CORES: available_cores()}.items():
        with hamlet(HAMLET_WORKERS=str(workers)) as service:
            yield from ask(what, url(service), service.process.pid)
    for name, what in FRAMEWORKS.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            framework(name, model_folder(), Path(folder) / name) as (address, process_id),
        ):
            yield from ask(what, address, process_id)


def _filters(train: Sequence[LabelledMail], raws: list[bytes], seconds: float, result: Result) -> Iterator[Row]:
    """Each filter that is installed; the others are noted."""
    ways: list[Callable[[], Row]] = [
        lambda: Row("bogofilter -b", "one process", bogofilter_rate(train, raws)),
        lambda: Row("rspamd, local only", SINGLE, rspamd_rate(raws, seconds, SINGLE_CLIENTS)),
        lambda: Row("spamd -L", f"{available_cores()} children", spamd_rate(raws, seconds)),
    ]
    for way in ways:
        try:
            yield way()
        except MissingError as missing:
            note = f"Left out: {missing}"
            result.notes += [note] if note not in result.notes else []


def _medians(rows: Iterable[Row]) -> list[Row]:
    """The middle one of the rounds of each, in the order of the first."""
    of_each: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        of_each.setdefault((row.form, row.what), []).append(row)
    return [_median(some) for some in of_each.values()]


def _median(rows: list[Row]) -> Row:
    """The middle one of several rounds."""
    middle = statistics.median_low([row.rate.per_second for row in rows])
    return next(row for row in rows if row.rate.per_second == middle)


def _hamlet(rows: list[Row], form: str, what: str = HAMLET) -> Rate:
    return next(row.rate for row in rows if row.what == what and row.form == form)


def _table(rows: list[Row]) -> Table:
    columns = ("what", "asked", "messages/s", "Hamlet's rate to it", "CPU, ms each", "p50, ms", "p99, ms", "RSS, MB")
    cells = []
    for row in rows:
        # What uses all cores, or is no server, is beside Hamlet with a worker a core.
        rate = _hamlet(rows, row.form) if row.what in SERVERS else _hamlet(rows, BATCHES, HAMLET_ALL_CORES)
        cells.append(
            (
                row.what,
                row.form,
                f"{row.rate.per_second:,.0f}",
                f"{rate.per_second / row.rate.per_second:.2f}",
                f"{row.rate.cpu_s * 1000:.2f}",
                "" if row.p50_s is None else milliseconds(row.p50_s),
                "" if row.p99_s is None else milliseconds(row.p99_s),
                "" if row.rss_bytes is None else megabytes(row.rss_bytes),
            )
        )
    heading = (
        "Beside servers Hamlet's rate is that of its one process, in the same form; beside all else that of a worker a "
        "core, in batches."
    )
    return Table(columns, cells, heading)


def _judge(rows: list[Row], result: Result) -> None:
    rates = {(row.what, row.form): row.rate.per_second for row in rows}
    batches, single = _hamlet(rows, BATCHES, HAMLET_ALL_CORES).per_second, _hamlet(rows, SINGLE).per_second
    result.at_least(
        "a worker a core, batches over HTTP, against the in-process pipeline on all cores",
        batches / rates[PIPELINE_ALL_CORES, "in process"],
        0.7,
        "times",
    )
    for row in rows:
        limit = FILTER_LIMITS.get(row.what.partition(" ")[0].rstrip(","))
        if limit is not None:
            result.at_least(f"the same against {row.what}", batches / row.rate.per_second, limit, "times")
    for name, what in FRAMEWORKS.items():
        limit = SERVER_LIMITS[name]
        result.at_least(f"one message a request against {what}", single / rates[what, SINGLE], limit, "times")
