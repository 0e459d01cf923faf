"""What two key frames tell of the time between them: what came to rest, what left, what cannot be told. Pure.

A thing that stands for longer than two key frames are apart is in one of them at least. One that stands in
the later and not in the earlier came between them; one that stood in the earlier only has left.
A thing that merely passes is in another place in the next key frame, or in none, and need not be looked for.
Whatever comes or goes changes pixels: a box that comes and goes without a change is the detector's doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from detector.types import Detections
from ingest.boxes import covered_share, displacement
from ingest.gate import STEP, Thumbnail
from ingest.tracker import REST_SIZES, SCORE_LOW, SCORE_MIN, group_of
from ingest.types import XYXY

CAME_SHARE = 0.04
"""Share of a box's pixels that differ at least where a thing has come or gone."""
SWAPPED_SHARE = 0.35
"""Share from which another thing may stand where one stood: somebody who walks past changes less."""
HIDDEN_SHARE = 0.5
"""A place covered by so much of something nearer cannot be seen."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One box that may matter.

    Args:
        xyxy: pixels of the source. label: class name.
        sure: its score begins a track. moving: it was seen to move on at once.
    """

    xyxy: XYXY
    label: str
    sure: bool = True
    moving: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """A key frame that was looked at.

    Args:
        wh: width and height in pixels.
        thumbnail: the frame in grey.
        things: boxes of the classes that matter in watched zones, doubtful ones included.
        others: boxes of everything, by which something may be hidden.
    """

    wh: tuple[int, int]
    thumbnail: Thumbnail
    things: tuple[Thing, ...]
    others: tuple[XYXY, ...] = ()

    @property
    def sure(self) -> tuple[Thing, ...]:
        """The things that are not doubtful."""
        return tuple(thing for thing in self.things if thing.sure)

    @property
    def standing(self) -> tuple[Thing, ...]:
        """Those of them that have not been seen to move."""
        return tuple(thing for thing in self.sure if not thing.moving)

    @property
    def moving(self) -> tuple[Thing, ...]:
        """Those that have."""
        return tuple(thing for thing in self.sure if thing.moving)

    @property
    def passing(self) -> tuple[Thing, ...]:
        """The others, and what is doubtful and not where something stands."""
        standing = self.standing
        return tuple(
            thing
            for thing in self.things
            if thing not in standing and (thing.sure or not same_place(thing, standing, self.wh))
        )

    def but(self, *, things: Sequence[Thing]) -> Looked:
        """Give the same with other things."""
        return Looked(self.wh, self.thumbnail, tuple(things), self.others)


@dataclass(frozen=True, slots=True)
class Signs:
    """What happened between two key frames.

    Args:
        came: things that are new in the later one; whether they stand is not known yet.
        left: boxes where something stood that is gone, or may be: something like it is there now.
        vacated: those of them where nothing like it is.
        hidden: things that stood and cannot be seen now; they are taken along.
    """

    came: tuple[Thing, ...] = ()
    left: tuple[XYXY, ...] = ()
    hidden: tuple[Thing, ...] = ()
    vacated: tuple[XYXY, ...] = ()


def things_of(seen: Detections, score_min: dict[str, float]) -> tuple[Thing, ...]:
    """Give the boxes as things, without those that nobody would believe."""
    return tuple(
        Thing(
            _xyxy(xyxy),
            seen.names[int(label)],
            float(score) >= score_min.get(seen.names[int(label)], SCORE_MIN),
        )
        for xyxy, score, label in zip(seen.xyxy, seen.score, seen.label, strict=True)
        if score >= SCORE_LOW
    )


