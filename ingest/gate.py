"""Which frames are worth the detector: by rate, and, where a site wants it, by change.

How each gate could lose an event:

- `every` analyses every frame that is due. What begins and ends between two of them (0.2 s at 5 fps) is lost.
- `motion` decodes everything but analyses only frames that differ, and one every 2 s. What changes fewer
  pixels than it looks for (a thing smaller than 3 % of the frame's width by 6 % of its height, or of the
  ground's own grey) is seen up to 2 s late, and lost if it stays for less.
- `follow` compares the watched zones only, and decodes nothing but key frames while nothing changes in them.
  When one differs, what was kept since the key frame before is decoded, and everything after it until there
  is quiet, so what happened is seen with its true times. Lost is what begins *and* ends between two key
  frames and leaves the second like the first. What stands for a zone's dwell cannot do so while the dwell is
  longer than the distance of two key frames: a camera with a zone of a shorter dwell, or with key frames more
  than 3 s apart, is decoded in full. As with `motion`, a change too small to notice is seen at the next
  forced look, the key frame nearest to 2 s after the last.
- `lookback` looks at key frames only, however busy the street, and decodes what lies between two of them
  where they say that something came to rest or left (`ingest.sources.signs`). Lost as with `follow`; besides,
  what moves is seen in key frames alone: for rules that ask for more than standing, take `follow`. Of a thing
  whose coming changes too few pixels the start is late by up to the distance of two key frames, as is when
  somebody began to stand by a tricycle. Of the pictures looked back on only those around the moment in
  question are looked at: who leaves while something else hides the place has left by then, up to 2 s early.
  What comes or goes without changing one thumbnail pixel by 8 grey levels is seen at the next look at an
  unchanged picture, up to 10 s late. While nothing changes every other key frame is left undecoded, if
  those that are decoded are 4.2 s apart at most, and half a second less than the shortest dwell: what comes
  and goes between *them* and leaves the second like the first is lost, and what stays is known two key
  frames later at the latest, with its true start. Pictures looked back on are that old when they are
  analysed; when a dwell is reached, live cameras are looked at there and then. What has just come is taken
  to move on if its pixels lie elsewhere 0.1 s later, unless the camera was shaken
  (`ingest.sources.motion`): should that be wrong, it is found new in the next key frame, and its start is
  late by so much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from detector.errors import WrongUse
from ingest.types import Frame

ROUNDING_S = 0.0015
"""Containers round times to as little as 1 ms; a frame this early still belongs to its slot."""
FORCE_S = 2.0
"""Longest pause between two analysed frames; the rules take one over 4.5 s for a camera that was down."""
UNSETTLED_MAX = timedelta(seconds=4)
"""Things that do not come to rest are looked at for so long after the last change; then they flicker."""
THUMBNAIL_WH = (160, 90)
THINNED_WH = (640, 360)
STEP = 14
"""Grey levels by which a thumbnail's pixel must differ: above an encoder's breathing, below most cars."""
PIXELS_MIN = 5
"""Pixels of the thumbnail that must differ: 1.5 % by 2.5 % of the frame."""
STILL_STEP, STILL_PIXELS = 8, 1
"""A picture that differs less than this from one that was looked at shows the same."""

Thumbnail: TypeAlias = npt.NDArray[np.uint8]
"""uint8 (90, 160), the frame in grey."""
Polygons: TypeAlias = Iterable[Sequence[tuple[float, float]]]
"""Corners as fractions of frame width and height."""


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
        self._interval_s = _interval_s(fps)
        self._origin_s: float | None = None
        self._slot = -1

    @property
    def fps(self) -> float:
        """Frames per second."""
        return 1.0 / self._interval_s

    def change(self, fps: float) -> None:
        """Choose at another rate from the next frame on; safe from another thread.

        Raises:
            WrongUse: `fps` is not above zero.
        """
        interval_s = _interval_s(fps)
        if interval_s != self._interval_s:
            self._interval_s, self._origin_s, self._slot = interval_s, None, -1

    def due(self, seconds: float) -> bool:
        """Say whether the frame at `seconds` (any origin, increasing) is the first of its slot."""
        if self._origin_s is None:
            self._origin_s = seconds
        slot = self._slot_of(seconds)
        if slot <= self._slot:
            return False
        self._slot = slot
        return True

    def awaits(self, seconds: float) -> bool:
        """Say what `due` would, without taking the slot."""
        return self._slot_of(seconds) > self._slot

    def next_s(self, seconds: float) -> float:
        """Give when the slot after that of `seconds` begins, in the same scale."""
        origin_s = seconds if self._origin_s is None else self._origin_s
        return origin_s + (self._slot_of(seconds) + 1) * self._interval_s

    def slots(self, since_s: float, until_s: float) -> int:
        """Give how many frames are due in a stretch of time, at least 0."""
        return max(0, round((until_s - since_s) / self._interval_s))

    def _slot_of(self, seconds: float) -> int:
        origin_s = seconds if self._origin_s is None else self._origin_s  # the first that is due begins it
        return math.floor((seconds - origin_s + ROUNDING_S) / self._interval_s)


def _interval_s(fps: float) -> float:
    if not (math.isfinite(fps) and fps > 0):
        raise WrongUse(f"fps is {fps}; give a number of frames per second above 0, such as 5.")
    return 1.0 / fps


class ChangeWatch:
    """Say whether anything that matters changed since the frame that was analysed last.

    Args:
        watched: polygons outside of which nothing matters; none: all of the frame matters.
        pixels_min: thumbnail pixels that must differ. step: grey levels by which.

    >>> watch = ChangeWatch([[(0, 0), (0.5, 0), (0.5, 1), (0, 1)]])
    >>> black, right = np.zeros((90, 160), np.uint8), np.zeros((90, 160), np.uint8)
    >>> right[:, 100:] = 255
    >>> watch.take(black)
    >>> watch.differs(right), watch.differs(255 - black)
    (False, True)
    """

    def __init__(self, watched: Polygons = (), *, pixels_min: int = PIXELS_MIN, step: int = STEP) -> None:
        self._mask = _mask_of(watched)
        self._pixels_min, self._step = pixels_min, step
        self._reference: Thumbnail | None = None

    def stricter(self) -> ChangeWatch:
        """Give one that says of the same places whether anything at all has changed in them."""
        watch = ChangeWatch(pixels_min=STILL_PIXELS, step=STILL_STEP)
        watch._mask = self._mask
        return watch

    def differs(self, thumbnail: Thumbnail) -> bool:
        """Say whether a frame differs from the reference; the first one does."""
        if self._reference is None:
            return True
        _, changed = cv2.threshold(
            cv2.absdiff(thumbnail, self._reference), self._step, 255, cv2.THRESH_BINARY
        )
        if self._mask is not None:
            changed = cv2.bitwise_and(changed, self._mask)
        return int(cv2.countNonZero(changed)) >= self._pixels_min

    def take(self, thumbnail: Thumbnail) -> None:
        """Make a frame the reference: it is being analysed."""
        self._reference = thumbnail


def _mask_of(watched: Polygons) -> Thumbnail | None:
    """Draw the polygons, a pixel wider all round; None: all of the frame."""
    polygons = [np.round(np.array(polygon) * (160 - 1, 90 - 1)).astype(np.int32) for polygon in watched]
    if not polygons:
        return None
    mask = np.zeros((THUMBNAIL_WH[1], THUMBNAIL_WH[0]), np.uint8)
    for corners in polygons:
        cv2.fillPoly(mask, [corners], 255)
        cv2.polylines(mask, [corners], isClosed=True, color=255, thickness=3)
    return mask


def thumbnail_of(frame: Frame) -> Thumbnail:
    """Give a frame in grey, small enough to compare."""
    picture = frame.picture
    return shrunk(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY) if picture is None else picture.luma())


def shrunk(luma: npt.NDArray[np.uint8]) -> Thumbnail:
    """Make brightness of any size, uint8 (H, W), small.

    Large pictures are thinned out first: half the time, and every pixel is still a mean of sixteen.
    """
    if luma.shape[1] > THINNED_WH[0] and luma.shape[0] > THINNED_WH[1]:
        luma = np.asarray(cv2.resize(luma, THINNED_WH, interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.resize(luma, THUMBNAIL_WH, interpolation=cv2.INTER_AREA), np.uint8)


class Gate(Protocol):
    """Say whether a frame is worth the detector."""

    def admit(self, frame: Frame) -> bool:
        """Say whether the detector shall see `frame`."""
        ...

    def attend(self, *, unsettled: bool) -> None:
        """Hear whether something in a watched zone moves, has just come or is missed: skip nothing then."""
        ...


class EveryFrame:
    """Admit all: the source has chosen already."""

    def admit(self, frame: Frame) -> bool:  # noqa: ARG002 - the protocol's argument
        """Admit."""
        return True

    def attend(self, *, unsettled: bool) -> None:
        """Skip nothing anyway."""


class MotionGate:
    """Admit what differs from the last admitted frame, and one frame every `force_s` in any case.

    While something is unsettled everything is admitted, for up to 4 s after the last change: a thing that has
    stopped must be seen to stand.

    Args:
        share_min: share of thumbnail pixels that must differ, [0, 1].
        step: grey levels by which a pixel must differ.
        force_s: longest pause between two admitted frames; things at rest are seen again this often.
    """

    def __init__(self, share_min: float = 0.002, step: int = 18, force_s: float = FORCE_S) -> None:
        pixels = math.ceil(share_min * THUMBNAIL_WH[0] * THUMBNAIL_WH[1])
        self._watch = ChangeWatch(pixels_min=pixels, step=step)
        self._force = timedelta(seconds=force_s)
        self._last_at: datetime | None = None
        self._changed_at: datetime | None = None
        self._unsettled = False

    def attend(self, *, unsettled: bool) -> None:
        """Skip nothing while something moves."""
        self._unsettled = unsettled

    def admit(self, frame: Frame) -> bool:
        """Say whether `frame` differs enough, or enough time has passed."""
        thumbnail = thumbnail_of(frame)
        changed = self._watch.differs(thumbnail)
        if changed or self._changed_at is None:
            self._changed_at = frame.at
        waiting = self._unsettled and frame.at - self._changed_at < UNSETTLED_MAX
        rested = self._last_at is not None and frame.at - self._last_at < self._force
        if rested and not changed and not waiting:
            return False
        self._watch.take(thumbnail)
        self._last_at = frame.at
        return True


KINDS: Mapping[str, Callable[[], Gate]] = {
    "auto": EveryFrame,
    "every": EveryFrame,
    "motion": MotionGate,
    "follow": EveryFrame,
    "lookback": EveryFrame,
}
"""What the pipeline asks. `follow` and `lookback` are the source's work (`ingest.sources.decoding` and
`scouting`), for they save decoding; `auto` is `lookback` for live cameras and `every` for files."""


def open_gate(kind: str = "every") -> Gate:
    """Give a new gate of this kind.

    Raises:
        WrongUse: there is no such kind.
    """
    if kind not in KINDS:
        raise WrongUse(f"There is no gate {kind!r}; choose one of {', '.join(KINDS)}.")
    return KINDS[kind]()
