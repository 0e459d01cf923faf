"""Who is analysed how often when there is not enough for all: max-min fair, and steady. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

RAISE_AFTER_S = 15.0
"""There must have been room for so long before rates rise."""
RAISE_BY = 0.1
"""And by so much of the present level it must pay; smaller gains are not worth the restlessness."""

SWINGS_S = 600.0
"""Time constant of what is known of how a load swings."""
LOWER_BY = 0.03
"""An excess of so little is left alone: what may be used is less than what there is."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one camera wants and costs.

    Args:
        fps: analysed frames per second that its site file wants.
        fps_min: the lower rate it declares; it never gets less.
        fixed: cores that it takes whatever the rate: receiving, decoding, what is looked at anyway.
        per_frame: CPU seconds for each frame that the rate promises: those of an analysed one, times the
            share that is analysed.
    """

    fps: float
    fps_min: float
    fixed: float = 0.0
    per_frame: float = 0.0

    def at(self, level: float) -> float:
        """Give the rate at a common level: the level, but within what the camera wants and declares."""
        return min(self.fps, max(min(self.fps_min, self.fps), level))

    def cost(self, fps: float) -> float:
        """Give the cores that it takes at a rate."""
        return self.fixed + self.per_frame * fps


def level_of(demands: Mapping[str, Demand], capacity: float) -> float:
    """Give the highest common level of analysed frames per second at which all cameras fit, by water-filling.

    Whoever wants less than the level gets what it wants, whoever declares a higher lower rate keeps that, all
    others get the level. Where not even the lower rates fit, the level is 0: nobody falls below its own.

    Args:
        demands: by camera.
        capacity: cores that may be used.

    >>> level_of({"a": Demand(5, 1, per_frame=0.1), "b": Demand(2, 1, per_frame=0.1)}, capacity=0.6)
    4.0
    """
    steps = sorted({0.0, *(rate for demand in demands.values() for rate in (demand.at(0.0), demand.fps))})
    lower, used = steps[0], _used(demands, steps[0])
    if used > capacity:
        return 0.0
    for upper in steps[1:]:  # between two steps the load grows in a straight line
        full = _used(demands, upper)
        if full > capacity:
            return lower + (upper - lower) * (capacity - used) / (full - used)
        lower, used = upper, full
    return lower


def _used(demands: Mapping[str, Demand], level: float) -> float:
    return sum(demand.cost(demand.at(level)) for demand in demands.values())


def rates_of(demands: Mapping[str, Demand], level: float) -> dict[str, float]:
    """Give each camera's rate at a level, frames per second."""
    return {camera_id: demand.at(level) for camera_id, demand in demands.items()}


@dataclass(slots=True)
class Swings:
    """By how much a load swings about its mean: so much is kept free, or rates would fall again and again.

    >>> swings = Swings()
    >>> for second in range(600):
    ...     swings.note(recent=0.8 + 0.1 * (-1) ** (second // 30), lasting=0.8, now_s=second)
    >>> round(swings.cores, 2)
    0.1
    """

    _square: float = 0.0
    _past_s: float = 0.0
    _at_s: float | None = None

    def note(self, recent: float, lasting: float, now_s: float) -> None:
        """Take a load over half a minute, and over several, cores; `now_s`: seconds of any steady clock."""
        past_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        self._past_s = min(SWINGS_S, self._past_s + past_s)
        if self._past_s > 0:
            self._square += past_s / self._past_s * ((recent - lasting) ** 2 - self._square)

    @property
    def cores(self) -> float:
        """Root of the mean square."""
        return math.sqrt(self._square)


@dataclass(slots=True)
class Governor:
    """Keeps the level steady: it falls at once when there is too little, and rises late, by a step worth it.

    `level`: the one in force, None while everybody gets what it wants.
    """

    level: float | None = None
    _room_since_s: float | None = None

    def decide(
        self, demands: Mapping[str, Demand], capacity: float, now_s: float, most: float | None = None
    ) -> dict[str, float]:
        """Give the rates from now on.

        Args:
            demands: by camera, as measured.
            capacity: cores that may be used.
            now_s: seconds of any steady clock.
            most: cores above which rates fall; None: little more than `capacity`.
        """
        wanted = max((demand.fps for demand in demands.values()), default=0.0)
        present = wanted if self.level is None else self.level
        target = level_of(demands, capacity)
        most = capacity * (1 + LOWER_BY) if most is None else most
        if target < present and _used(demands, present) > most:
            self.level, self._room_since_s = target, None
        elif self.level is not None and target >= min(present * (1 + RAISE_BY), wanted):
            if self._room_since_s is None:
                self._room_since_s = now_s
            elif now_s - self._room_since_s >= RAISE_AFTER_S:
                self.level = None if target >= wanted else target
                self._room_since_s = None
        else:
            self._room_since_s = None
        return rates_of(demands, wanted if self.level is None else self.level)
