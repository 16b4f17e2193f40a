"""HTTP/1.1 POST at a fraction of what a full client takes, which would be taken from the server on the same machine.

Requests are bytes made beforehand, and each connection has one under way: to send one is a write, to read the answer is
httptools' work.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, cast
from urllib.parse import urlsplit

import httptools

# Servers close connections that lie idle (uvicorn after 5 s), and a request that is sent just then gets no answer.
IDLE_AT_MOST_S = 3.0


@dataclass(slots=True)
class Reply:
    """An answer; the names of its headers are in lower case."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the bytes of a POST."""
    parts = urlsplit(url)
    lines = [f"POST {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


class Connections:
    """As many connections to one server as there are requests under way; they stay open for the next ones."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Open none yet; a request may take so long, connecting included."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._address = parts.hostname, parts.port
        self._timeout_s = timeout_s
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for connection in self._idle:
            connection.transport.close()

    async def send(self, request: bytes) -> Reply:
        """Send the bytes of one request and return its answer.

        Raises:
            OSError: there is no connection, it broke, or no answer came in time (TimeoutError).
        """
        async with asyncio.timeout(self._timeout_s):
            connection = self._take() or await self._connect()
            try:
                reply = await connection.send(request)
            except BaseException:
                connection.transport.abort()
                raise
        if connection.stays_open:
            connection.idle_since_s = time.monotonic()
            self._idle.append(connection)
        else:
            connection.transport.close()
        return reply

    def _take(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing() and time.monotonic() - connection.idle_since_s < IDLE_AT_MOST_S:
                return connection
            connection.transport.close()
        return None

    async def _connect(self) -> "_Connection":
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, *self._address)
        return connection


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.stays_open = True
        self.idle_since_s = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._reply = Reply()
        self._answered: asyncio.Future[Reply] | None = None

    async def send(self, request: bytes) -> Reply:
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's have no base class of asyncio's

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"this is not HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionError("the connection broke before the answer was whole"))

    def _fail(self, error: OSError) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._reply = Reply()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._reply.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._reply.body += body

    def on_message_complete(self) -> None:
        self._reply.status = self._parser.get_status_code()
        self.stays_open = self._parser.should_keep_alive()
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(self._reply)
