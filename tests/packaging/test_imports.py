"""What importing a module costs: the import contracts, seen at run time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.alone import forbidden, modules

ROOT = Path(__file__).resolve().parents[2]
PROBE = """
import importlib, json, logging, signal, sys, threading
before = signal.getsignal(signal.SIGTERM)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps({
    "modules": sorted({name.split(".")[0] for name in sys.modules}),
    "threads": [thread.name for thread in threading.enumerate()],
    "log_handlers": len(logging.getLogger().handlers),
    "signals_kept": signal.getsignal(signal.SIGTERM) is before,
}))
"""


def after_importing(names: list[str]) -> dict[str, Any]:
    """Return what a fresh process looks like after these imports."""
    run = subprocess.run([sys.executable, "-c", PROBE, *names], cwd=ROOT, capture_output=True, text=True, check=True)
    seen: dict[str, Any] = json.loads(run.stdout)
    return seen


@pytest.mark.parametrize(
    "name",
    ["classifier.message", "classifier.text", "classifier.encoding", "service.schemas_feedback", "service.settings"],
)
def test_light_modules_load_without_torch(name: str) -> None:
    """Parsing mail or describing a request does not cost a second and half a gigabyte."""
    assert "torch" not in after_importing([name])["modules"]


def test_the_client_loads_with_httpx_alone() -> None:
    """A mail server that asks a service elsewhere needs neither a model nor a web framework."""
    seen = after_importing(modules("service/client"))
    assert not set(forbidden("service/client")) & set(seen["modules"])


@pytest.mark.parametrize("package", ["classifier", "service", "training"])
def test_importing_does_no_work(package: str) -> None:
    """No thread, no log handler and no signal handler comes of an import alone."""
    names = [name for name in modules(package) if not name.endswith("__main__")]
    seen = after_importing(names)
    assert seen["threads"] == ["MainThread"]
    assert seen["log_handlers"] == 0
    assert seen["signals_kept"] is True
