"""What is wrong with a camera, told from what it sends: a state and one sentence."""

from __future__ import annotations

from collections.abc import Mapping

from ingest.fleet.status import CameraState
from ingest.sources import Source

SILENT_S = 5.0
"""A connected camera that sent no picture for so long is called silent."""
START_S = 10.0
"""A camera may take so long to its first picture before that is called a fault."""
GARBAGE_PER_S = 0.5
"""So many packets a second that cannot be decoded are a fault worth a sentence."""
FLOOD_FPS = 40.0
"""More frames a second than any street needs; decoding them is what costs."""


class Look:
    """When a camera last sent something, as seen from outside.

    Args:
        since: monotonic seconds of the connection's beginning.
    """

    def __init__(self, since: float) -> None:
        self.since = since
        self._frames: int | None = None
        self._came: float | None = None

    def note(self, now: float, frames: int) -> None:
        """Take the number of frames received so far."""
        if self._frames is not None and frames > self._frames:
            self._came = now
        self._frames = frames

    def age_s(self, now: float) -> float | None:
        """Give the seconds since a frame last came; None before the first."""
        return None if self._came is None else now - self._came

    def quiet_s(self, now: float) -> float:
        """Give the seconds without a frame, counted from the beginning where there was none."""
        return now - max(self.since, self._came or self.since)


def judge(
    look: Look, now: float, source: Source, rates: Mapping[str, float], fps_site: float, fps_promised: float
) -> tuple[CameraState, str]:
    """Give state and fault of a camera whose pipeline runs.

    Args:
        look: when it last sent something.
        now: monotonic seconds.
        source: what it is read with.
        rates: frames "in", frames "analysed" and "undecodable" packets, per second.
        fps_site: analysed rate that the site file wants.
        fps_promised: the one it gets.
    """
    quiet_s = look.quiet_s(now)
    garbage = rates["undecodable"] >= GARBAGE_PER_S
    if source.live:
        if garbage and rates["in"] == 0:
            packets = rates["undecodable"]
            return CameraState.SILENT, f"sends data that cannot be decoded ({packets:.0f} packets a second)."
        if not source.status.connected:
            if look.age_s(now) is None and quiet_s < START_S:
                return CameraState.STARTING, ""
            return (
                CameraState.RECONNECTING,
                f"no connection for {quiet_s:.0f} s; it is called again and again.",
            )
        if quiet_s > SILENT_S:
            return CameraState.SILENT, f"connected, but no picture for {quiet_s:.0f} s."
    fault = ""
    if garbage:
        fault = f"{rates['undecodable']:.0f} packets a second cannot be decoded."
    elif source.live and rates["in"] > FLOOD_FPS:
        fault = f"sends {rates['in']:.0f} frames a second, which all must be decoded; lower its rate."
    if fps_promised < 0.999 * fps_site:
        short = (
            f"analysed at {fps_promised:.2g} instead of {fps_site:.2g} frames a second: the machine is full."
        )
        return CameraState.DEGRADED, f"{fault} {short}".strip()
    return CameraState.RUNNING, fault
