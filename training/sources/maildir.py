"""Maildir, with the folders of Maildir++ (`.Junk`, `.Lists.dev`) below it."""

from collections.abc import Iterator
from pathlib import Path

from training.sources.labels import SPAM_FOLDERS
from training.sources.mail import Label

# Not received mail, or mail that its owner has not judged.
_UNUSED_FOLDERS = frozenset({"drafts", "trash", "sent", "outbox", "templates", "deleted items", "deleted messages"})


def is_maildir(folder: Path) -> bool:
    """Whether the folder has what makes it a Maildir: `cur` and `new`."""
    return (folder / "cur").is_dir() and (folder / "new").is_dir()


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
    for part in ("cur", "new"):
        for file in sorted((folder / part).iterdir()):
            flags = file.name.rpartition(":2,")[2] if ":2," in file.name else ""
            if file.is_file() and not set("DT") & set(flags):
                yield str(file), file.read_bytes(), label
