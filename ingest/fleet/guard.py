"""Keep a camera that costs far more than the others from slowing them: it gets what they leave."""

from __future__ import annotations

import logging
import os
import statistics
from collections.abc import Mapping

log = logging.getLogger(__name__)

TIMES = 3.0
"""A camera that takes so many times the median of the others stands out,"""
CORES_MIN = 0.25
"""if it also takes so much of a core."""
FULL = 0.9
"""It is held back while the process uses so much of its cores."""
NICE = 15


def outliers(cores: Mapping[str, float]) -> dict[str, float]:
    """Give the cameras that take far more than the others, each with how many times the others' median.

    Args:
        cores: cores that each camera's own threads take.

    >>> outliers({"a": 0.1, "b": 0.1, "flood": 0.8})
    {'flood': 8.0}
    """
    found = {}
    for name, taken in cores.items():
        others = [value for other, value in cores.items() if other != name]
        usual = statistics.median(others) if others else taken
        if taken >= CORES_MIN and taken >= TIMES * usual:
            found[name] = round(taken / usual, 1) if usual > 0 else float("inf")
    return found


class Guard:
    """Lower the priority of outliers' threads while there is too little for all, and raise it again."""

    def __init__(self) -> None:
        self.held: dict[str, float] = {}
        self._niced: set[int] = set()

    def keep(
        self, cores: Mapping[str, float], threads: Mapping[str, list[int]], used: float, may: float
    ) -> None:
        """Look at the last seconds and act.

        Args:
            cores: cores that each camera's own threads take.
            threads: the kernel's numbers of each camera's threads.
            used: cores this process uses.
            may: cores it may use.
        """
        found = outliers(cores) if used >= FULL * may else {}
        if not found and self.held and used > 0.8 * may:
            found = {name: times for name, times in self.held.items() if name in cores}
        for name in found.keys() - self.held.keys():
            log.warning(
                "%s takes %.1f times as much as the others and gets what they leave", name, found[name]
            )
        self.held = found
        wanted = {number for name in found for number in threads.get(name, ())}
        for number in wanted - self._niced:
            self._nice(number, NICE)
        for number in self._niced - wanted:
            self._nice(number, 0)
        self._niced = wanted

    @staticmethod
    def _nice(number: int, value: int) -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, number, value)  # on Linux the number may be a thread's
        except OSError as error:  # ended meanwhile, or we may not raise it again
            log.debug("priority of thread %d: %s", number, error.strerror)
