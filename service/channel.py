"""Questions and news between the supervisor and a worker process: one JSON object a line, over a socket pair."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Self

import orjson

log = logging.getLogger(__name__)

Content = dict[str, Any]
MAX_LINE_BYTES = 1 << 20


class ChannelClosedError(Exception):
    """The process at the other end has gone."""


class Channel:
    """One end. Either side may ask at any time, also while it answers."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Callable[[Content], Awaitable[Content]],
        hear: Callable[[Content], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._hear = hear
        self._asked: dict[int, asyncio.Future[Content]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._questions = 0
        self._closed = False

    @classmethod
    async def open(
        cls,
        end: socket.socket,
        answer: Callable[[Content], Awaitable[Content]],
        hear: Callable[[Content], None] = lambda _: None,
    ) -> Self:
        """Take over one end of a socket pair.

        Args:
            end: a connected stream socket.
            answer: gives the answer to a question of the other side; it must not raise.
            hear: is given what the other side tells.
        """
        return cls(*await asyncio.open_unix_connection(sock=end, limit=MAX_LINE_BYTES), answer, hear)

    async def ask(self, **question: Any) -> Content:
        """Return the other side's answer.

        Raises:
            ChannelClosedError: it has gone, before or after it was asked.
        """
        if self._closed:
            raise ChannelClosedError
        self._questions += 1
        number = self._questions
        answered: asyncio.Future[Content] = asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        self._send({"question": number, "content": question})
        try:
            return await answered
        finally:
            self._asked.pop(number, None)

    def tell(self, **news: Any) -> None:
        """Send what needs no answer; nothing happens when the other side has gone."""
        self._send({"news": True, "content": news})

    async def run(self) -> None:
        """Read until the other side goes, then fail what is still asked."""
        try:
            while line := await self._reader.readline():
                self._take(orjson.loads(line))
        except (ConnectionError, orjson.JSONDecodeError):
            pass  # it died in the middle of a line
        finally:
            self._closed = True
            for answered in self._asked.values():
                if not answered.done():
                    answered.set_exception(ChannelClosedError())
            for task in self._answering:
                task.cancel()
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    def _take(self, message: Content) -> None:
        content = message["content"]
        if "answer" in message:
            answered = self._asked.get(message["answer"])
            if answered is not None and not answered.done():
                answered.set_result(content)
        elif "question" in message:
            task = asyncio.create_task(self._answer_question(message["question"], content))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        else:
            self._hear(content)

    async def _answer_question(self, number: int, question: Content) -> None:
        self._send({"answer": number, "content": await self._answer(question)})

    def _send(self, message: Content) -> None:
        if not self._closed and not self._writer.is_closing():
            self._writer.write(orjson.dumps(message) + b"\n")
