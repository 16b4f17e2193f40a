"""What stands out in how a message is built, in words for a person.

A fact is no verdict: honest mail has hidden text and attachments too. A sentence may quote the message.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from classifier import text as marks
from classifier.message import Message


@dataclass(frozen=True, slots=True)
class Fact:
    """One structural fact: a code that stays the same, and a sentence."""

    code: str
    text: str


_LONGEST_QUOTE = 80
_MOST_ATTACHMENTS = 4
_IP_ADDRESS = re.compile(
    r"(?:h[tx]{2}ps?://)?(?:[^\s/@]*@)?((?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:.]+\])(?:[/:?#]|$)", re.I
)
_ADDRESS_IN_NAME = re.compile(r"[\w.+-]{1,64}@([\w-]{1,63}(?:\.[\w-]{1,63})+)")
# What Outlook and Gmail do not let through as an attachment, most common ones, and pages and images of disks.
_RUNS = re.compile(r"\.(?:exe|scr|com|bat|cmd|pif|js|jse|vbs|vbe|wsf|hta|jar|msi|ps1|lnk|iso|img|vhd|one)$", re.I)
_PAGE = re.compile(r"\.(?:html?|shtml|xhtml|svg)$", re.I)
_MACROS = re.compile(r"\.(?:docm|xlsm|pptm|xlam|dotm)$", re.I)
_DOUBLE = re.compile(r"\.(?:pdf|docx?|xlsx?|pptx?|jpe?g|png|gif|txt|csv)\s*\.[a-z0-9]{2,5}$", re.I)

_TRICKS = {
    marks.HOMOGLYPH: ("lookalike_letters", "look-alike letters of another script stand in for Latin ones"),
    marks.INVISIBLE: ("invisible_characters", "invisible characters stand between the letters"),
    marks.STYLED: ("styled_letters", "the letters are symbols that only look like letters"),
    marks.SPACED: ("spaced_letters", "the letters are set apart"),
}
_DEFECTS = {
    "8bit_header": "A header has bytes that no header may have.",
    "bad_base64": "An encoded part is damaged.",
    "bad_encoded_word": "A header is encoded wrongly.",
    "boundary_never_found": "The message says that it has parts, and has none.",
    "header_block_broken": "The headers break off and go on.",
    "header_block_too_long": "There are more headers than are read.",
    "multipart_not_closed": "The last part of the message has no end.",
    "multipart_without_boundary": "The message says that it has parts, and not where they begin.",
    "no_headers": "The message has no headers.",
    "text_cut": "There is more text than is read.",
    "too_deeply_nested": "Parts are packed into one another deeper than is read.",
    "too_many_parts": "There are more parts than are read.",
    "undecodable_text": "Some text is not in the character set that it is said to be in.",
    "unknown_charset": "Some text is in a character set that nobody knows.",
    "unknown_transfer_encoding": "A part is encoded in a way that nobody knows.",
}


def facts(message: Message, text: str, *, truncated: bool = False) -> Iterator[Fact]:
    """Yield what stands out in a message.

    Args:
        text: what the network reads of it (`message_text`), where tricks with letters are marked.
        truncated: whether the network does not read all of it.
    """
    yield from _sender(message)
    yield from _links(message)
    if message.hidden_text:
        yield Fact("hidden_text", f"There is hidden text in the HTML: {_quote(message.hidden_text)}.")
    for mark, (code, sentence) in _TRICKS.items():
        if number := text.count(mark):
            yield Fact(code, f"In {number} {'word' if number == 1 else 'words'} {sentence}.")
    if marks.BIDI in text:
        yield Fact("turned_direction", "Control characters turn the direction of the writing.")
    yield from _attachments(message)
    if not message.text.strip():
        yield Fact("no_text", "There is no text that a reader would see.")
    for defect in message.defects:
        if defect.startswith("repeated_"):
            yield Fact(defect, f"The header {defect.removeprefix('repeated_').replace('_', '-')} stands there twice.")
        elif defect in _DEFECTS:
            yield Fact(defect, _DEFECTS[defect])
    if truncated:
        yield Fact("truncated", "The message is long: its beginning and its end were read.")


def _sender(message: Message) -> Iterator[Fact]:
    sender, reply_to = message.sender_address, message.reply_to_address
    domain = marks.domain_of(sender)
    named = _ADDRESS_IN_NAME.search(message.sender_name)
    if sender and named and named[1].lower() != domain:
        yield Fact(
            "sender_name_address",
            f"The sender's name has an address in it, {_quote(named[0])}, that is not the sender's, {_quote(sender)}.",
        )
    if sender and reply_to and marks.domain_of(reply_to) != domain:
        yield Fact(
            "reply_to_differs",
            f"Answers go to another domain, {_quote(reply_to)}, than the sender's, {_quote(sender)}.",
        )


def _links(message: Message) -> Iterator[Fact]:
    mismatches = [link for link in message.links if link.is_mismatch]
    if mismatches:
        first, others = mismatches[0], len(mismatches) - 1
        more = f" So do {others} more." if others > 1 else " So does one more." if others else ""
        yield Fact(
            "link_mismatch",
            f"The link text says {_quote(first.text)}, the target is another host, {_quote(first.host)}.{more}",
        )
    numbers = next((match[1] for link in message.links if (match := _IP_ADDRESS.match(link.target.strip()))), None)
    if numbers:
        yield Fact("link_to_ip_address", f"A link leads to a bare IP address, {_quote(numbers)}.")
    foreign = next((link.host for link in message.links if link.host.startswith("xn--") or ".xn--" in link.host), None)
    if foreign:
        yield Fact("foreign_letters_in_host", f"A link leads to a host with letters beyond ASCII, {_quote(foreign)}.")


def _attachments(message: Message) -> Iterator[Fact]:
    for attachment in message.attachments[:_MOST_ATTACHMENTS]:
        name = attachment.name.strip()
        what = f"{_quote(name)} ({_quote(attachment.media_type)})" if name else _quote(attachment.media_type)
        if _RUNS.search(name):
            yield Fact("attachment_runs", f"The attachment {what} can run as a program.")
        elif _MACROS.search(name):
            yield Fact("attachment_with_macros", f"The attachment {what} can hold macros.")
        elif _PAGE.search(name) or attachment.media_type == "text/html":
            yield Fact("attachment_is_page", f"The attachment {what} opens as a web page.")
        else:
            yield Fact("attachment", f"There is an attachment, {what}.")
        if _DOUBLE.search(name):
            yield Fact("double_extension", f"The name of the attachment {_quote(name)} has two endings.")
    if len(message.attachments) > _MOST_ATTACHMENTS:
        yield Fact("many_attachments", f"There are {len(message.attachments)} attachments.")


def _quote(text: str) -> str:
    """One line of the message, short enough for a sentence."""
    line = " ".join(text[: 4 * _LONGEST_QUOTE].split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"
