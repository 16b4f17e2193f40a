"""uvicorn's HTTP parser with a limit on headers, which it does not have (uvicorn 0.54, httptools 0.9)."""

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def limited_protocol(max_header_bytes: int) -> type[HttpToolsProtocol]:
    """Return a protocol that answers 431 to a request line and headers of more bytes than this, and hangs up."""
    sentence = f"The request line and headers are too large; at most {max_header_bytes} bytes are taken."
    body = orjson.dumps({"error": {"code": "headers_too_large", "message": sentence}})
    answer = (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )

    class LimitedProtocol(HttpToolsProtocol):
        _header_bytes = 0
        _in_headers = False

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
                    self.transport.write(answer)
                    self.transport.close()

    return LimitedProtocol
