"""How many cores this process may use, and telling the numeric libraries so before they load."""

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = _CGROUP) -> int:
    """Return the whole cores that the affinity mask and the cgroup's CPU quota leave, at least 1.

    Reads cgroup v2 (`cpu.max`), then v1 (`cpu.cfs_quota_us`); a host without either has its affinity alone.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, min(cores, math.floor(quota))) if quota else cores


def limit_threads(threads: int) -> None:
    """Tell OpenMP and MKL to use `threads` threads. Only works before torch is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


def _quota(cgroup: Path) -> float | None:
    """CPU quota in cores, or None without a limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None
    return cores if cores > 0 else None  # v1 writes -1 for no limit
