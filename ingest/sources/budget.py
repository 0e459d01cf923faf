"""How much decoding a live camera may cost before it is decoded by its key frames only. Pure."""

from __future__ import annotations

WINDOW_S = 2.0
HOLD_S = 10.0, 120.0
"""First and longest time for which key frames only are decoded, before full decoding is tried again."""


class DecodeBudget:
    """Measure the share of a core over windows of 2 s, and say when it is too much.

    >>> budget = DecodeBudget(share_max=0.5)
    >>> [budget.over(now, cpu_s=0.8 * now) for now in (0.0, 1.0, 2.0, 3.0, 12.5)]
    [False, False, True, True, False]
    """

    def __init__(self, share_max: float) -> None:
        """Take the share of one core that is allowed."""
        self._share_max = share_max
        self._window: tuple[float, float] | None = None
        self._until = 0.0
        self._hold_s = HOLD_S[0]
        self.share = 0.0

    def over(self, now: float, cpu_s: float) -> bool:
        """Say whether only key frames shall be decoded now.

        Args:
            now: seconds, any origin, increasing.
            cpu_s: CPU seconds that decoding has taken since the beginning.
        """
        if now < self._until:
            return True
        if self._window is None or self._until:
            self._window, self._until = (now, cpu_s), 0.0
            return False
        since, before = self._window
        if now - since < WINDOW_S:
            return False
        self.share = (cpu_s - before) / (now - since)
        self._window = now, cpu_s
        if self.share <= self._share_max:
            self._hold_s = HOLD_S[0]
            return False
        self._until = now + self._hold_s
        self._hold_s = min(2 * self._hold_s, HOLD_S[1])
        return True
