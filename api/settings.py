"""What a person may set about reviewing, sending and sizes. Values only; `api.server` reads them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, get_args

from api.types import ALWAYS_REVIEWED, AUTO
from detector.errors import WrongUse
from ingest.report import CaseReport, Kind

KINDS: Final[tuple[str, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class AutoConfirm:
    """Confirm reports of one kind without a person, from a confidence on."""

    kind: str
    score_min: float = 0.0

    def covers(self, report: CaseReport) -> bool:
        """Say whether this report is confirmed without a person."""
        return report.kind == self.kind and report.confidence >= self.score_min

    @property
    def reason(self) -> str:
        """Give the reason that the history shows."""
        return f"{AUTO}-confirm {self.kind}:{self.score_min:g}"


def parse_auto_confirm(words: Iterable[str]) -> tuple[AutoConfirm, ...]:
    """Read `KIND[:SCORE]` words.

    >>> parse_auto_confirm(["illegal_parking:0.8"])
    (AutoConfirm(kind='illegal_parking', score_min=0.8),)

    Raises:
        WrongUse: no such kind, a score that is none, or a kind that a person always reviews.
    """
    return tuple(_auto_confirm(word) for word in words)


def _auto_confirm(word: str) -> AutoConfirm:
    kind, colon, score_text = word.partition(":")
    if kind in ALWAYS_REVIEWED:
        raise WrongUse(f"{kind} cannot be confirmed automatically: it is always reviewed by a person.")
    if kind not in KINDS:
        raise WrongUse(f"there is no kind {kind!r} to confirm automatically; there are {', '.join(KINDS)}.")
    try:
        score = float(score_text) if colon else 0.0
    except ValueError:
        score = math.nan
    if not 0.0 <= score <= 1.0:
        raise WrongUse(f"the score in {word!r} has to be a number from 0 to 1.")
    return AutoConfirm(kind, score)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a body may be, and how long a sender may be silent in the middle of one."""

    json_bytes: int = 1024 * 1024
    evidence_bytes: int = 256 * 1024 * 1024
    idle_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how fast something is sent again: full jitter under a doubling, capped ceiling."""

    base_s: float = 1.0
    cap_s: float = 600.0
    attempts_max: int = 120
    lease_s: float = 60.0
    retry_after_cap_s: float = 3600.0

    def delay_s(self, attempt: int, chance: float, retry_after_s: float | None = None) -> float:
        """Give the pause after the n-th failed attempt (from 1); `chance` in [0, 1) is the jitter.

        >>> Retry(base_s=2.0, cap_s=60.0).delay_s(3, 0.5)
        6.0
        >>> Retry().delay_s(1, 0.0, retry_after_s=30.0)
        30.0

        Source: M. Brooker, Exponential Backoff And Jitter, 2015. At least half the ceiling is waited.
        """
        ceiling = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 32))
        pause = ceiling * (0.5 + chance / 2.0)
        if retry_after_s is None:
            return pause
        return max(pause, min(retry_after_s, self.retry_after_cap_s))
