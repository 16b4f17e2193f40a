"""uvicorn's HTTP parser with what it lacks (0.54): a limit on headers, refusals in the words of the contract, and
reason phrases of our own for clients that show nothing else."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import REASON_HEADER, RSPAMD_PATHS, ApiError, ErrorCode, error_body, error_headers

_REASON = re.compile(rb"\r\n" + REASON_HEADER.lower().encode() + rb": ([^\r\n]*)", re.IGNORECASE)
# Method, target and headers of a request -> why it is refused, and headers of the answer; None lets it in.
Refuse = Callable[[bytes, bytes, Sequence[tuple[bytes, bytes]]], tuple[ApiError, dict[str, str]] | None]


def limited_protocol(max_header_bytes: int, refuse: Refuse) -> type[HttpToolsProtocol]:
    """Return a protocol that answers some requests by itself, so that the app never hears of them.

    Args:
        max_header_bytes: it refuses a request line and headers of more bytes than this, and hangs up.
        refuse: asked as soon as the headers are there.
    """

    class LimitedProtocol(HttpToolsProtocol):
        _in_headers = False
        _header_bytes = 0
        _refused = False  # the request whose body is coming in
        _hang_up = False  # after it

        def on_message_begin(self) -> None:
            self._in_headers = True
            self._refused = False
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_headers = False
            self._header_bytes = 0
            # Behind a request that is not answered yet, on the same connection, an answer would be taken for its.
            if self.cycle is None or self.cycle.response_complete:
                refusal = refuse(self.parser.get_method(), self.url, self.headers)
                if refusal is not None:
                    self._answer(*refusal)
                    return
            super().on_headers_complete()
            if self.scope["path"][1:] in RSPAMD_PATHS:
                self.cycle.transport = cast(asyncio.Transport, _WithReason(self.transport))

        def on_body(self, body: bytes) -> None:
            if not self._refused:
                super().on_body(body)

        def on_message_complete(self) -> None:
            if not self._refused:
                super().on_message_complete()
            elif self._hang_up:
                self.transport.close()

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

        def _answer(self, error: ApiError, headers: dict[str, str]) -> None:
            """Answer before the body is read; the connection stays open for more unless the client wants it closed."""
            self._refused = True
            # Closed only when the body is in: bytes that nobody reads would reset the connection, answer and all.
            keeps_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
            self._hang_up = not keeps_alive or self.expect_100_continue
            always = {name.decode(): value.decode() for name, value in self.server_state.default_headers}
            path = self.url.partition(b"?")[0].decode("ascii", "replace")
            self.transport.write(answer_bytes(error, path, always | headers, hang_up=self._hang_up))
            self.on_response_complete()

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


def answer_bytes(
    error: ApiError, path: str = "", headers: Mapping[str, str] | None = None, *, hang_up: bool = True
) -> bytes:
    """Return a refusal as it goes over the wire, for requests that never reach the app."""
    body = error_body(error, path)
    lines = {"Content-Type": "application/json", "Content-Length": len(body), **error_headers(error, path)}
    lines.update(headers or {})
    if hang_up:
        lines["Connection"] = "close"
    head = f"HTTP/1.1 {error.status} {lines.get(REASON_HEADER, HTTPStatus(error.status).phrase)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return head.encode("ascii") + b"\r\n" + body
