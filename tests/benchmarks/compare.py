"""Hamlet beside its own parts, other servers with the same model, and other filters: one run, one table."""

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from classifier.threads import available_cores
from tests.benchmarks.filters import MissingError, bogofilter_rate, rspamd_rate, spamd_rate
from tests.benchmarks.frameworks.servers import FRAMEWORKS, framework
from tests.benchmarks.in_process import PIPELINE_ALL_CORES, step_rates
from tests.benchmarks.load import Rate, Work, closed_rate
from tests.benchmarks.mail import json_bodies, sample_mail
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
    """Measure all of them after each other, the servers in turns."""
    sample = sample_mail(256 if quick else 2048)
    half = len(sample.mails) // 2
    raws, seconds = sample.raws[:half], 1.0 if quick else 8.0
    result = Result(notes=[f"{sample}; {half} of them scored; model {model_folder().name}; {available_cores()} cores"])
    rows = [Row(step, "in process", rate) for step, rate in step_rates(model_folder(), raws, seconds).items()]
    rows += _servers(raws, seconds, rounds=1 if quick else 3)
    filters: list[Callable[[], Row]] = [
        lambda: Row("bogofilter -b", "one process", bogofilter_rate(sample.mails[half:], raws)),
        lambda: Row("rspamd, local only", SINGLE, rspamd_rate(raws, seconds, SINGLE_CLIENTS)),
        lambda: Row("spamd -L", f"{available_cores()} children", spamd_rate(raws, seconds)),
    ]
    for filter_row in filters:
        try:
            rows.append(filter_row())
        except MissingError as missing:
            result.notes.append(f"Left out: {missing}")
    result.tables.append(_table(rows))
    _judge(rows, result)
    return result


def _servers(raws: list[bytes], seconds: float, rounds: int) -> list[Row]:
    forms = {BATCHES: (BATCH_MESSAGES, BATCH_CLIENTS), SINGLE: (1, SINGLE_CLIENTS)}
    rows: dict[tuple[str, str], list[Row]] = {}

    def ask(what: str, address: str, process_id: int) -> None:
        for form, (messages, clients) in forms.items():
            work = Work(address, json_bodies(raws, messages), messages=messages)
            replies, rate = closed_rate(work, clients=clients, seconds=seconds / rounds, process_id=process_id)
            row = Row(what, form, rate, replies.quantile_s(0.5), replies.quantile_s(0.99), rss_bytes(process_id))
            rows.setdefault((form, what), []).append(row)

    # Turn by turn, so that what else the machine does falls on all of them.
    for _ in range(rounds):
        for what, workers in {HAMLET: 1, HAMLET_ALL_CORES: available_cores()}.items():
            with hamlet(HAMLET_WORKERS=str(workers)) as service:
                ask(what, url(service), service.process.pid)
        for name, what in FRAMEWORKS.items():
            with (
                tempfile.TemporaryDirectory() as folder,
                framework(name, model_folder(), Path(folder) / name) as (address, process_id),
            ):
                ask(what, address, process_id)
    return [_median(rows[key]) for key in sorted(rows, key=lambda key: list(forms).index(key[0]))]


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
    for what in FRAMEWORKS.values():
        result.at_least(f"one message a request against {what}", single / rates[what, SINGLE], 1.0, "times")
