"""One labelled message, and the account of what was read."""

import datetime
from dataclasses import dataclass, field
from typing import Literal

from classifier.message import MailFields

Label = Literal["spam", "ham"]
SHOWN_PLACES = 20


@dataclass(frozen=True, slots=True)
class LabelledMail:
    """A message that somebody called spam or ham.

    `source` is `corpus` or `corpus:part`. It names the class in some corpora, so it is for strata and tables, never
    for features. `mail` is the message's bytes, or the fields that the origin kept.
    """

    id: str
    label: Label
    source: str
    date: datetime.date | None
    mail: bytes | MailFields

    @property
    def corpus(self) -> str:
        """The part of `source` before the colon."""
        return self.source.partition(":")[0]


@dataclass
class SourceReport:
    """What came of reading: good messages, rows left out, and where the first of those are."""

    read: int = 0
    bad: int = 0
    bad_places: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_bad(self, place: str, why: str) -> None:
        """Count a row that is left out; the first `SHOWN_PLACES` are kept as "file:line: why"."""
        self.bad += 1
        if len(self.bad_places) < SHOWN_PLACES:
            self.bad_places.append(f"{place}: {why}")

    @property
    def bad_share(self) -> float:
        """Share of all rows seen that are bad, 0 when none was seen."""
        return self.bad / max(1, self.read + self.bad)
