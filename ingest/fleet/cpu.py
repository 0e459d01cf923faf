"""CPU time of threads, as the kernel counts it: what a camera costs is measured, not guessed."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

PER_THREAD_CLOCK = 6
"""Linux' CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED: makes a clock of a thread's number."""
FILES_MAX = 65536
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def thread_cpu_s(native_id: int) -> float | None:
    """Give the CPU seconds of a thread of this process; None when it has ended or the system does not tell.

    Args:
        native_id: the kernel's number, `threading.Thread.native_id`.
    """
    if sys.platform != "linux":
        return None
    try:
        return time.clock_gettime((~native_id << 3) | PER_THREAD_CLOCK)
    except OSError:
        return None


def camera_threads() -> dict[str, dict[int, str]]:
    """Give the threads of every camera: by its id, the kernel's numbers and what each does.

    They are those named "<what> <camera id>": "camera" analyses, "rtsp" receives, "evidence" makes clips,
    "main" follows the main stream.
    """
    found: dict[str, dict[int, str]] = {}
    for thread in threading.enumerate():
        what, _, camera_id = thread.name.partition(" ")
        if camera_id and thread.native_id is not None:
            found.setdefault(camera_id, {})[thread.native_id] = what
    return found


class ThreadMeter:
    """CPU seconds of one camera's threads, those included that have ended since they were last looked at."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[str, float]] = {}
        self._ended: dict[str, float] = {}

    def read(self, threads: Mapping[int, str]) -> dict[str, float]:
        """Give the sums so far, in seconds, by what the threads do; none is ever less than before.

        Args:
            threads: those of now, as `camera_threads` gives them.
        """
        now = {}
        for native_id, what in threads.items():
            seconds = thread_cpu_s(native_id)
            if seconds is not None:
                now[native_id] = what, seconds
        for native_id, (what, before) in self._seen.items():
            if native_id not in now or now[native_id][1] < before:  # ended, or its number was given away
                self._ended[what] = self._ended.get(what, 0.0) + before
        self._seen = now
        total = dict(self._ended)
        for what, seconds in now.values():
            total[what] = total.get(what, 0.0) + seconds
        return total


def rss_bytes() -> int:
    """Give the resident memory of this process; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


def memory_left_bytes() -> int | None:
    """Give the memory that programs can still have; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def usable_cores() -> list[int]:
    """Give the CPU cores that this process may use, by number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def allow_many_files() -> None:
    """Allow as many open files as the system does: a camera takes a few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
