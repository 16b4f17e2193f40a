"""What comes in by paste, drop, or a file; the verdict and its reasons; teaching and taking it back."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.conftest import MAIL
from tests.page.browser import TIMEOUT_MS, Visit
from tests.page.conftest import Open
from tests.service.process import Process
from training.sources.mbox import mbox_messages

SPAM = (MAIL / "spam" / "parcel-customs-fee.eml").read_bytes()
HAM = (MAIL / "ham" / "list-patch-diff.eml").read_bytes()


def explained(service: Process, raw: bytes) -> dict[str, Any]:
    """Return what the service says of a message."""
    answer = service.client.post(
        "/v1/predict/raw?explain=true", content=raw, headers={"Content-Type": "message/rfc822"}
    )
    result: dict[str, Any] = answer.json()["result"]
    return result


def taught(service: Process) -> list[dict[str, Any]]:
    """Return what the journal holds."""
    rows: list[dict[str, Any]] = service.client.get("/v1/feedback").json()["feedback"]
    return rows


def mbox(*raws: bytes) -> bytes:
    """Return an mbox, with lines that only look like the beginning of a message."""
    line = b"From ann@example.org Thu Nov  5 07:41:12 2026\n"
    quoted = [b"\n".join(b">" + at if at.startswith(b"From ") else at for at in raw.splitlines()) for raw in raws]
    return b"".join(line + each + b"\n\n" for each in quoted)


def test_a_pasted_message_gets_its_verdict_and_its_words(window: Visit, service: Process) -> None:
    """Verdict, probability, the text as it reads and the reasons in it are those of the service."""
    page = window.open()
    window.paste(SPAM.decode())
    page.click("text=Read it")
    result = explained(service, SPAM)
    expect(page.locator(".verdict h2")).to_have_text("Spam")
    assert f"{100 * result['spam_probability']:.1f} %" in page.inner_text(".probability")
    assert page.inner_text(".letter .body").split() == result["shown"]["body"].split()
    marked = {text.strip() for text in page.locator(".letter mark").all_inner_texts()}
    strongest = [reason["text"].strip() for reason in result["reasons"][:5]]
    assert [text for text in strongest if text not in marked] == []
    assert page.locator(".facts li").all_inner_texts() == [fact["text"] for fact in result["facts"]]


def test_the_scale_has_both_thresholds(window: Visit, service: Process) -> None:
    """It says where ham ends and spam begins, as GET /v1/model has them."""
    window.open()
    window.example()
    thresholds = service.client.get("/v1/model").json()["thresholds"]
    said = window.page.get_attribute(".scale", "aria-label") or ""
    assert f"Ham is below {100 * thresholds['ham_below']:.1f} %" in said
    assert f"spam from {100 * thresholds['spam_from']:.1f} %" in said
    assert window.page.locator(".scale .band").all_inner_texts() == ["ham", "unsure", "spam"]


def test_text_without_headers_is_read_as_such(window: Visit) -> None:
    """Somebody who pastes the words alone gets a verdict, and is told what would help."""
    page = window.open()
    window.paste("Are you free for lunch on Thursday? The usual place at noon.\n\nAnn")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".opened")
    assert "Are you free for lunch" in page.inner_text(".letter .body")
    assert "This has no headers" in page.inner_text(".reading")


def test_a_dropped_file_is_read(window: Visit) -> None:
    """Anywhere on the page; the browser does not open it in place of the page."""
    page = window.open()
    window.read_files({"patch.eml": HAM})
    expect(page.locator(".verdict h2")).to_have_text("Ham")
    assert page.url.startswith(window.base)


def test_of_several_files_one_is_open_at_a_time(window: Visit, service: Process) -> None:
    """A list with subjects and verdicts; opening one closes the other."""
    window.expected.append("status of 422")
    page = window.open()
    files = {path.name: path.read_bytes() for path in sorted((MAIL / "spam").glob("*.eml"))[:3]}
    files["empty.eml"] = b" \n"
    window.read_files(files)
    rows = page.locator(".list .row")
    expect(rows).to_have_count(4)
    expect(page.locator(".summary")).to_contain_text("1 that could not be read.")
    verdicts = [one["verdict"].capitalize() for one in service.scores(list(files.values())[:3])]
    assert page.locator(".list .pill").all_inner_texts() == [*verdicts, "Unread"]
    rows.nth(0).click()
    expect(page.locator(".opened")).to_have_count(1)
    rows.nth(1).click()
    expect(rows.nth(0)).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".opened")).to_have_count(1)
    rows.nth(3).click()
    expect(page.locator(".list [role=alert]")).to_contain_text("empty")
    assert not re.search(r"\b(null|undefined|NaN|\[object)", page.inner_text("main"))


def test_an_mbox_is_cut_into_its_messages(window: Visit, tmp_path: Path) -> None:
    """At the same places as training cuts it, quoting undone, with either line end and across pieces of the file."""
    window.open()
    long_one = b"Subject: long\n\n" + b"a line of sixty-four letters, more or less, to fill the pieces\n" * 70_000
    raws = [SPAM, b"Subject: quoted\n\nFrom here on it is quoted\n>From there on twice\n", long_one, HAM]
    for name, content in {"lf": mbox(*raws), "crlf": mbox(*raws).replace(b"\n", b"\r\n")}.items():
        path = tmp_path / name
        path.write_bytes(content)
        expected = [message for _, message in mbox_messages(path)]
        assert len(expected) == 4
        found = window.page.evaluate(
            """async (transfer) => {
                const { isMbox, splitMbox, unquoted } = await import("/page/mbox.js");
                const [file] = transfer.files;
                if (!(await isMbox(file))) return null;
                const { messages } = await splitMbox(file);
                const blobs = await Promise.all(messages.map(unquoted));
                const hash = async (blob) => {
                    const bytes = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
                    return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
                };
                return Promise.all(blobs.map(hash));
            }""",
            window._transfer({"mail.mbox": content}),
        )
        assert found == [sha256(message).hexdigest() for message in expected]


def test_a_dropped_mbox_becomes_a_list(window: Visit) -> None:
    """With the subjects of its messages, encoded words decoded."""
    page = window.open()
    encoded = b"Subject: =?utf-8?q?Caf=C3=A9?= =?utf-8?b?IPCfjbA=?=\n\nSee you there.\n"
    window.read_files({"two.mbox": mbox(HAM, encoded)})
    expect(page.locator(".list .row")).to_have_count(2)
    assert page.locator(".list .subject").nth(1).inner_text() == "Café 🍰"


def test_spans_are_counted_in_code_points(window: Visit, service: Process) -> None:
    """Letters that JavaScript counts twice do not shift what is tinted."""
    page = window.open()
    raw = "Subject: 🎁🎁🎁 free prize\n\n𝒲𝑒 say 🎉 click here now to claim your free money, 👨‍👩‍👧 credit card".encode()
    window.read_files({"astral.eml": raw})
    page.wait_for_selector(".opened")
    reasons = explained(service, raw)["reasons"]
    assert len(reasons) > 3
    marked = page.locator(".letter mark").all_text_contents()
    assert sorted(marked) == sorted(reason["text"] for reason in reasons)


def test_teaching_and_taking_it_back(window: Visit, service: Process) -> None:
    """The journal has what was said while it was said, and nothing of it after."""
    page = window.open()
    window.example()
    before = len(taught(service))
    page.click("text=This is not spam")
    expect(page.locator(".feedback .said")).to_have_text("Learned: this is not spam.")
    assert (taught(service)[0]["label"], taught(service)[0]["reporter"]) == ("ham", "page")
    expect(page.locator(".teach.ham")).to_have_attribute("aria-pressed", "true")
    page.click("text=This is spam")
    expect(page.locator(".feedback .said")).to_have_text("Learned: this is spam.")
    assert taught(service)[0]["label"] == "spam"
    page.click("text=Undo")
    expect(page.locator(".feedback .said")).to_contain_text("Forgotten.")
    expect(page.locator(".undo")).to_be_hidden()
    assert len(taught(service)) == before


def test_it_can_all_be_done_with_the_keyboard(window: Visit, service: Process) -> None:
    """From the start to a verdict, a label and its undoing, with Tab, Enter and the letters alone; focus is seen."""
    page = window.open()

    def tab_to(text: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                """() => {
                    const { activeElement: at } = document;
                    const style = getComputedStyle(at);
                    return [at.textContent || at.id, style.outlineStyle !== "none" && style.outlineWidth !== "0px"];
                }"""
            )
            if text in focused[0]:
                assert focused[1], f"nobody sees that {text} has the focus"
                return
        raise AssertionError(f"Tab never comes to {text}")

    tab_to("source")
    page.keyboard.insert_text(HAM.decode())
    tab_to("Read it")
    page.keyboard.press("Enter")
    page.wait_for_selector(".opened")
    tab_to("This is not spam")
    page.keyboard.press("Enter")
    expect(page.locator(".feedback .said")).to_have_text("Learned: this is not spam.")
    tab_to("Undo")
    page.keyboard.press("Enter")
    expect(page.locator(".feedback .said")).to_contain_text("Forgotten.")


def test_it_fits_a_phone(open_window: Open) -> None:
    """At 320 pixels nothing is cut off or has to be scrolled sideways, and buttons are large enough for a thumb."""
    with open_window(viewport={"width": 320, "height": 640}, has_touch=True) as window:
        page = window.open()

        def check() -> None:
            wide = page.evaluate(
                """() => [...document.querySelectorAll("main *, header *")]
                    .filter((at) => at.checkVisibility() && !at.closest(".table, .unseen, pre, svg"))
                    .filter((at) => at.getBoundingClientRect().right > innerWidth + 1)
                    .map((at) => `${at.tagName}.${at.className}`)"""
            )
            assert wide == []
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
            small = page.locator("button:visible, nav a:visible").evaluate_all(
                "all => all.filter((at) => at.getBoundingClientRect().height < 24).map((at) => at.textContent)"
            )
            assert small == []

        check()
        window.example()
        check()
        page.click("text=Model")
        page.wait_for_selector(".versions")
        page.wait_for_selector("#live .figures li")
        check()
        window.open("docs")
        page.wait_for_selector(".operation")
        check()


def test_a_verdict_is_told_to_those_who_listen(window: Visit) -> None:
    """A screen reader hears the verdict, and the focus stands where it is read on."""
    window.open()
    window.example()
    expect(window.page.locator("#announcer")).to_contain_text("likely to be spam")
    assert window.page.evaluate("document.activeElement.textContent") == "Spam"


def test_broken_mail_is_shown(window: Visit, service: Process) -> None:
    """Whatever is wrong with it, there is what the service says or a sentence, and no line on the console."""
    window.expected.append("status of 422")
    page = window.open()
    files = {path.name: path.read_bytes() for path in sorted((MAIL / "defects").glob("*.eml"))}
    window.read_files(files)
    expect(page.locator(".list .row")).to_have_count(len(files), timeout=TIMEOUT_MS)
    expect(page.locator(".pill.waiting")).to_have_count(0, timeout=TIMEOUT_MS)
    expected = [result.get("verdict", "unread").capitalize() for result in service.scores(list(files.values()))]
    assert page.locator(".list .pill").all_text_contents() == expected  # rows out of sight have no inner text
    for row in page.locator(".row").all()[::8]:
        row.click()
        page.wait_for_selector(".opened, .list .trouble")
        row.click()


def test_the_example_shows_what_there_is_to_see(window: Visit) -> None:
    """A first visitor sees spam with facts, hidden text, and words that pull either way."""
    page = window.open()
    window.example()
    assert page.inner_text(".verdict h2") == "Spam"
    assert page.locator(".facts li").count() >= 3
    assert page.locator(".hidden_text mark.ham").count() > 0
    assert page.locator(".body mark.spam").count() > 5
    assert page.locator(".movers tbody tr").count() == 7
