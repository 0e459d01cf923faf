"""How old pictures are when their analysis ends, counted by age for each camera, for status and figures."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from ingest.pipeline import Pipeline, Summary
from ingest.sources import Source, SourceStatus
from ingest.types import Frame

BOUNDS_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Upper ends of the classes of age; what is older counts under "inf"."""


class AgedPipeline(Pipeline):
    """A pipeline that notes the age of every picture of a live camera when its analysis has ended.

    The age runs from the picture's own time (`ingest.sources.clock.LiveClock`: when it would have come had
    nothing held it up), so that what waited in the network or in the kernel counts as well. A picture that
    was looked back on is as old as that makes it, whatever the load. How far the analysis is behind the
    camera is the lag: the same of the newest picture that had been taken by then. Pictures in which nobody
    looked, because they show what an earlier one did, have a lag and no age.

    Attributes:
        ages: class of age (see `class_of`) to number of pictures.
        lags: the same of lags.
    """

    def __post_init__(self) -> None:
        """Begin to count."""
        Pipeline.__post_init__(self)
        self.ages: Counter[str] = Counter()
        self.lags: Counter[str] = Counter()
        self._status: SourceStatus | None = None

    def run(self, source: Source) -> Summary:
        """As `Pipeline.run`."""
        self._status = source.status
        return Pipeline.run(self, source)

    def analyse(self, frame: Frame) -> None:
        """As `Pipeline.analyse`."""
        Pipeline.analyse(self, frame)
        if self.live:
            now = time.time()
            if not frame.carried:
                self.ages[class_of(now - frame.at.timestamp())] += 1
            if self._status is not None and self._status.taken_at_s is not None:
                self.lags[class_of(now - self._status.taken_at_s)] += 1


def class_of(age_s: float) -> str:
    """Give the class of an age: its upper end in seconds, or "inf".

    >>> class_of(0.07), class_of(1.0), class_of(60.0)
    ('0.1', '1', 'inf')
    """
    return next((f"{bound:g}" for bound in BOUNDS_S if age_s <= bound), "inf")


def share_within(ages: Mapping[str, int], age_s: float) -> float | None:
    """Give the share of the pictures that were at most so old, one of `BOUNDS_S`; None without pictures."""
    total = sum(ages.values())
    return sum(n for end, n in ages.items() if float(end) <= age_s + 1e-9) / total if total else None


def quantile(ages: Mapping[str, int], share: float) -> float | None:
    """Give the age that a share of the pictures did not exceed, seconds; None without pictures.

    Within a class ages are taken for evenly spread; above the last bound the answer is infinite.

    >>> quantile({"0.1": 90, "0.15": 10}, 0.95)
    0.125
    """
    total = sum(ages.values())
    if not total:
        return None
    left = share * total
    for lower, upper in pairwise((0.0, *BOUNDS_S, math.inf)):
        here = ages.get(f"{upper:g}", 0)
        if here and left <= here:
            return round(lower + (upper - lower) * left / here, 3) if math.isfinite(upper) else math.inf
        left -= here
    return math.inf
