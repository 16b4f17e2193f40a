"""What the job asks of a running service: the journal of feedback, and to put a version into service."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from classifier.errors import ConfigError
from training.errors import RetrainError
from training.progress import say

_TIMEOUT_S = 60.0
_BLOCK_BYTES = 1024 * 1024
# A database that fails over, or a service that is started again, is waited for so long.
_PATIENCE_S = 30.0
_WAIT_S = 2.0
_RETRIED = (503, 429)


class RefusedError(RetrainError):
    """The service answered, and would not do it."""


class Service:
    """A running service."""

    def __init__(self, url: str, key: str | None, *, patience_s: float = _PATIENCE_S) -> None:
        """Take its address, such as http://127.0.0.1:8000, and an admin key where it wants one."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"the address of the service must look like http://127.0.0.1:8000, got {url!r:.100}")
        self.url = url.rstrip("/")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._patience_s = patience_s

    def export(self, **wanted: str) -> Iterator[bytes]:
        """Yield the lines of the journal; all of them, or an error.

        Raises:
            RetrainError: the service or its database does not answer, or stopped in the middle.
        """
        with closing(self._answer("GET", f"/v1/feedback/export?{urlencode(wanted)}")) as answer:
            try:
                yield from _lines(answer)
            except (OSError, http.client.HTTPException) as error:
                raise RetrainError(
                    f"the export from {self.url} broke off ({error or type(error).__name__}): nothing of it is used; "
                    "start the job again when the service and its database are back"
                ) from error

    def activate(self, version: str) -> dict[str, Any]:
        """Put a version into service.

        Raises:
            RefusedError: it will not serve this version.
            RetrainError: it does not answer.
        """
        with closing(self._answer("POST", f"/v1/models/{quote(version)}/activate")) as answer:
            return dict(json.loads(answer.read()))

    def _answer(self, method: str, path: str) -> http.client.HTTPResponse:
        """A good answer; one that is refused for now, or not given, is asked for again."""
        end = time.monotonic() + self._patience_s
        while True:
            try:
                return self._ask(method, path)
            except RefusedError:
                raise
            except (OSError, http.client.HTTPException, RetrainError) as error:
                if time.monotonic() > end:
                    raise RetrainError(
                        f"{self.url} does not answer {method} {path.partition('?')[0]}: {error or type(error).__name__}"
                    ) from error
                say(f"waiting for {self.url}: {error or type(error).__name__}")
                time.sleep(_WAIT_S)

    def _ask(self, method: str, path: str) -> http.client.HTTPResponse:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_TIMEOUT_S)
        connection.request(method, self._path + path, headers={**self._headers, "Connection": "close"})
        answer = connection.getresponse()
        if answer.status == 200:
            return answer
        sentence = _sentence(answer)
        connection.close()
        if answer.status in _RETRIED:
            raise RetrainError(sentence)
        if answer.status in (401, 403):
            sentence += " The job takes the first key of HAMLET_ADMIN_KEYS; it needs one that the service knows."
        raise RefusedError(f"{self.url} answered {method} {path.partition('?')[0]} with {answer.status}: {sentence}")


def _lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    # Not `for line in answer`: that takes an answer which was cut between two chunks for a whole one (Python 3.11).
    rest = b""
    while block := answer.read(_BLOCK_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        raise http.client.IncompleteRead(rest)


def _sentence(answer: http.client.HTTPResponse) -> str:
    try:
        return str(json.loads(answer.read())["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return f"{answer.status} {answer.reason}"
