"""A camera's counters over all the connections it has had, and rates over the last seconds."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

WINDOW_S = 5.0
"""Rates are those of so long."""


@dataclass(slots=True)
class Tally:
    """What was counted; see `ingest.fleet.status.CameraStatus` for the meaning of each."""

    frames_in: int = 0
    analysed: int = 0
    reconnects: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    stage_s: Counter[str] = field(default_factory=Counter)
    stage_n: Counter[str] = field(default_factory=Counter)
    ages: Counter[str] = field(default_factory=Counter)
    lags: Counter[str] = field(default_factory=Counter)

    def plus(self, other: Tally) -> Tally:
        """Give the sum of two."""
        return Tally(
            self.frames_in + other.frames_in,
            self.analysed + other.analysed,
            self.reconnects + other.reconnects,
            _sum(self.dropped, other.dropped),
            _sum(self.events, other.events),
            _sum(self.stage_s, other.stage_s),
            _sum(self.stage_n, other.stage_n),
            _sum(self.ages, other.ages),
            _sum(self.lags, other.lags),
        )


def _sum(one: Counter[str], other: Counter[str]) -> Counter[str]:
    total = Counter(one)
    total.update(other)
    return total


class Rates:
    """How fast some numbers grow, per second, over the last `window_s`.

    >>> rates = Rates(window_s=5.0)
    >>> rates.note(0.0, {"frames": 0}), rates.note(4.0, {"frames": 100})
    ({'frames': 0.0}, {'frames': 25.0})
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, Mapping[str, float]]] = deque()

    def note(self, at_s: float, numbers: Mapping[str, float]) -> dict[str, float]:
        """Take the numbers of now and give their growth per second; 0 for what was not known before.

        Args:
            at_s: seconds of any steady clock.
            numbers: by name; each only grows.
        """
        self._samples.append((at_s, numbers))
        while len(self._samples) > 2 and at_s - self._samples[1][0] >= self._window_s:
            self._samples.popleft()
        since_s, before = self._samples[0]
        past_s = at_s - since_s
        if past_s <= 0:
            return dict.fromkeys(numbers, 0.0)
        return {name: max(0.0, value - before.get(name, value)) / past_s for name, value in numbers.items()}
