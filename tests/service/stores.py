"""A real S3-compatible server (moto's) in a process of its own, with a bucket for a test."""

import contextlib
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest

from tests.service.databases import Gate

START_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Bucket:
    """A new bucket, and the way to it that a service takes."""

    url: str
    gate: Gate
    filesystem: "fsspec.AbstractFileSystem"
    """Goes past the gate: what others write while the service cannot reach it."""

    @property
    def environment(self) -> dict[str, str]:
        """What AWS's own tools take from the environment."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.gate.port}",
        }

    def upload(self, folder: Path, *names: str) -> None:
        """Copy entries of a folder, the last named last."""
        for name in names:
            self.filesystem.put(str(folder / name), f"{self.url}/{name}", recursive=(folder / name).is_dir())

    def write(self, name: str, text: str) -> None:
        self.filesystem.pipe_file(f"{self.url}/{name}", text.encode())

    def read(self, name: str) -> str:
        return bytes(self.filesystem.cat_file(f"{self.url}/{name}")).decode()


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of an S3 server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        end = time.monotonic() + START_TIMEOUT_S
        while not _listens(port):
            assert server.poll() is None, "the S3 server ended at its start"
            assert time.monotonic() < end, "the S3 server does not listen"
            time.sleep(0.05)
        yield port
        server.kill()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture
def bucket(s3_port: int) -> Iterator[Bucket]:
    """An empty bucket."""
    with new_bucket(s3_port) as made:
        yield made


@contextlib.contextmanager
def new_bucket(s3_port: int) -> Iterator[Bucket]:
    """Yield an empty bucket of the server on this port."""
    filesystem = fsspec.filesystem(
        "s3",
        key="test",
        secret="test",
        endpoint_url=f"http://127.0.0.1:{s3_port}",
        client_kwargs={"region_name": "eu-west-1"},
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    name = f"hamlet-{uuid.uuid4().hex}"
    filesystem.mkdir(name)
    gate = Gate(f"http://127.0.0.1:{s3_port}")
    yield Bucket(f"s3://{name}/models", gate, filesystem)
    with contextlib.suppress(OSError):
        gate.shut()
