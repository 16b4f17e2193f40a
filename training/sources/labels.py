"""The label that a path tells: `spam=PATH`, `…/spam/…`, `easy_ham_2`, `ham.mbox`, `.Junk`."""

import re
from pathlib import Path

from training.sources.mail import Label

SPAM_FOLDERS = frozenset({"junk", "spam", "junk-e-mail", "junk e-mail", "bulk mail"})
_WORD = re.compile(r"[a-z]+")


def split_prefix(argument: Path | str) -> tuple[Label | None, Path]:
    """Return the label and the path of `spam=PATH` or `ham=PATH`; None and the path of anything else."""
    before, equals, after = str(argument).partition("=")
    if equals and after and not Path(argument).exists():
        if before == "spam":
            return "spam", Path(after)
        if before == "ham":
            return "ham", Path(after)
    return None, Path(argument)


def label_of_path(path: Path) -> Label | None:
    """Return the label that the innermost telling name of the path has; None when no name tells, or one tells both."""
    for part in reversed(path.parts):
        words = set(_WORD.findall(part.lower()))
        spam, ham = bool(words & {"spam", "junk"}), "ham" in words
        if spam != ham:
            return "spam" if spam else "ham"
        if spam and ham:
            return None
    return None
