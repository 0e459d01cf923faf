"""Which frames are worth the detector: by rate, and, where a site wants it, by motion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from detector.errors import WrongUse
from detector.types import Image
from ingest.types import Frame

ROUNDING_S = 0.0015
"""Containers round times to as little as 1 ms; a frame this early still belongs to its slot."""


class Rate:
    """Choose frames by their time, so that 29.97 fps, 12.5 fps and variable rates all give `fps` on average.

    Time is cut into slots of 1/fps from the first frame on; the first frame of every slot is due.

    >>> rate = Rate(5.0)
    >>> [i for i in range(13) if rate.due(i / 29.97)]
    [0, 6, 12]
    """

    def __init__(self, fps: float) -> None:
        """Take the wanted rate in frames per second.

        Raises:
            WrongUse: `fps` is not above zero.
        """
        if not (math.isfinite(fps) and fps > 0):
            raise WrongUse(f"fps is {fps}; give a number of frames per second above 0, such as 5.")
        self._interval_s = 1.0 / fps
        self._origin_s: float | None = None
        self._slot = -1

    def due(self, seconds: float) -> bool:
        """Say whether the frame at `seconds` (any origin, increasing) is the first of its slot."""
        if self._origin_s is None:
            self._origin_s = seconds
        slot = math.floor((seconds - self._origin_s + ROUNDING_S) / self._interval_s)
        if slot <= self._slot:
            return False
        self._slot = slot
        return True


class Gate(Protocol):
    """Say whether a frame is worth the detector."""

    def admit(self, frame: Frame) -> bool:
        """Say whether the detector shall see `frame`."""
        ...


class EveryFrame:
    """Admit all: the rate was kept by the source. The default."""

    def admit(self, frame: Frame) -> bool:  # noqa: ARG002 - the protocol's argument
        """Admit."""
        return True


class MotionGate:
    """Admit what differs from the last admitted frame, and one frame every `force_s` in any case.

    The picture is compared as a grey thumbnail of 160 x 90: 0.05 ms a frame.

    Args:
        share_min: share of thumbnail pixels that must differ, [0, 1].
        step: grey levels by which a pixel must differ.
        force_s: longest pause between two admitted frames; things at rest are seen again this often.
    """

    def __init__(self, share_min: float = 0.002, step: int = 18, force_s: float = 2.0) -> None:
        self._share_min = share_min
        self._step = step
        self._force = timedelta(seconds=force_s)
        self._last: npt.NDArray[np.int16] | None = None
        self._last_at: datetime | None = None

    def admit(self, frame: Frame) -> bool:
        """Say whether `frame` differs enough, or enough time has passed."""
        thumbnail = _thumbnail(frame.image)
        if self._last is not None and self._last_at is not None and frame.at - self._last_at < self._force:
            changed = np.abs(thumbnail - self._last) > self._step
            if float(changed.mean()) < self._share_min:
                return False
        self._last, self._last_at = thumbnail, frame.at
        return True


def _thumbnail(image: Image) -> npt.NDArray[np.int16]:
    small = cv2.resize(image, (160, 90), interpolation=cv2.INTER_AREA)
    grey: npt.NDArray[np.int16] = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.int16)
    return grey


KINDS: Mapping[str, Callable[[], Gate]] = {"every": EveryFrame, "motion": MotionGate}


def open_gate(kind: str = "every") -> Gate:
    """Give a new gate of this kind.

    Raises:
        WrongUse: there is no such kind.
    """
    if kind not in KINDS:
        raise WrongUse(f"There is no gate {kind!r}; choose one of {', '.join(KINDS)}.")
    return KINDS[kind]()
