"""`make bench`: messages per second of each step from bytes to verdict, in one run, with ratios.

Measured on the raw mail of HAMLET_CORPORA where it is there, else on the mail of the tests. Timings differ between
machines and hours; the ratios are what to compare.
"""

from classifier.threads import available_cores, limit_threads

limit_threads(available_cores())  # before torch loads

import argparse
import asyncio
import base64
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import httpx

from classifier.artifact import active_folder, bundled_models
from classifier.message import parse_message
from classifier.pipeline import SpamClassifier
from classifier.text import message_text
from tests.conftest import corpus_mail, mail_files
from tests.service.process import Process

REQUEST_MESSAGES = 32
CLIENTS = 4
PIPELINE = "in-process pipeline"

Item = TypeVar("Item")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1024, help="how many mails are drawn (1024)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each step is measured (5)")
    options = parser.parse_args()

    folder = active_folder(Path(os.environ.get("HAMLET_MODELS") or bundled_models()))
    mail, origin = draw_mail(options.messages)
    size_kb = statistics.median(map(len, mail)) / 1000
    print(f"{len(mail)} mails ({origin}), median {size_kb:.1f} kB; model {folder.name}; {available_cores()} cores\n")
    steps = measure_steps(folder, mail, options.seconds)
    with tempfile.TemporaryDirectory() as logs, Process(Path(logs) / "stderr", HAMLET_LOG_LEVEL="warning") as service:
        service.wait_until(service.ready)
        url = str(service.client.base_url).rstrip("/")
        name = f"HTTP, {CLIENTS} clients, batches of {REQUEST_MESSAGES}"
        steps[name] = asyncio.run(http_rate(url, mail, options.seconds))
    print_table(steps)


def measure_steps(folder: Path, mail: list[bytes], seconds: float) -> dict[str, float]:
    """Return messages per second of each step inside this process."""
    classifier = SpamClassifier.load(folder)
    texts = [message_text(parse_message(raw)) for raw in mail]
    prepared = [classifier.prepare(raw) for raw in mail]
    return {
        "parse (bytes to text)": rate(lambda raws: [message_text(parse_message(raw)) for raw in raws], mail, seconds),
        "tokenise (text to ids)": rate(lambda some: list(map(classifier.tokenizer.encode, some)), texts, seconds),
        "network alone (ids to score)": rate(classifier.score, prepared, seconds),
        PIPELINE: rate(lambda raws: classifier.score(list(map(classifier.prepare, raws))), mail, seconds),
    }


def draw_mail(count: int) -> tuple[list[bytes], str]:
    """Return raw mails drawn with a fixed seed, and where they are from."""
    mail = list(corpus_mail(Path(os.environ.get("HAMLET_CORPORA", "")))) if os.environ.get("HAMLET_CORPORA") else []
    if mail:
        return random.Random(1).sample(mail, min(count, len(mail))), "HAMLET_CORPORA"
    return [path.read_bytes() for path in mail_files("spam", "ham")], "tests/mail"


def rate(step: Callable[[list[Item]], object], items: Sequence[Item], seconds: float) -> float:
    """Return messages per second of a step that is given the items in batches, again and again."""
    batches = [list(items[start : start + REQUEST_MESSAGES]) for start in range(0, len(items), REQUEST_MESSAGES)]
    for batch in batches:  # once for every shape, and for what is loaded on first use
        step(batch)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for batch in batches:
            step(batch)
            done += len(batch)
    return done / (time.perf_counter() - started)


async def http_rate(url: str, mail: Sequence[bytes], seconds: float) -> float:
    """Return messages per second of clients that each send the next batch once the last is answered."""
    bodies = [
        json.dumps(
            {
                "messages": [
                    {"raw_base64": base64.b64encode(raw).decode()} for raw in mail[start : start + REQUEST_MESSAGES]
                ]
            }
        )
        for start in range(0, len(mail) - REQUEST_MESSAGES + 1, REQUEST_MESSAGES)
    ]
    done = 0

    async def client(number: int, until: float) -> int:
        answered = 0
        async with httpx.AsyncClient(timeout=60) as http:
            place = number * len(bodies) // CLIENTS
            while time.perf_counter() < until:
                answer = await http.post(f"{url}/v1/predict", content=bodies[place % len(bodies)])
                answer.raise_for_status()
                answered += len(answer.json()["results"])
                place += 1
        return answered

    await asyncio.gather(*(client(number, time.perf_counter() + 1) for number in range(CLIENTS)))  # warm
    started = time.perf_counter()
    done = sum(await asyncio.gather(*(client(number, started + seconds) for number in range(CLIENTS))))
    return done / (time.perf_counter() - started)


def print_table(steps: dict[str, float]) -> None:
    """Print the rates and what share of the in-process pipeline each is."""
    pipeline = steps[PIPELINE]
    print("| step | messages/s | against the in-process pipeline |\n|---|---|---|")
    for name, per_second in steps.items():
        print(f"| {name} | {per_second:,.0f} | {per_second / pipeline:.2f} |")


if __name__ == "__main__":
    main()
