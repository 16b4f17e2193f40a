"""Workers on one socket: each takes its share of the connections."""

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from service.acceptor import Acceptor
from service.connection_shares import ConnectionShares, shared_numbers


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket on a free port that nobody accepts on yet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


class Worker:
    """What accepts, with the connections it has."""

    def __init__(self, listening: socket.socket, descriptor: int, number: int) -> None:
        self.transports: list[asyncio.BaseTransport] = []
        self.shares = ConnectionShares(descriptor, number)
        self.listening = listening.dup()
        self.acceptor = Acceptor(self.listening, 128, self.shares, self._connect, lambda: len(self.transports))

    def _connect(self) -> asyncio.Protocol:
        worker = self

        class Connected(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                worker.transports.append(transport)

        return Connected()

    async def close(self) -> None:
        self.acceptor.close()
        self.listening.close()
        await self.acceptor.wait_closed()
        for transport in self.transports:
            transport.close()


async def connect(listening: socket.socket, clients: int, workers: list[Worker]) -> list[int]:
    """Connect so many clients at once; return how many each worker has when all are taken."""
    before = sum(len(worker.transports) for worker in workers)
    address = listening.getsockname()
    streams = await asyncio.gather(*(asyncio.open_connection(*address) for _ in range(clients)))
    async with asyncio.timeout(10):
        while sum(len(worker.transports) for worker in workers) < before + clients:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)
    for _, writer in streams:
        writer.close()
    return [len(worker.transports) for worker in workers]


async def test_connections_that_come_together_are_shared(listening: socket.socket) -> None:
    """Even where all wait before anybody accepts; and a worker that begins later gets the next ones."""
    with shared_numbers(3) as descriptor:
        workers = [Worker(listening, descriptor, number) for number in (1, 2)]
        assert await connect(listening, 4, workers) == [2, 2]
        assert await connect(listening, 36, workers) == [20, 20]
        workers.append(Worker(listening, descriptor, 3))
        assert await connect(listening, 20, workers) == [20, 20, 20]
        for worker in workers:
            await worker.close()


async def test_nobody_waits_long_for_a_worker_that_does_not_accept(listening: socket.socket) -> None:
    """One that is stuck keeps its number; one that has died or drains has none."""
    with shared_numbers(2) as descriptor:
        stuck = ConnectionShares(descriptor, 2)
        stuck.set(0)
        worker = Worker(listening, descriptor, 1)
        began = time.monotonic()
        assert await connect(listening, 8, [worker]) == [8]
        assert time.monotonic() - began < 2
        assert worker.shares.another_has_fewer()
        stuck.leave()
        assert not worker.shares.another_has_fewer()
        await worker.close()
