"""What all tests share."""

import base64
import json
import lzma
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch loads. One thread an inference, as in the service: a step of the LSTM is too short to share, and a
# second thread that waits for it takes a core from the services under test if it spins, and 30 ms a mail if it sleeps
# (1.5 ms with one). tests/retraining/test_poisoning.py: 97 s with two threads that sleep, 53 s with one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Return the folder of real corpora, or skip: it is not part of the repository."""
    folder = os.environ.get("HAMLET_CORPORA")
    if not folder:
        # People's mail is not in the repository; `make corpora`, which .ci/run begins with, fails without it.
        pytest.skip("set HAMLET_CORPORA to a folder of labelled mail to run this test")
    return Path(folder)


def corpus_mail(corpora: Path) -> Iterator[bytes]:
    """Yield the raw mails of the corpora that have them, one file after the other."""
    for path in sorted(corpora.glob("*.jsonl.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if "raw_b64" not in record:
                    break
                yield base64.b64decode(record["raw_b64"])


MAIL = Path(__file__).parent / "mail"


def mail_files(*kinds: str) -> list[Path]:
    """Return the files of tests/mail of these kinds: spam, ham, defects."""
    return [path for kind in kinds for path in sorted((MAIL / kind).glob("*.eml"))]
