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


def label_of_path(path: Path, root: Path) -> Label | None:
    """Return the label that the innermost telling name tells; None when no name tells, or one tells both.

    Names from `root` on count, and the folder of a `root` that is a file: a home or a project may be named anything.
    """
    top = root.resolve()
    names = [top.name] if root.is_dir() else [top.parent.name, top.name]
    for name in reversed([*names, *path.relative_to(root).parts]):
        words = set(_WORD.findall(name.lower()))
        spam, ham = bool(words & {"spam", "junk"}), "ham" in words
        if spam or ham:
            return None if spam and ham else "spam" if spam else "ham"
    return None
