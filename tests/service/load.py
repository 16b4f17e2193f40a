"""Clients that keep a service busy and check every reply against the version that it names."""

import base64
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.service.versions import MAILS, TOLERANCE, Versions

CLIENTS = 4
LARGEST_REQUEST = 4


@dataclass
class Replies:
    """What the clients got."""

    statuses: Counter[int] = field(default_factory=Counter)
    by_version: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Requests whose connection ended without an answer."""


@contextmanager
def clients(port: int, versions: Versions) -> Iterator[Replies]:
    """Run clients while the body of the `with` does; each sends the next request when it has the answer."""
    replies, stop = Replies(), threading.Event()

    def run(seed: int) -> None:
        chosen = random.Random(seed)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            while not stop.is_set():
                _ask(client, versions, chosen.sample(range(len(MAILS)), chosen.randint(1, LARGEST_REQUEST)), replies)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield replies
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _ask(client: httpx.Client, versions: Versions, positions: list[int], replies: Replies) -> None:
    messages = [
        {"id": str(position), "raw_base64": base64.b64encode(MAILS[position]).decode()} for position in positions
    ]
    try:
        response = client.post("/v1/predict", json={"messages": messages})
    except httpx.TransportError as error:
        replies.broken.append(repr(error))
        return
    replies.statuses[response.status_code] += 1
    if response.status_code != 200:
        return
    answer = response.json()
    version = answer["model"]["version"]
    replies.by_version[version] += 1
    for position, result in zip(positions, answer["results"], strict=True):
        expected = versions.expected[version][position]
        if result["id"] != str(position) or abs(result["spam_probability"] - expected) > TOLERANCE:
            replies.wrong.append(f"{version} gave {result} for message {position}, expected {expected}")
