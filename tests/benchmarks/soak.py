"""Messages of 10 bytes to 10 MiB for a long time: the memory of the service stays where it is."""

import asyncio
import json
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.sharedctypes import Synchronized

import uvloop

from tests.benchmarks.connections import Connections, post
from tests.benchmarks.load import JSON
from tests.benchmarks.mail import json_body, mixed_mail, sample_mail
from tests.benchmarks.results import Result, Table, megabytes
from tests.benchmarks.running import hamlet, rss_bytes, url

# Of all messages, how many the service may take to reach the memory that it needs.
MESSAGES, SETTLING_MESSAGES = 200_000, 20_000
QUICK_MESSAGES, QUICK_SETTLING_MESSAGES = 4_000, 2_000
CLIENTS = 8
REQUEST_MESSAGES = 16
REQUEST_BYTES = 12 * 1024**2  # one more of 10 MiB still fits into the 32 MiB that the service takes, in base64 too
TENTHS = 10
GROWTH_LIMIT = 0.10
LOOK_EVERY_S = 0.2
TIMEOUT_S = 1800.0  # long, for what runs so long may be stopped for a while


@dataclass(slots=True)
class Tally:
    """What the answers were: statuses of requests, and verdicts or error codes of messages."""

    statuses: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0


def measure(*, quick: bool) -> Result:
    """Send them, half alone and half in batches, and look at the memory all the while."""
    total, settling = (QUICK_MESSAGES, QUICK_SETTLING_MESSAGES) if quick else (MESSAGES, SETTLING_MESSAGES)
    context = get_context("spawn")
    answered, tallies = context.Value("q", 0), context.SimpleQueue()
    sample = sample_mail(2048)
    looks: list[tuple[int, int]] = []
    with hamlet() as service:
        client = context.Process(target=_send, args=(url(service), sample.raws, total, answered, tallies))
        client.start()
        while client.is_alive():
            looks.append((answered.value, rss_bytes(service.process.pid)))
            client.join(LOOK_EVERY_S)
        if client.exitcode:
            raise RuntimeError("the client failed; what it said stands above")
        tally: Tally = tallies.get()
    tenths = [
        [rss for done, rss in looks if tenth * total <= done * TENTHS < (tenth + 1) * total] for tenth in range(TENTHS)
    ]
    result = Result(
        notes=[
            f"{total:,} messages, {tally.sent_bytes / total / 1000:.1f} kB on average, of {sample.origin}; "
            f"{CLIENTS} clients. Messages by outcome: "
            + ", ".join(f"{count:,} {outcome}" for outcome, count in tally.outcomes.most_common())
        ]
    )
    rows = [
        (f"{(number + 1) * total // TENTHS:,}", megabytes(statistics.median(seen)), megabytes(max(seen)))
        for number, seen in enumerate(tenths)
        if seen
    ]
    result.tables.append(Table(("messages", "median RSS, MB", "highest RSS, MB"), rows))
    first, later = (max(rss for done, rss in looks if (done > settling) == after) for after in (False, True))
    result.at_most(f"growth of the highest RSS after {settling:,} messages", later / first - 1, GROWTH_LIMIT, "%")
    result.exactly("requests without a 200", sum(tally.statuses.values()) - tally.statuses[200], 0)
    result.exactly("messages answered", sum(tally.outcomes.values()), total)
    return result


def _send(
    address: str, raws: list[bytes], total: int, answered: "Synchronized[int]", tallies: "SimpleQueue[Tally]"
) -> None:
    tallies.put(uvloop.run(_send_all(address, raws, total, answered)))


async def _send_all(address: str, raws: list[bytes], total: int, answered: "Synchronized[int]") -> Tally:
    tally = Tally()
    requests = _requests(islice(mixed_mail(raws), total))

    async def client() -> None:
        for mails in requests:  # all clients draw from the one iterator
            reply = await connections.send(post(address, json_body(mails), JSON))
            tally.statuses[reply.status] += 1
            tally.sent_bytes += sum(map(len, mails))
            if reply.status == 200:
                results = json.loads(reply.body)["results"]
                tally.outcomes.update(one.get("verdict") or one["error"]["code"] for one in results)
            answered.value += len(mails)

    async with Connections(address, TIMEOUT_S) as connections:
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return tally


def _requests(mails: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Turn by turn one mail and a batch, which ends early when it gets too large."""
    some: list[bytes] = []
    wanted = 1
    for mail in mails:
        some.append(mail)
        if len(some) == wanted or sum(map(len, some)) > REQUEST_BYTES:
            yield some
            some, wanted = [], REQUEST_MESSAGES if wanted == 1 else 1
    if some:
        yield some
