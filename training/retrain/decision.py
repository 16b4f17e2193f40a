"""What a run of the job came to, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from training.retrain.feedback import Sieved
from training.retrain.gate import Check


class Outcome(IntEnum):
    """The exit status of the job."""

    PROMOTED = 0
    KEPT = 3
    NOTHING_TO_DO = 4


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that the page shows."""

    outcome: Outcome
    reason: str  # one sentence
    champion: str
    origin: str
    candidate: str  # its version; empty where none was published
    sieved: Sieved
    # Of feedback and of old mail: part, label and number.
    messages: Sequence[tuple[str, str, str, int]] = ()
    checks: Sequence[Check] = ()
    measures: Mapping[str, Any] = field(default_factory=dict)  # of a candidate that was published: training.evaluate
    notes: Sequence[str] = ()
