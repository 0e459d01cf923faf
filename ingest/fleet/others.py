"""Cores that other programs take: what cameras may use follows it, slowly and by steps worth it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

MEMORY_S = 60.0
"""Time constant of the mean: a program that runs for seconds is no reason to refuse a camera."""
STEP = 0.1
"""Share of the cores by which the mean must have moved before anything changes."""
LEAST = 0.5
"""Share of what cameras may use that is reckoned with whatever others do: the kernel shares cores out fairly,
and on a full core nobody can tell what others would leave if cameras asked for more."""


@dataclass(slots=True)
class Others:
    """What other programs use where one worker computes.

    `used`: cores, as they are reckoned with; 0 until they have been used for a while.

    >>> others = Others()
    >>> for second in range(0, 300, 2):
    ...     others.note(0.9, cores=2.0, now_s=second)
    >>> 0.7 < others.used < 0.9
    True
    """

    used: float = 0.0
    _mean: float = 0.0  # of what is measured, which may be less than nothing: clocks are read apart
    _at_s: float | None = None

    def note(self, taken: float, cores: float, now_s: float) -> None:
        """Take what they used since the last time.

        Args:
            taken: cores in use that no camera's worker used; below 0 where that was measured.
            cores: of the worker.
            now_s: seconds of any steady clock.
        """
        past_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        self._mean += (1.0 - math.exp(-past_s / MEMORY_S)) * (min(max(-cores, taken), cores) - self._mean)
        if abs(max(0.0, self._mean) - self.used) >= STEP * cores:
            self.used = round(max(0.0, self._mean), 2)


def cores_left(cap: float, cores: float, others: float) -> float:
    """Give the cores that cameras may use beside other programs.

    The part of its cores that a worker never uses (1 - max_load) is what others get first.

    Args:
        cap: that they may use where nobody else wants any.
        cores: that the worker has, or its part of one.
        others: that other programs use.

    >>> cores_left(1.7, 2.0, 0.2), cores_left(1.7, 2.0, 0.9), cores_left(1.7, 2.0, 2.0)
    (1.7, 1.1, 0.85)
    """
    return max(min(cap, cores - others), LEAST * cap)
