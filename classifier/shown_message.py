"""A message as a person would see it, and where in it stands what the network reads.

The text that the network reads is built here once more, from traced pieces, and is the one of `message_text`: so each
token can be followed back to a stretch of a shown field. Offsets count Unicode code points.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier import text as marks
from classifier.message import Message
from classifier.traced_text import Traced, traced_normalise, traced_plain

SUBJECT, FROM, REPLY_TO, BODY = "subject", "from", "reply_to", "body"
ATTACHMENTS, LINK_HOSTS, LINK_TEXT, HIDDEN_TEXT = "attachments", "link_hosts", "link_text", "hidden_text"
SHOWN_FIELDS = (SUBJECT, FROM, REPLY_TO, ATTACHMENTS, LINK_HOSTS, LINK_TEXT, HIDDEN_TEXT, BODY)

# Characters that are shown: of the body head and tail, of any other field the head.
BODY_HEAD, BODY_TAIL = 24_000, 8_000
OTHER_HEAD = 2_000
GAP = "\n[…]\n"
_MOST_LINES = 100  # of attachments and of link hosts
_LINE_ENDS = re.compile(r"[ \t\xa0]*\n(?:\s*\n)?")

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """What is shown of a message, and the text that the network reads with its way back.

    Each of the C characters of `text` stands for `shown[SHOWN_FIELDS[field_C]]` from `starts_C` to `ends_C`; that
    stretch is empty where nothing is shown for it, as for the marks between fields.
    """

    text: str
    shown: dict[str, str]
    field_C: Places
    starts_C: Places
    ends_C: Places


def show_message(message: Message) -> ShownMessage:
    """Return what is shown of a message; `text` of it is `message_text(message)`."""
    sources = _sources(message)
    views = {field: _view(source, field) for field, source in sources.items()}
    texts: list[str] = []
    places: list[Places] = []  # (3, C) each: field, start, end
    for field, traced in _parts(message, sources):
        texts.append(traced.text)
        places.append(np.stack([np.full(len(traced.text), SHOWN_FIELDS.index(field)), *views[field].spans(traced)]))
    shown = {field: view.text for field, view in views.items() if view.text}
    # Between two fields stands a space, which is part of neither; the text begins with none.
    field_C, starts_C, ends_C = np.concatenate([np.empty((3, 0), np.int64), *places], axis=1)[:, 1:]
    return ShownMessage("".join(texts)[1:], shown, field_C, starts_C, ends_C)


@dataclass(frozen=True, slots=True)
class _View:
    """The shown text of a field, and which character of its source each character is."""

    text: str
    sources_V: Places  # ascending
    places_V: Places

    def spans(self, traced: Traced) -> tuple[Places, Places]:
        """Where what a traced text stands for is shown: starts and ends."""
        if not self.text:
            nowhere_C = np.zeros(len(traced.text), np.int64)
            return nowhere_C, nowhere_C
        first_C = np.searchsorted(self.sources_V, traced.starts_C)
        last_C = np.searchsorted(self.sources_V, traced.ends_C) - 1
        is_shown_C = last_C >= first_C
        starts_C = self.places_V[np.where(is_shown_C, first_C, 0)]
        ends_C = self.places_V[np.where(is_shown_C, last_C, 0)] + 1
        return np.where(is_shown_C, starts_C, 0), np.where(is_shown_C, ends_C, 0)


def _view(source: str, field: str) -> _View:
    """Cut to its bound, without lines that have nothing on them."""
    head, tail = (BODY_HEAD, BODY_TAIL) if field == BODY else (OTHER_HEAD, 0)
    tidy = Traced.of(source).cut(head * marks.UNFOLDED, tail * marks.UNFOLDED, GAP)
    tidy = tidy.sub(_LINE_ENDS, lambda match: [("\n\n" if match[0].count("\n") > 1 else "\n", *match.span())])
    tidy = tidy.cut(head, tail, GAP)
    places_V = np.flatnonzero(tidy.ends_C > tidy.starts_C)  # the gap is no part of the source
    return _View(tidy.text, tidy.starts_C[places_V], places_V)


def _sources(message: Message) -> dict[str, str]:
    """The text of each field before it is cut."""
    name, address = message.sender_name, message.sender_address
    mismatch = next((link for link in message.links if link.is_mismatch), None)
    return {
        SUBJECT: message.subject,
        FROM: " ".join(part for part in (name, address and f"<{address}>") if part),
        REPLY_TO: message.reply_to_address,
        ATTACHMENTS: "\n".join(f"{each.name} ({each.media_type})" for each in message.attachments[:_MOST_LINES]),
        LINK_HOSTS: "\n".join(_hosts(message)[:_MOST_LINES]),
        LINK_TEXT: mismatch.text if mismatch else "",
        HIDDEN_TEXT: message.hidden_text,
        BODY: message.text,
    }


def _hosts(message: Message) -> list[str]:
    return list(dict.fromkeys(link.host for link in message.links if link.host))


def _parts(message: Message, sources: dict[str, str]) -> Iterator[tuple[str, Traced]]:
    """The fields in the order of `message_text`, each behind a space."""

    def part(field: str, *pieces: str | Traced) -> tuple[str, Traced]:
        return field, Traced.joined([Traced.nowhere(piece) if isinstance(piece, str) else piece for piece in pieces])

    def stretch(field: str, start: int, length: int) -> Traced:
        return Traced.of(sources[field]).stretch(start, start + length)

    subject = traced_normalise(Traced.of(message.subject).replaced(marks.LIST_TAG, " "), 600, 0)
    if subject.text:
        yield part(SUBJECT, f" {marks.SUBJECT} ", subject)
    address = message.sender_address
    if address:
        name = traced_normalise(stretch(FROM, 0, len(message.sender_name)), 100, 0)
        plain = traced_plain(stretch(FROM, len(sources[FROM]) - 1 - len(address), len(address)))
        yield part(FROM, f" {marks.SENDER} ", name, f" {marks.ADDRESS} ", plain)
        domain = marks.domain_of(message.reply_to_address)
        if message.reply_to_address and domain != marks.domain_of(address):
            start = len(message.reply_to_address) - len(domain)
            yield part(REPLY_TO, f" {marks.REPLY_TO} ", traced_plain(stretch(REPLY_TO, start, len(domain))))
    start = 0
    for attachment in message.attachments[: marks.MOST_ATTACHMENTS]:
        name = traced_normalise(stretch(ATTACHMENTS, start, len(attachment.name)), 60, 0)
        start += len(attachment.name) + 2
        media_type = traced_plain(stretch(ATTACHMENTS, start, len(attachment.media_type)))
        start += len(attachment.media_type) + 2
        yield part(ATTACHMENTS, f" {marks.ATTACHMENT} ", name, " ", media_type)
    start = 0
    for host in _hosts(message)[: marks.MOST_LINK_HOSTS]:
        yield part(LINK_HOSTS, f" {marks.LINK} ", traced_plain(stretch(LINK_HOSTS, start, len(host))))
        start += len(host) + 1
    if sources[LINK_TEXT]:
        yield part(LINK_TEXT, f" {marks.LINK_MISMATCH} ", traced_normalise(Traced.of(sources[LINK_TEXT]), 60, 0))
    hidden = traced_normalise(Traced.of(message.hidden_text), marks.HIDDEN_CHARACTERS, 0)
    if hidden.text:
        yield part(HIDDEN_TEXT, f" {marks.HIDDEN} ", hidden)
    body = traced_normalise(Traced.of(message.text), marks.BODY_HEAD, marks.BODY_TAIL)
    if body.text:
        yield part(BODY, f" {marks.BODY} ", body)
