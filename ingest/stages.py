"""Where a camera's time goes: seconds and counts by stage, for status and benchmarks."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from types import TracebackType
from typing import Self


class StageClock:
    """Wall-clock seconds and number of runs by stage; safe from many threads, about a microsecond a run.

    >>> stages = StageClock()
    >>> with stages.span("decode"):
    ...     pass
    >>> stages.counts()
    {'decode': 1}
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = defaultdict(float)
        self._counts: Counter[str] = Counter()
        self._laps: dict[str, tuple[float, float]] = {}

    def add(self, stage: str, seconds: float, times: int = 1) -> None:
        """Count `seconds` spent in `times` runs of a stage that ended just now."""
        ended = time.perf_counter()
        with self._lock:
            self._seconds[stage] += seconds
            self._counts[stage] += times
            self._laps[stage] = ended - seconds, ended

    def span(self, stage: str) -> Span:
        """Count what happens in a `with` block."""
        return Span(self, stage)

    def seconds(self) -> dict[str, float]:
        """Give the seconds by stage, summed."""
        with self._lock:
            return dict(self._seconds)

    def counts(self) -> dict[str, int]:
        """Give how often each stage ran."""
        with self._lock:
            return dict(self._counts)

    def laps(self) -> dict[str, tuple[float, float]]:
        """Give begin and end of the last run of each stage, seconds of `time.perf_counter`."""
        with self._lock:
            return dict(self._laps)


class Span:
    """One run of a stage."""

    __slots__ = ("_began", "_clock", "_stage")

    def __init__(self, clock: StageClock, stage: str) -> None:
        self._clock, self._stage = clock, stage

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clock.add(self._stage, time.perf_counter() - self._began)
