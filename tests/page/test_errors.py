"""What goes wrong is said in words, and what to do about it."""

import socket

from playwright.sync_api import expect

from tests.page.browser import Visit
from tests.page.conftest import KEY, MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES
from tests.service.process import Process

MAIL = b"From: ann@example.org\nSubject: lunch\n\nAre you free at noon?\n"


def enter_key(window: Visit, key: str) -> None:
    window.page.fill("#dialog-key", key)
    window.page.click("#dialog-yes")


def test_a_key_is_asked_for_and_kept_in_memory(strict_window: Visit) -> None:
    """A wrong key is told so; the right one reads the message that waited; nothing is stored."""
    page = strict_window.open()
    strict_window.read_files({"lunch.eml": MAIL})
    enter_key(strict_window, "wrong")
    expect(page.locator("#dialog-error")).to_have_text("This key does not open it.")
    enter_key(strict_window, KEY)
    page.wait_for_selector(".opened")
    page.click("text=Read another")
    strict_window.read_files({"lunch.eml": MAIL})
    page.wait_for_selector(".opened")
    assert KEY not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")


def test_who_has_no_key_is_told(strict_window: Visit) -> None:
    """Cancelling leaves a sentence and a way to try again; the model's view says it too."""
    page = strict_window.open()
    strict_window.read_files({"lunch.eml": MAIL})
    page.click("#dialog-no")
    expect(page.locator(".trouble")).to_contain_text("A key is needed")
    page.click("text=Try again")
    enter_key(strict_window, KEY)
    page.wait_for_selector(".opened")


def test_a_message_that_is_too_large_is_said_to_be(strict_window: Visit) -> None:
    """413: with the limit in it, as people say sizes."""
    page = strict_window.open()
    strict_window.read_files({"large.eml": MAIL + b"x" * MAX_MESSAGE_BYTES})
    enter_key(strict_window, KEY)
    expect(page.locator(".trouble")).to_contain_text("Too large")
    expect(page.locator(".trouble")).to_contain_text("at most 195 KiB are taken")


def test_a_busy_service_says_how_long_to_wait(strict_window: Visit, strict: Process) -> None:
    """429: the seconds of Retry-After are counted down, and the message is read once there is room."""
    page = strict_window.open()
    strict_window.read_files({"lunch.eml": MAIL})
    enter_key(strict_window, KEY)
    page.wait_for_selector(".opened")
    page.click("text=Read another")
    held = MAX_REQUEST_BYTES - 50_000
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {held + 10}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", strict.port)) as stalled:
        stalled.sendall(head.encode() + b" " * held)
        strict.wait_until(lambda: strict.client.get("/health/live").status_code == 200)
        page.wait_for_timeout(500)  # until what was sent is read
        strict_window.read_files({"lunch.eml": MAIL + b"many words " * 9_000})
        box = page.locator(".trouble")
        expect(box).to_contain_text("The service is busy")
        expect(box).to_contain_text("It asks you to wait")
        expect(box.locator("button")).to_have_text("Try again")  # after the wait
    expect(box.locator("button")).to_be_enabled()
    box.locator("button").click()
    page.wait_for_selector(".opened")


def test_every_status_has_its_words(strict_window: Visit) -> None:
    """A title and a sentence for each; what the service said is not lost; a proxy's page is not shown."""
    strict_window.open()
    said = strict_window.page.evaluate(
        """async () => {
            const { CallError } = await import("/page/api.js");
            const { inWords } = await import("/page/errors.js");
            const of = (status, more) => inWords(new CallError(status, { code: "x", message: "The reason", ...more }));
            return [
                of(503, { retryAfter: 5 }), of(504), of(422), of(403), of(500), of(418),
                inWords(new CallError(502)), inWords(new CallError(0, { code: "unreachable" })),
                inWords(new CallError(0, { code: "unreadable" })), inWords(new CallError(0, { code: "cut_off" })),
            ].map(({ title, text }) => `${title}: ${text}`);
        }"""
    )
    assert said[0] == "Not ready: The reason. It asks you to wait 5 seconds."
    assert said[1:6] == [
        "It took too long: The reason.",
        "The service could not read this: The reason.",
        "Not from here: The reason",
        "Something went wrong: The reason.",
        "Something went wrong: The reason.",
    ]
    assert said[6] == "Something went wrong: The service answered with status 502."
    assert [line.split(":")[0] for line in said[7:]] == [
        "The service does not answer",
        "The file cannot be read",
        "The answer broke off",
    ]


def test_a_service_that_is_gone_is_said_to_be(strict_window: Visit, strict: Process) -> None:
    """The last test of this service: the message stays where it is, and can be tried again."""
    page = strict_window.open()
    page.fill("#source", MAIL.decode())
    strict.end()
    page.click("text=Read it")
    expect(page.locator(".trouble")).to_contain_text("The service does not answer")
    assert page.input_value("#source") == MAIL.decode()
    page.click("text=Model")
    expect(page.locator("#model-trouble")).to_contain_text("The service does not answer")
