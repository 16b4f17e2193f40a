"""Maildir, with the folders of Maildir++ (`.Junk`, `.Lists.dev`) below it."""

from collections.abc import Iterator
from pathlib import Path

from classifier.mailboxes import is_maildir, maildir_files
from training.sources.labels import SPAM_FOLDERS
from training.sources.mail import Label

# Not received mail, or mail that its owner has not judged.
_UNUSED_FOLDERS = frozenset({"drafts", "trash", "sent", "outbox", "templates", "deleted items", "deleted messages"})


def maildir_messages(folder: Path, label: Label | None) -> Iterator[tuple[str, bytes, Label | None]]:
    """Yield the place, the bytes and the label of each message of a Maildir and its folders.

    `.Junk` and `.Spam` are spam; the rest has `label`. Messages marked as drafts or trashed are left out.
    """
    yield from _own_messages(folder, label)
    for sub in sorted(folder.iterdir()):
        name = sub.name.rpartition(".")[2].lower()
        if sub.name.startswith(".") and is_maildir(sub) and name not in _UNUSED_FOLDERS:
            yield from _own_messages(sub, "spam" if name in SPAM_FOLDERS else label)


def _own_messages(folder: Path, label: Label | None) -> Iterator[tuple[str, bytes, Label | None]]:
    for file in maildir_files(folder):
        flags = file.name.rpartition(":2,")[2] if ":2," in file.name else ""
        if not set("DT") & set(flags):
            yield str(file), file.read_bytes(), label
