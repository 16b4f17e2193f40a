"""The two clients. All they do by themselves is to send, and to wait; what and when is in service.client.calls."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import urlsplit

import httpx

from service.client.calls import MIB, Calls
from service.client.errors import ClientError
from service.client.exchange import Lost, Pause, Reply, Retry, Returned, Send, Session, Steps
from service.client.mail import Mail
from service.client.results import FeedbackPage, Label, Learned, ModelInfo, Prediction

# The service's own limits, where nobody has set others; smaller ones are learned from its refusals.
MAX_MESSAGES = 256
MAX_BYTES = 32 * MIB
# With `explain` an answer shows the mails again, a control character as six bytes; more is not one of this service.
MAX_ANSWER_BYTES = 8 * MAX_BYTES
# After the deadline that the service is told: for its 504 to arrive, which says more than silence.
_GRACE_S = 0.5


class _Receiving:
    """An answer as it arrives, with an end to both its size and its time."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds + _GRACE_S
        self._chunks: list[bytes] = []
        self._size_bytes = 0

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_ANSWER_BYTES:
            raise httpx.RemoteProtocolError(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > self._until:
            raise httpx.ReadTimeout("the answer came too slowly")

    def reply(self, response: httpx.Response) -> Reply:
        return Reply(response.status_code, response.headers, b"".join(self._chunks))


class Options(TypedDict, total=False):
    """What a client can be told besides the URL."""

    key: str | None  # one of HAMLET_API_KEYS, where the service wants one
    timeout_s: float  # the deadline of a call, all attempts and pauses together; the service is told what is left of it
    retry: Retry  # when to ask again
    max_messages: int  # in one request
    max_bytes: int  # of one request


class _BaseClient:
    """What both clients are told, and how it becomes calls."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        retry: Retry | None = None,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"the URL of the service begins with http:// or https:// and a host, got {url!r}")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ValueError("a key has printable ASCII characters only")
        if not (timeout_s > 0 and max_messages > 0 and max_bytes > 0):
            raise ValueError("need timeout_s, max_messages and max_bytes above 0")
        headers = {"Accept": "application/json"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
        self._url = url.rstrip("/")
        session = Session(retry or Retry(), timeout_s, headers)
        self._calls = Calls(session, max_messages=max_messages, max_bytes=max_bytes)

    def _request(self, send: Send) -> dict[str, Any]:
        return {
            "method": send.method,
            "url": self._url + send.path,
            "content": send.content,
            "headers": send.headers,
            "timeout": send.seconds + _GRACE_S,
        }


def _lost(error: httpx.HTTPError) -> Lost:
    late = isinstance(error, httpx.TimeoutException)
    return Lost(f"No answer came in time: {error!r}." if late else f"The connection failed: {error!r}.", late)


class Client(_BaseClient):
    """The synchronous client. Threads may share one."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None, **options: Unpack[Options]) -> None:
        """Make a client; nothing is sent yet.

        Args:
            url: of the service, such as http://127.0.0.1:8000.
            transport: of httpx, for TLS settings and proxies that its environment variables do not tell.
            options: see Options.

        Raises:
            ValueError: the URL, the key or a number cannot be used.
        """
        super().__init__(url, **options)
        self._http = httpx.Client(transport=transport)

    def predict(self, mail: Mail, *, explain: bool = False, timeout_s: float | None = None) -> Prediction:
        """Score one mail; raises the ClientError where there is no result."""
        (result,) = self.predict_many([mail], explain=explain, timeout_s=timeout_s)
        if isinstance(result, ClientError):
            raise result
        return result

    def predict_many(
        self, mails: Iterable[Mail], *, explain: bool = False, timeout_s: float | None = None
    ) -> Iterator[Prediction | ClientError]:
        """Yield one result or one error for each mail, in order; a batch at a time, each with a deadline of its own."""
        for batch in self._calls.batches(mails):
            yield from self._run(self._calls.predict(batch, explain=explain, timeout_s=timeout_s))

    def learn(
        self,
        mail: Mail,
        label: Label,
        *,
        reporter: str | None = None,
        reason: str | None = None,
        timeout_s: float | None = None,
    ) -> Learned:
        """Say what a mail is; it is on disk when this returns."""
        return self._run(self._calls.learn(mail, label, reporter=reporter, reason=reason, timeout_s=timeout_s))

    def forget(self, entry_id: str, *, timeout_s: float | None = None) -> None:
        """Forget the mail of an entry, and all that was said of it."""
        self._run(self._calls.forget(entry_id, timeout_s=timeout_s))

    def feedback(self, *, limit: int = 100, before: str | None = None, timeout_s: float | None = None) -> FeedbackPage:
        """Return the latest entries of the journal, without their mails."""
        return self._run(self._calls.feedback(limit=limit, before=before, timeout_s=timeout_s))

    def model(self, *, timeout_s: float | None = None) -> ModelInfo:
        """Return what is in service."""
        return self._run(self._calls.model(timeout_s=timeout_s))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, steps: Steps[Returned]) -> Returned:
        reply: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as done:
                returned: Returned = done.value
                return returned
            reply = self._do(step)

    def _do(self, step: Send | Pause) -> Reply | Lost | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        receiving = _Receiving(step.seconds)
        try:
            with self._http.stream(**self._request(step)) as response:
                for chunk in response.iter_bytes():
                    receiving.add(chunk)
                return receiving.reply(response)
        except httpx.HTTPError as error:
            return _lost(error)


