"""uvicorn's HTTP parser with what it lacks (0.54): a limit on headers, refusals in the words of the contract, and
reason phrases of our own for clients that show nothing else."""

import asyncio
import re
from http import HTTPStatus
from typing import Any, cast

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import REASON_HEADER, RSPAMD_PATHS, ApiError, ErrorCode

_REASON = re.compile(rb"\r\n" + REASON_HEADER.lower().encode() + rb": ([^\r\n]*)", re.IGNORECASE)


def limited_protocol(max_header_bytes: int) -> type[HttpToolsProtocol]:
    """Return a protocol that refuses a request line and headers of more bytes than this, and hangs up."""

    class LimitedProtocol(HttpToolsProtocol):
        _in_headers = False
        _header_bytes = 0

        def on_message_begin(self) -> None:
            self._in_headers = True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_headers = False
            self._header_bytes = 0
            super().on_headers_complete()
            if self.scope["path"][1:] in RSPAMD_PATHS:
                self.cycle.transport = cast(asyncio.Transport, _WithReason(self.transport))

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            super().data_received(data)
            if self._in_headers:
                self._header_bytes += len(data)
                if self._header_bytes > max_header_bytes:
                    sentence = (
                        f"The request line and headers are too large; at most {max_header_bytes} bytes are taken."
                    )
                    self._refuse(ApiError(ErrorCode.HEADERS_TOO_LARGE, sentence))

        def send_400_response(self, msg: str) -> None:
            self._refuse(ApiError(ErrorCode.INVALID_HTTP, "This is not an HTTP/1.1 request."))

        def _refuse(self, error: ApiError) -> None:
            self.transport.write(answer_bytes(error))
            self.transport.close()

    return LimitedProtocol


class _WithReason:
    """A transport on which the reason phrase of an answer is what its header REASON_HEADER says."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write; what uvicorn writes first is the status line and all headers."""
        if data.startswith(b"HTTP/1.1 "):
            head, end, body = data.partition(b"\r\n\r\n")
            reason = _REASON.search(head)
            if reason:
                status_line, line_end, headers = head.partition(b"\r\n")
                data = status_line[: len(b"HTTP/1.1 400 ")] + reason[1] + line_end + headers + end + body
        self._transport.write(data)


def answer_bytes(error: ApiError) -> bytes:
    """Return a refusal as it goes over the wire, for requests that never reach the app."""
    body = orjson.dumps(error.body())
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
