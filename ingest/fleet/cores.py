"""What the machine says of its cores: how busy each was, and how many a quota leaves."""

from __future__ import annotations

import os
from pathlib import Path


def busy_seconds() -> dict[int, float]:
    """Give the seconds that each core was busy since the machine started; nothing where it does not tell.

    Work of low priority (nice) does not count: it makes way. Time that a virtual machine did not get does.
    """
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    ticks = os.sysconf("SC_CLK_TCK")
    found = {}
    for line in lines:
        name, *counts = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, _nice, system, _idle, _waits, irq, soft_irq, stolen = map(int, counts[:8])
            found[int(name[3:])] = (user + system + irq + soft_irq + stolen) / ticks
    return found


def quota_cores(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Give the cores that a container or service may use by its CPU quota; None: as many as there are.

    Args:
        proc: says which control groups this process is in.
        root: where they are mounted.
    """
    try:
        rows = [line.split(":", 2) for line in proc.read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    found = []
    for _, controllers, path in rows:
        base = root if not controllers else root / "cpu"
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            found += _quota(folder)
            if folder == base:
                break
    return min(found, default=None)


def _quota(folder: Path) -> list[float]:
    """Read cpu.max (version 2 of control groups) or cpu.cfs_quota_us (version 1)."""
    try:
        if (new := folder / "cpu.max").exists():
            quota, period = new.read_text(encoding="ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
        return [int(quota) / int(period)] if int(quota) > 0 else []
    except (OSError, ValueError):  # "max": no limit
        return []
