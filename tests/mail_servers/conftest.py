"""What the mail programs of these tests share."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the users of the mail programs may enter; pytest's own are closed to them."""
    if os.geteuid() != 0:
        # They change to users of their own before they deliver; .ci/run is run as root.
        pytest.skip("Postfix and Dovecot start as root alone: run this test as root")
    path = Path(tempfile.mkdtemp(prefix="hamlet-mail-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
