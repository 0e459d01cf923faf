"""Find the camera that brings its worker down, so that the others are watched again. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

RECENT_S = 600.0
"""Ends of workers that are further back are forgotten."""
FALLS = 2
"""From so many on, the cameras of a worker that ended are suspects: they are watched again one at a time."""
APART_S = 10.0
"""A suspect is taken for innocent when its worker has lived for so long with it."""
BLAMED = 2
"""A camera whose worker ended so often shortly after it came to it is held back,"""
HELD_S = 600.0
"""for so long."""


@dataclass(slots=True)
class Suspects:
    """Which cameras may be watched now, after what became of the workers that watched them.

    >>> suspects = Suspects()
    >>> for now in (0.0, 5.0):
    ...     suspects.fell({"a", "b"}, now)
    >>> suspects.may_start("a", 6.0), suspects.may_start("b", 6.0), suspects.may_start("b", 16.0)
    (True, False, True)
    """

    _falls: dict[str, list[float]] = field(default_factory=dict)
    _blamed: dict[str, list[float]] = field(default_factory=dict)
    _trial: tuple[str, float] | None = None

    def fell(self, cameras: Collection[str], now: float) -> None:
        """Hear that a worker ended by itself while it watched these cameras."""
        for camera_id in cameras:
            self._falls[camera_id] = [*_recent(self._falls.get(camera_id, []), now), now]
        if self._trial and self._trial[0] in cameras and now - self._trial[1] < APART_S:
            blamed = self._trial[0]
            self._blamed[blamed] = [*_recent(self._blamed.get(blamed, []), now), now]
            for camera_id in cameras:
                if camera_id != blamed:
                    self._falls.pop(camera_id, None)
        self._trial = None

    def held_back(self, camera_id: str, now: float) -> str | None:
        """Give the sentence why a camera is not watched for now, None: it may be."""
        blamed = self._blamed.get(camera_id, [])
        if len(blamed) < BLAMED or now - blamed[-1] > HELD_S:
            return None
        return (
            f"its worker process ended {len(blamed)} times shortly after it began to watch it; "
            f"it is tried again in {max(0.0, HELD_S - (now - blamed[-1])) / 60:.0f} minutes"
        )

    def may_start(self, camera_id: str, now: float) -> bool:
        """Say whether a camera may be given to a worker now; a suspect takes its turn by that."""
        if len(_recent(self._falls.get(camera_id, []), now)) < FALLS:
            return True
        if self._trial is not None and now - self._trial[1] < APART_S:
            return False
        if self._trial is not None:  # its worker has lived with it for long enough
            self._falls.pop(self._trial[0], None)
            if self._trial[0] == camera_id:
                return True
        self._trial = camera_id, now
        return True

    def forget(self, camera_id: str) -> None:
        """Drop what is known of a camera that is removed or changed."""
        self._falls.pop(camera_id, None)
        self._blamed.pop(camera_id, None)


def _recent(times: Collection[float], now: float) -> list[float]:
    return [at for at in times if now - at < RECENT_S]
