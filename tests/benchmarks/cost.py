"""What a message costs: core-seconds of the service, bytes in and out; what docs/scale.md reckons with."""

import time

import psutil

from tests.benchmarks.load import RAW, Work, closed_rate
from tests.benchmarks.mail import json_bodies, sample_mail
from tests.benchmarks.results import Result, Table, megabytes
from tests.benchmarks.running import hamlet, model_folder, rss_bytes, url

MAILS = 1024


def measure(*, quick: bool) -> Result:
    """Ask one process with one mail a request and with batches; count the CPU time of its process."""
    sample = sample_mail(MAILS)
    seconds = 4 if quick else 20
    mean_bytes = sum(map(len, sample.raws)) / len(sample.raws)
    rows = []
    with hamlet() as service:
        process = psutil.Process(service.process.pid)
        raw = Work(url(service, "/v1/predict/raw"), sample.raws, RAW)
        answer = len(service.client.post("/v1/predict/raw", content=sample.raws[0], headers=RAW).content)
        batches = Work(url(service), json_bodies(sample.raws, 32), messages=32)
        process_id = service.process.pid
        closed_rate(raw, clients=64, seconds=2, process_id=process_id)  # warm
        for name, work, clients in (
            ("one mail a request, 4 clients", raw, 4),
            ("one mail a request, 64 clients", raw, 64),
            ("batches of 32, 4 clients", batches, 4),
        ):
            before, begun = process.cpu_times(), time.monotonic()
            _, rate = closed_rate(work, clients=clients, seconds=seconds, process_id=process_id)
            after, took = process.cpu_times(), time.monotonic() - begun
            # The client's process starts and ends within `took`, in which the service rests.
            used = after.user + after.system - before.user - before.system
            rows.append(
                (
                    name,
                    f"{rate.per_second:,.0f}",
                    f"{rate.cpu_s * 1000:.2f}",
                    f"{rate.cpu_s * 1e6 / 3600:.2f}",
                    f"{used / took:.2f}",
                )
            )
        memory = megabytes(rss_bytes(service.process.pid))
    mails = f"mails of {mean_bytes:,.0f} bytes on average, answers of {answer:,}"
    notes = [f"model {model_folder().name}; {mails}; {memory} MB RSS"]
    columns = ("asked", "messages/s", "core-ms a message", "core-hours a million", "cores busy")
    return Result(notes=notes, tables=[Table(columns, rows)])