def signs_between(before: Looked, now: Looked) -> Signs:
    """Compare two key frames of one stream."""
    if before.wh != now.wh:
        return Signs(came=now.sure)
    changed = differing(before.thumbnail, now.thumbnail)
    came: list[Thing] = []
    for thing in now.sure:
        known = same_place(thing, before.standing, now.wh)
        differs = changed_share(changed, thing.xyxy, now.wh) >= (SWAPPED_SHARE if known else CAME_SHARE)
        if differs or same_place(thing, before.moving, now.wh):
            came.append(thing)
    left: list[XYXY] = []
    hidden: list[Thing] = []
    vacated: list[XYXY] = []
    for thing in before.standing:
        there = same_place(thing, now.things, now.wh)
        differs = changed_share(changed, thing.xyxy, now.wh) >= (SWAPPED_SHARE if there else CAME_SHARE)
        if differs and (there or not _covered(thing.xyxy, now.others)):
            left.append(thing.xyxy)
            vacated += [] if there else [thing.xyxy]
        elif not same_place(thing, now.sure, now.wh):
            hidden.append(thing)
    return Signs(tuple(came), tuple(left), tuple(hidden), tuple(vacated))


def stands(thing: Thing, earlier: Looked, later: Looked) -> bool:
    """Say whether what has just come stands: a moment later it, and not another, is where it was."""
    changed = differing(earlier.thumbnail, later.thumbnail)
    there = same_place(thing, later.things, later.wh)
    return changed_share(changed, thing.xyxy, later.wh) < (SWAPPED_SHARE if there else CAME_SHARE)


def same_place(thing: Thing, others: Sequence[Thing], wh: tuple[int, int], apart: float = REST_SIZES) -> bool:
    """Say whether something of its sort is at its place, no more than so many own sizes apart."""
    return any(
        group_of(other.label) == group_of(thing.label) and displacement(other.xyxy, thing.xyxy, wh) <= apart
        for other in others
    )


def followed(now: Looked, before: Looked) -> Looked:
    """Give a picture after a key frame, in which all but what stood in that one passes."""
    things = [replace(one, moving=not same_place(one, before.standing, now.wh)) for one in now.things]
    return now.but(things=things)


def thumbnail_pixels(xyxy: XYXY, wh: tuple[int, int]) -> int:
    """Give how many pixels of a thumbnail a box has."""
    return int((xyxy[2] - xyxy[0]) / wh[0] * 160 * (xyxy[3] - xyxy[1]) / wh[1] * 90)


def differing(one: Thumbnail, other: Thumbnail) -> npt.NDArray[np.bool_]:
    """Say which pixels of two thumbnails differ, bool (90, 160)."""
    return np.asarray(cv2.absdiff(one, other) > STEP)


def changed_share(changed: npt.NDArray[np.bool_], xyxy: XYXY, wh: tuple[int, int]) -> float:
    """Give the share of a box, a pixel wider all round, that differs."""
    part = _part(changed, xyxy, wh)
    return float(part.mean()) if part.size else 0.0


def corners(xyxy: XYXY, wh: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """Give a box as a polygon in fractions of the frame."""
    x0, y0, x1, y1 = (min(max(side / wh[place % 2], 0.0), 1.0) for place, side in enumerate(xyxy))
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)


def _part(changed: npt.NDArray[np.bool_], xyxy: XYXY, wh: tuple[int, int]) -> npt.NDArray[np.bool_]:
    rows, columns = changed.shape
    left, right = xyxy[0] * columns / wh[0], xyxy[2] * columns / wh[0]
    top, bottom = xyxy[1] * rows / wh[1], xyxy[3] * rows / wh[1]
    return changed[max(0, int(top) - 1) : int(bottom) + 2, max(0, int(left) - 1) : int(right) + 2]


def _covered(xyxy: XYXY, others: Sequence[XYXY]) -> bool:
    """Say whether something nearer to the camera stands in front."""
    nearer = xyxy[3] - 0.1 * (xyxy[3] - xyxy[1])
    return any(other[3] >= nearer and covered_share(xyxy, other) >= HIDDEN_SHARE for other in others)


def _xyxy(box: npt.NDArray[np.float32]) -> XYXY:
    left, top, right, bottom = (float(side) for side in box)
    return left, top, right, bottom
