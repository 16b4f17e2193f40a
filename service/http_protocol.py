"""uvicorn's HTTP parser with a limit on headers, which it lacks (0.54), and refusals in the words of the contract."""

from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import ApiError, ErrorCode


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


def answer_bytes(error: ApiError) -> bytes:
    """Return a refusal as it goes over the wire, for requests that never reach the app."""
    body = orjson.dumps(error.body())
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
