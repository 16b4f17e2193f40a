"""Calling the command in a process of its own."""

import subprocess
import sys

from tests.conftest import MAIL
from tests.service.process import ROOT

SPAM = (MAIL / "spam/parcel-customs-fee.eml").read_bytes()
LUNCH = b"From: ann@example.org\nSubject: lunch\n\nAre you free at noon? The usual place.\n"
COMMAND = (sys.executable, "-m", "service", "score")


def score(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command on a mail."""
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, input=stdin, capture_output=True, timeout=120)
