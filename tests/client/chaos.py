"""A server in front of the service that does to requests what networks and busy machines do, from a seed."""

import random
import socket
import threading
import time
from collections import Counter
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx

FATES = {
    "pass": 40,
    "429": 10,
    "429 without Retry-After": 5,
    "503": 10,
    "502 in HTML": 5,
    "drop before": 10,  # the service never sees it
    "drop after": 8,  # the service has done it, and the answer is lost
    "cut": 7,  # half of the answer comes
    "delay": 5,
}


class _QuietServer(ThreadingHTTPServer):
    """Says nothing of connections that end early: that is what it is for."""

    def handle_error(self, *_: object) -> None: ...


class Chaos:
    """Listens on a free port and passes some requests on."""

    def __init__(self, upstream: str, seed: int, *, delay_s: float = 0.3) -> None:
        self.fates: Counter[str] = Counter()
        self._fates = random.Random(seed)
        self._lock = threading.Lock()
        self._upstream = httpx.Client(base_url=upstream, timeout=60)
        chaos = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fate = chaos.fate()
                if fate in ("429", "503"):
                    self.answer(
                        int(fate), b'{"error": {"code": "overloaded", "message": "Later."}}', ("Retry-After", "0")
                    )
                elif fate == "429 without Retry-After":
                    self.answer(429, b'{"error": {"code": "overloaded", "message": "Later."}}')
                elif fate == "502 in HTML":
                    self.answer(502, b"<html>Bad Gateway</html>")
                elif fate == "drop before":
                    self.drop()
                else:
                    if fate == "delay":
                        time.sleep(delay_s)
                    answer = chaos.passed_on(self.path, body, self.headers)
                    if fate == "drop after":
                        self.drop()
                    elif fate == "cut":
                        self.answer(answer.status_code, answer.content, cut=True)
                    else:
                        self.answer(answer.status_code, answer.content)

            def answer(self, status: int, body: bytes, *headers: tuple[str, str], cut: bool = False) -> None:
                self.send_response(status)
                for name, value in (("Content-Length", str(len(body))), *headers):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if cut else body)
                if cut:
                    self.drop()

            def drop(self) -> None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

            def log_message(self, *_: object) -> None: ...

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def fate(self) -> str:
        """Return what happens to the next request."""
        with self._lock:
            (fate,) = self._fates.choices(list(FATES), list(FATES.values()))
            self.fates[fate] += 1
        return fate

    def passed_on(self, path: str, body: bytes, headers: Message) -> httpx.Response:
        kept = {name: headers[name] for name in ("Content-Type", "Authorization") if name in headers}
        return self._upstream.post(path, content=body, headers=kept)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._upstream.close()
