"""Throughput over the size of a message, and over the messages in a request."""

from collections.abc import Sequence

from tests.benchmarks.load import JSON, RAW, Work, apart, closed_loop, require_all_200
from tests.benchmarks.mail import json_bodies, sample_mail, sized_mail
from tests.benchmarks.results import Result, Table, milliseconds
from tests.benchmarks.running import hamlet, url

CLIENTS = 4
KIB = 1024
SIZES = tuple(size * KIB for size in (0.125, 0.5, 2, 4, 8, 16, 64, 256, 1024, 4096, 10240))
QUICK_SIZES = (2 * KIB, 256 * KIB)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
QUICK_BATCHES = (1, 32)
MAILS_A_SIZE = 32


def measure(*, quick: bool) -> Result:
    """Send mails of one size at a time, then mails of all sizes in batches."""
    sample, seconds = sample_mail(1024), 1.0 if quick else 5.0
    result = Result(notes=[f"{sample}; {CLIENTS} clients in a closed loop"])
    with hamlet() as service:
        sizes = Table(
            ("bytes", "messages/s", "MB/s", "p50, ms", "p99, ms"),
            [
                _row(Work(url(service, "/v1/predict/raw"), bodies, RAW), seconds, f"{int(size):,}")
                for size in (QUICK_SIZES if quick else SIZES)
                for bodies in [_mails_of_size(sample.raws, int(size))]
            ],
            "One message a request; real mail cut to the size; above 64 KiB joined, as text or as an attachment.",
        )
        batches = Table(
            ("messages a request", "messages/s", "MB/s", "p50, ms", "p99, ms"),
            [
                _row(Work(url(service), json_bodies(sample.raws, size), JSON, size), seconds, str(size))
                for size in (QUICK_BATCHES if quick else BATCHES)
            ],
            "The mails of the sample, JSON.",
        )
    result.tables += [sizes, batches]
    return result


def _mails_of_size(raws: Sequence[bytes], size: int) -> list[bytes]:
    cut = [raw[:size] for raw in raws if len(raw) >= size][:MAILS_A_SIZE]
    if len(cut) == MAILS_A_SIZE and size <= 64 * KIB:
        return cut
    pool = b"\n".join(raws)
    return [
        sized_mail(pool, place * len(pool) // MAILS_A_SIZE, size, attached=place % 2 == 1)
        for place in range(MAILS_A_SIZE)
    ]


def _row(work: Work, seconds: float, what: str) -> tuple[str, ...]:
    replies = apart(closed_loop, work, clients=CLIENTS, seconds=seconds)
    require_all_200(replies)
    requests = len(replies.status) / (max(replies.done_s) - replies.started_s)
    mean_bytes = sum(len(work.bodies[place]) for place in replies.body) / len(replies.body)
    return (
        what,
        f"{requests * work.messages:,.1f}",
        f"{requests * mean_bytes / 1e6:,.2f}",
        milliseconds(replies.quantile_s(0.5)),
        milliseconds(replies.quantile_s(0.99)),
    )
