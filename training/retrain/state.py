"""What the job remembers from one run to the next: hashes and ids, no mail. Losing it costs one run, nothing else."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

_NAME = "state.json"


@dataclass(slots=True)
class State:
    """Where the last finished run left off."""

    settings: str = ""  # hash of the old mail, the settings and the version that was in service when it ended
    feedback: str = ""  # hash of what it took from the journal
    newest: str = ""  # the newest time in the journal
    at_newest: str = ""  # a hash of the ids that have it
    said: list[str] = field(default_factory=list)  # the hash of each message that was there, with its label
    # Of each published version: hashes of the messages that it has learned from and that are in the journal still.
    # While it is the champion, the gate does not judge by them.
    learned: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> "State":
        """Read it; an empty one where there is none, or none that can be read."""
        try:
            return cls(**json.loads((folder / _NAME).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return cls()

    def save(self, folder: Path) -> None:
        """Write beside, sync, replace."""
        beside = folder / f"{_NAME}.new"
        with beside.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, folder / _NAME)
