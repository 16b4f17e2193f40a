"""Work in several processes: in order, whatever is killed, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from training.errors import DataError
from training.processes import in_processes

ROOT = Path(__file__).parents[2]
MORE_THAN_WAIT = 100  # items; two processes work at most 16 ahead
TIMEOUT_S = 60.0


def squared(item: int) -> int:
    """Later items are done sooner."""
    time.sleep(0.02 if item % 10 == 0 else 0)
    return item * item


def squared_unless_killed(asked: tuple[int, Path]) -> int:
    """Every tenth item kills its process when it is first worked on."""
    item, marks = asked
    mark = marks / str(item)
    if item % 10 == 5 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def killed(item: int) -> int:
    """No attempt helps."""
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def refused(item: int) -> int:
    """An error of the work itself."""
    raise ValueError(f"item {item}")


def test_results_are_in_order_and_few_items_are_taken_ahead() -> None:
    """However long each takes, and however many there are."""
    taken = []

    def items() -> Iterator[int]:
        for item in range(MORE_THAN_WAIT):
            taken.append(item)
            yield item

    results = in_processes(squared, items(), 2)
    assert next(results) == 0
    assert len(taken) < MORE_THAN_WAIT / 2
    assert list(results) == [item * item for item in range(1, MORE_THAN_WAIT)]


def test_what_a_killed_process_had_not_finished_is_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten processes are killed at ten items, and every result is there once."""
    asked = ((item, tmp_path) for item in range(MORE_THAN_WAIT))
    assert list(in_processes(squared_unless_killed, asked, 2)) == [item * item for item in range(MORE_THAN_WAIT)]
    assert "is done again" in capsys.readouterr().err


def test_an_item_that_always_kills_ends_in_a_sentence() -> None:
    """Not in a loop, nor in waiting for ever."""
    with pytest.raises(DataError, match="killed 3 times in a row"):
        list(in_processes(killed, range(4), 2))


def test_an_error_of_the_work_is_passed_on() -> None:
    """As it is, at the place of its result."""
    with pytest.raises(ValueError, match="item 0"):
        list(in_processes(refused, range(4), 2))


def test_when_the_parent_is_killed_its_processes_end_too() -> None:
    """SIGKILL tells nobody; they look after their parent themselves."""
    code = "from tests.training.test_processes import *; list(in_processes(time.sleep, [600.0] * 4, 2))"
    workers: list[psutil.Process] = []
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent:
        try:
            started = time.monotonic()
            while len(workers) < 2:
                assert time.monotonic() < started + TIMEOUT_S
                children = psutil.Process(parent.pid).children()
                workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
                time.sleep(0.1)
            time.sleep(1.0)  # they are asleep in their first item
        finally:
            parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=TIMEOUT_S)
    for worker in alive:
        worker.kill()
    assert not alive
