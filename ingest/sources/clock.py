"""From presentation times to seconds and to wall-clock time (pure: the caller says what time it is)."""

from __future__ import annotations

from fractions import Fraction

NOMINAL_FPS = 25.0
CAMERA_DRIFT = 100e-6
"""Camera clocks are quartz: up to about 100 ppm wrong."""


REORDER_S = 2.0
"""Pictures come in decoding order; one shown this much before the last is no longer of that order."""
EARLY_S = 0.015
"""A frame that comes this much earlier than any before belongs to a burst."""


def clock_error_s(start_us: int | None, raw_s: float, arrived_s: float) -> float | None:
    """Give a camera's clock less ours; None: it does not tell the time.

    The camera's time is that of RTCP sender reports: FFmpeg keeps the first of a connection as the wall clock
    of presentation time 0. So a clock that is set later shows with the next connection, and the way here
    (coding, network) counts as being behind: tenths of a second.

    Args:
        start_us: `start_time_realtime`, microseconds since 1970; None: no report yet. Before 1970: the camera
            counts from when it was switched on, as RFC 3550 allows.
        raw_s: presentation time of a picture.
        arrived_s: when it arrived, seconds since the epoch.

    >>> clock_error_s(1_700_000_000_000_000, raw_s=2.0, arrived_s=1_700_000_000.0)
    2.0
    """
    if start_us is None or start_us <= 0:
        return None
    return start_us / 1e6 + raw_s - arrived_s


class StreamClock:
    """Seconds since the first frame of a stream, increasing; survives missing and backward times.

    A frame without a time, or with one that is not later than the last, is put one nominal frame after it.
    """

    def __init__(self, nominal_fps: float | None) -> None:
        self._step_s = 1.0 / (nominal_fps or NOMINAL_FPS)
        self._origin_s: float | None = None
        self._last_s: float | None = None
        self.guessed = 0

    def seconds(self, pts: int | None, time_base: Fraction | None) -> float:
        """Give the time of the next frame.

        Args:
            pts: presentation time in units of `time_base`, or None.
            time_base: seconds per unit, or None.
        """
        raw = None if pts is None or time_base is None else float(pts * time_base)
        if self._last_s is None:
            self._last_s = 0.0
            self._origin_s = raw
            return 0.0
        following = self._last_s + self._step_s
        if raw is not None and self._origin_s is None:
            self._origin_s = raw - following
        now = following if raw is None or self._origin_s is None else raw - self._origin_s
        if raw is None or now <= self._last_s:
            self.guessed += 1
            now = following
        self._last_s = now
        return now


class PacketClock:
    """Seconds since the first picture of a file, for coded pictures in decoding order.

    Where a recording was joined and its times start again, they go on a frame after the last.

    >>> clock = PacketClock(25.0)
    >>> coming = ((7, True), (15, False), (11, False), (0, True))
    >>> [round(clock.seconds(pts, Fraction(1, 100), key=key), 2) for pts, key in coming]
    [0.0, 0.08, 0.04, 0.12]
    """

    def __init__(self, nominal_fps: float | None) -> None:
        self._step_s = 1.0 / (nominal_fps or NOMINAL_FPS)
        self._origin_s: float | None = None
        self._latest_s = 0.0

    def seconds(self, pts: int, time_base: Fraction, *, key: bool) -> float:
        """Give when a picture is shown."""
        raw_s = float(pts * time_base)
        if self._origin_s is None:
            self._origin_s = raw_s
        elif key and raw_s - self._origin_s <= self._latest_s:
            self._origin_s = raw_s - self._latest_s - self._step_s
        now = raw_s - self._origin_s
        self._latest_s = max(self._latest_s, now)
        return now


class LiveClock:
    """Wall-clock time of live frames, by the stream's own clock: arrival jitter does not reach dwell times.

    Time of a frame = its presentation time + offset, where the offset is the smallest (arrival - presentation
    time) seen on this connection: the frame that was delayed least. The offset may rise by `CAMERA_DRIFT`, so
    a slow camera clock is followed and a fast one as well; network or decoder backlog is not taken for time.
    A frame never comes before the last one, over reconnects too.

    `settled` is false while frames come faster than they were taken: old ones, from the last key frame on.
    """

    def __init__(self, step_s: float = 0.001) -> None:
        self._step_s = step_s
        self._offset_s: float | None = None
        self._raw_s: float | None = None
        self._last_s: float | None = None
        self.lag_s = 0.0
        self.settled = False

    def connected(self) -> None:
        """Forget the offset: a new connection counts presentation times anew."""
        self._offset_s = None
        self._raw_s = None
        self.settled = False

    def seconds(self, raw_s: float | None, arrived_s: float) -> float:
        """Give the frame's time in the scale of `arrived_s`.

        Args:
            raw_s: presentation time in seconds, any origin, or None where the stream gives none.
            arrived_s: wall-clock time of arrival, seconds since the epoch.
        """
        if raw_s is None:
            return self._monotone(arrived_s)
        if self._raw_s is not None and raw_s < self._raw_s:
            self._offset_s = None
        if self._offset_s is None or self._raw_s is None:
            self._offset_s = arrived_s - raw_s
            self.settled = False
        else:
            drifted = self._offset_s + CAMERA_DRIFT * (raw_s - self._raw_s)
            self._offset_s = min(drifted, arrived_s - raw_s)
            self.settled = drifted - self._offset_s < EARLY_S
        self._raw_s = raw_s
        self.lag_s = arrived_s - raw_s - self._offset_s
        return self._monotone(raw_s + self._offset_s)

    def packet_seconds(self, raw_s: float, arrived_s: float) -> float:
        """Give a coded picture's time; those that come in decoding order may lie before the last one.

        Args: as `seconds`.
        """
        late = self._raw_s is not None and self._raw_s - REORDER_S < raw_s <= self._raw_s
        if late and self._offset_s is not None:
            return raw_s + self._offset_s
        return self.seconds(raw_s, arrived_s)

    def _monotone(self, seconds: float) -> float:
        if self._last_s is not None:
            seconds = max(seconds, self._last_s + self._step_s)
        self._last_s = seconds
        return seconds
