"""Cores from affinity and cgroup."""

import os
from pathlib import Path

import pytest

from classifier.threads import available_cores

HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("content", "cores"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", HERE), ("nonsense", HERE)]
)
def test_the_quota_of_cgroup_v2_counts(tmp_path: Path, content: str, cores: int) -> None:
    """Half a core is one thread; no limit is all cores that the process may run on."""
    (tmp_path / "cpu.max").write_text(content)
    assert available_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("-1", HERE)])
def test_the_quota_of_cgroup_v1_counts(tmp_path: Path, quota: str, cores: int) -> None:
    """v1 writes -1 for no limit."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert available_cores(tmp_path) == cores
