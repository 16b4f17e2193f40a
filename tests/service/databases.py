"""Databases for tests: a SQLite file, and a schema of its own on a real PostgreSQL."""

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

TEST_POSTGRES = "HAMLET_TEST_POSTGRES"
DEFAULT_POSTGRES = "postgresql://postgres@localhost:5432/test"


@contextlib.contextmanager
def postgres_schema() -> Iterator[str]:
    """Yield the URL of a new schema on the server of HAMLET_TEST_POSTGRES, and drop it afterwards.

    Without that variable the usual place is tried, and the test is skipped if nobody listens there.
    """
    server = os.environ.get(TEST_POSTGRES, DEFAULT_POSTGRES)
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError:
        if TEST_POSTGRES in os.environ:
            raise
        pytest.skip(f"no PostgreSQL at {server}; start one with a database `test`, or set {TEST_POSTGRES}")
    schema = f"test_{uuid.uuid4().hex}"
    with connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            yield f"{server}?options=-csearch_path%3D{schema}"
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


class Gate:
    """A TCP port that leads to a server as long as it is open; shut, it refuses, as a stopped server does."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "localhost", target.port or 5432)
        self._listener: socket.socket | None = None
        self._passing: set[socket.socket] = set()
        self.port = 0
        self.open()
        self.url = url.replace(f"@{target.netloc.rpartition('@')[2]}", f"@127.0.0.1:{self.port}")

    def open(self) -> None:
        """Let connections through."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Refuse new connections and cut those that are there."""
        assert self._listener is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._passing):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        self._passing.add(source)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        self._passing.discard(source)
        source.close()
