"""What all tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def corpora() -> Path:
    """Return the folder of real corpora, or skip: it is not part of the repository."""
    folder = os.environ.get("HAMLET_CORPORA")
    if not folder:
        pytest.skip("set HAMLET_CORPORA to a folder of labelled mail to run this test")
    return Path(folder)


MAIL = Path(__file__).parent / "mail"


def mail_files(*kinds: str) -> list[Path]:
    """Return the files of tests/mail of these kinds: spam, ham, defects."""
    return [path for kind in kinds for path in sorted((MAIL / kind).glob("*.eml"))]
