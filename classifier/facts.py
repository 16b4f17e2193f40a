"""What is odd about how a message is built, in words for a person."""

from collections.abc import Iterator
from dataclasses import dataclass

from classifier import text as marks
from classifier.message import Message


@dataclass(frozen=True, slots=True)
class Fact:
    """One structural fact: a code that stays, and a sentence."""

    code: str
    text: str


_TRICKS = {
    marks.HOMOGLYPH: ("lookalike_letters", "Some words mix in letters of another script that look like Latin ones."),
    marks.INVISIBLE: ("invisible_characters", "Invisible characters stand inside words."),
    marks.BIDI: ("turned_direction", "Control characters turn the direction of the writing."),
    marks.STYLED: ("styled_letters", "Some words are written in symbols that look like letters."),
    marks.SPACED: ("spaced_letters", "The letters of some words are set apart."),
}


def facts(message: Message, text: str) -> Iterator[Fact]:
    """Yield the facts about a message.

    Args:
        text: what the network reads of it, where the tricks with letters are marked.
    """
    for link in message.links:
        if link.is_mismatch:
            yield Fact(
                "link_mismatch", f"The text of a link says {link.text}; the link leads to another host, {link.host}."
            )
            break
    if message.hidden_text:
        yield Fact("hidden_text", "There is hidden text in the HTML.")
    reply_to, sender = message.reply_to_address, message.sender_address
    if reply_to and sender and reply_to.rpartition("@")[2] != sender.rpartition("@")[2]:
        yield Fact("reply_to_differs", f"Replies go to another domain, {reply_to}, than the sender's, {sender}.")
    for mark, (code, sentence) in _TRICKS.items():
        if mark in text:
            yield Fact(code, sentence)