class AsyncClient(_BaseClient):
    """The asynchronous client, for asyncio. Tasks may share one. Mails that are paths are read as they are needed."""

    def __init__(
        self, url: str, *, transport: httpx.AsyncBaseTransport | None = None, **options: Unpack[Options]
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            url: of the service, such as http://127.0.0.1:8000.
            transport: of httpx, for TLS settings and proxies that its environment variables do not tell.
            options: see Options.

        Raises:
            ValueError: the URL, the key or a number cannot be used.
        """
        super().__init__(url, **options)
        self._http = httpx.AsyncClient(transport=transport)

    async def predict(self, mail: Mail, *, explain: bool = False, timeout_s: float | None = None) -> Prediction:
        """Score one mail; raises the ClientError where there is no result."""
        results = [result async for result in self.predict_many([mail], explain=explain, timeout_s=timeout_s)]
        if isinstance(results[0], ClientError):
            raise results[0]
        return results[0]

    async def predict_many(
        self, mails: Iterable[Mail], *, explain: bool = False, timeout_s: float | None = None
    ) -> AsyncIterator[Prediction | ClientError]:
        """Yield one result or one error for each mail, in order; a batch at a time, each with a deadline of its own."""
        for batch in self._calls.batches(mails):
            for result in await self._run(self._calls.predict(batch, explain=explain, timeout_s=timeout_s)):
                yield result

    async def learn(
        self,
        mail: Mail,
        label: Label,
        *,
        reporter: str | None = None,
        reason: str | None = None,
        timeout_s: float | None = None,
    ) -> Learned:
        """Say what a mail is; it is on disk when this returns."""
        return await self._run(self._calls.learn(mail, label, reporter=reporter, reason=reason, timeout_s=timeout_s))

    async def forget(self, entry_id: str, *, timeout_s: float | None = None) -> None:
        """Forget the mail of an entry, and all that was said of it."""
        await self._run(self._calls.forget(entry_id, timeout_s=timeout_s))

    async def feedback(
        self, *, limit: int = 100, before: str | None = None, timeout_s: float | None = None
    ) -> FeedbackPage:
        """Return the latest entries of the journal, without their mails."""
        return await self._run(self._calls.feedback(limit=limit, before=before, timeout_s=timeout_s))

    async def model(self, *, timeout_s: float | None = None) -> ModelInfo:
        """Return what is in service."""
        return await self._run(self._calls.model(timeout_s=timeout_s))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, steps: Steps[Returned]) -> Returned:
        reply: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as done:
                returned: Returned = done.value
                return returned
            reply = await self._do(step)

    async def _do(self, step: Send | Pause) -> Reply | Lost | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        receiving = _Receiving(step.seconds)
        try:
            async with self._http.stream(**self._request(step)) as response:
                async for chunk in response.aiter_bytes():
                    receiving.add(chunk)
                return receiving.reply(response)
        except httpx.HTTPError as error:
            return _lost(error)
