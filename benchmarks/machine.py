"""What a figure was measured on: the machine, its load, the versions; and the frame of every result file.

python benchmarks/machine.py prints it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16")
PACKAGES = {
    "av": "av",
    "openvino": "openvino",
    "opencv": "opencv-python-headless",
    "numpy": "numpy",
    "ray": "ray",
}
IDLE_SHARE = 0.15
"""Up to this share of the cores may be busy with other things for a machine to be called idle."""


def describe() -> dict[str, Any]:
    """Give processor, flags that matter, usable cores, memory, kernel, versions, load, a warning if any."""
    cores = usable_cores()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    seen: dict[str, Any] = {
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "family_model": f"{_cpuinfo('cpu family')}/{_cpuinfo('model')}",
        "flags": [flag for flag in FLAGS if flag in _cpuinfo("flags").split()],
        "cores": cores,
        "memory_gb": round(_meminfo("MemTotal") / 1e6, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: found for name, package in PACKAGES.items() if (found := _version(package))},
        "load_1min": round(load, 2),
        "busy_share": round(busy_share(), 3),
    }
    if warning := idle_warning(seen["busy_share"], load, cores):
        seen["warning"] = warning
    return seen


def idle_warning(busy: float, load: float, cores: int) -> str:
    """Say in a sentence that the machine was not idle; "" if it was.

    The load does not decide: after another benchmark it is high for a minute on a machine that does nothing.

    Args:
        busy: share of all CPU time that was used in the moment before.
        load: load average of the last minute.
        cores: usable ones.

    >>> idle_warning(0.02, 1.9, 2)
    ''
    """
    if busy <= IDLE_SHARE:
        return ""
    return (
        f"the machine was not idle at the start ({busy:.0%} of its CPU time in use, load {load:.1f} on "
        f"{cores} cores): times are too long by an unknown amount; measure again on a quiet machine"
    )


def usable_cores() -> int:
    """Give the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy_share(seconds: float = 3.0) -> float:
    """Give the share of the whole machine's CPU time that is in use, measured over so long; 0 if unknown."""
    import time

    first = _jiffies()
    time.sleep(seconds)
    second = _jiffies()
    total = second[0] - first[0]
    return 1 - (second[1] - first[1]) / total if total else 0.0


def machine_cpu_s() -> float:
    """Give the CPU seconds that the whole machine has been busy since its start; 0 if unknown."""
    total, idle = _jiffies()
    return (total - idle) / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)


def result(name: str, rows: Any, n: int, interval: str, **more: Any) -> dict[str, Any]:
    """Give the frame of a result: name, date, machine, command, n, what the interval is, rows.

    Args:
        name: of the benchmark.
        rows: what was measured.
        n: how many runs (or frames, or events) a figure rests on.
        interval: what the low and high figures are, in words.
        more: whatever else.
    """
    return {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", f"benchmarks/{name}.py", *map(spoken, sys.argv[1:])]),
        "n": n,
        "interval": interval,
        **more,
        "rows": rows,
    }


def spoken(word: str) -> str:
    """Give a word of a command as it may be published: places on this machine are nobody's business.

    >>> spoken("--runs"), spoken("/home/me/clips")
    ('--runs', 'PATH')
    """
    return "PATH" if Path(word).is_absolute() else word


def save(document: Mapping[str, Any], path: Path | None) -> None:
    """Write a result; None takes benchmarks/results/<name>.json."""
    path = path or RESULTS / f"{document['benchmark']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {path}")


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == key), "")


def _meminfo(key: str) -> float:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0.0)


def _jiffies() -> tuple[int, int]:
    """Give all and idle CPU time so far, in the kernel's ticks."""
    try:
        fields = [int(x) for x in Path("/proc/stat").read_text(encoding="utf-8").split("\n")[0].split()[1:9]]
    except OSError:
        return 0, 0
    return sum(fields), fields[3] + fields[4]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    print(json.dumps(describe(), indent=1))


def how_many(text: str) -> int:
    """Read a number of things from the command line; argparse says what is wrong.

    >>> how_many("3")
    3
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number from 1 on, got '{text}'")
    return int(text)
