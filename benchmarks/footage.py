"""What the benchmark clips show: an empty street, and cut-out things that move and stand on it.

The real street is the median of ../shared/clips/fixed_intersection_de_opendatacam.mp4, its cars are cut out
of that clip; without it, street and cars come from the rendered demo clip. Positions are in pixels of a
plate of 640 x 360. Pure but for reading the two clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from detector.types import Image
from training.evaluation.events import Box

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "clips" / "fixed_intersection_de_opendatacam.mp4"
DEMO = ROOT / "datasets" / "demo" / "street.mp4"
WH = (640, 360)
SECONDS = 60.0
FPS = 25
DWELL_S = 5.0
GROUP_S = 2.0
"""Seconds of a group of pictures in the plain coding."""

Floats = npt.NDArray[np.float32]
Stop = tuple[float, float, float]
"""Seconds, and the middle of the thing's foot: x, y in plate pixels."""


@dataclass(frozen=True)
class Cut:
    """Where a thing is cut from.

    Args:
        frame: of the clip.
        xyxy: box around it, plate pixels.
        demo: of the demo clip, whatever the street.
        size_at_y: where on the street its foot must be for it to have its own size; None: where it was cut.
    """

    frame: int
    xyxy: tuple[int, int, int, int]
    demo: bool = False
    size_at_y: float | None = None


@dataclass(frozen=True)
class Sprite:
    """A cut-out: picture uint8 (h, w, 3) BGR, cover float32 (h, w), y of its foot where it has this size."""

    picture: Image
    cover: Floats
    foot_y: float


@dataclass(frozen=True)
class Act:
    """One thing's life in the clip.

    Args:
        name: for people.
        sprite: what it looks like.
        path: where its foot is, straight lines between; it is in the picture from the first time to the last.
        kind: the event it makes if it stands for DWELL_S or longer; "" if none is wanted of it.
        zone_id: in which zone.
        tests: what a gate could do wrong with it.
    """

    name: str
    sprite: str
    path: tuple[Stop, ...]
    kind: str = ""
    zone_id: str = ""
    tests: str = ""

    def foot(self, at_s: float) -> tuple[float, float] | None:
        """Give where it is; None while it is not there. It brakes before it stands and pulls away slowly."""
        if not self.path[0][0] <= at_s < self.path[-1][0]:
            return None
        for before, after in pairwise(self.path):
            if before[0] <= at_s < after[0]:
                share = (at_s - before[0]) / (after[0] - before[0])
                if self._stands_from(after):
                    share = 1 - (1 - share) ** 1.5
                elif self._stood_until(before):
                    share = share**1.5
                return before[1] + share * (after[1] - before[1]), before[2] + share * (after[2] - before[2])
        return None

    def stands(self) -> tuple[float, float] | None:
        """Give from when to when it stands; None if it never does. It stands once."""
        return next(((a[0], b[0]) for a, b in pairwise(self.path) if a[1:] == b[1:]), None)

    def moves(self, at_s: float) -> bool:
        """Say whether it moves, comes or goes at that moment."""
        stood = self.stands()
        if 0 < self.path[0][0] <= at_s < self.path[0][0] + 0.2:
            return True
        there = self.path[0][0] <= at_s < self.path[-1][0]
        return there and not (stood and stood[0] <= at_s < stood[1])

    def _stands_from(self, stop: Stop) -> bool:
        return any(a == stop and a[1:] == b[1:] for a, b in pairwise(self.path))

    def _stood_until(self, stop: Stop) -> bool:
        return any(b == stop and a[1:] == b[1:] for a, b in pairwise(self.path))


@dataclass(frozen=True)
class Street:
    """A stage: where its pictures come from, where its horizon lies, its zones, its two scripts.

    Args:
        name: "real" or "rendered".
        horizon_y: where things have no size.
        cuts: sprites by name.
        zones: id to (kind, polygon in plate pixels).
        typical: the quiet script. busy: what stands while the traffic flows.
        traffic: acts that repeat through the busy clip; none if the real traffic is its ground.
    """

    name: str
    horizon_y: float
    cuts: dict[str, Cut]
    zones: dict[str, tuple[str, tuple[tuple[float, float], ...]]]
    typical: tuple[Act, ...]
    busy: tuple[Act, ...]
    traffic: tuple[Act, ...] = ()

    def acts(self, kind: str) -> tuple[Act, ...]:
        """Give the script of a clip of this kind ("typical" or "busy")."""
        return self.typical if kind == "typical" else (*self.traffic, *self.busy)


def cut_out(
    picture: Image, plate: Image, xyxy: Box, step: int = 18, size_at_y: float | None = None
) -> Sprite:
    """Cut a thing out of a picture: the convex hull of what differs from the empty street, with a soft edge.

    Args:
        picture: uint8 (H, W, 3) with the thing.
        plate: the same street without it.
        xyxy: box around the thing, pixels.
        step: grey levels by which a pixel must differ.
        size_at_y: see `Cut`.
    """
    left, top, right, bottom = (round(side) for side in xyxy)
    window = slice(max(top - 4, 0), bottom + 4), slice(max(left - 4, 0), right + 4)
    here = picture[window]
    differs = (cv2.absdiff(here, plate[window]).max(axis=2) > step).astype(np.uint8)
    differs = cv2.morphologyEx(differs, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(differs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cover = np.zeros(differs.shape, np.float32)
    cv2.fillConvexPoly(cover, cv2.convexHull(max(contours, key=cv2.contourArea)), 1.0)
    soft = cv2.GaussianBlur(cover, (0, 0), 1.0)
    return Sprite(np.ascontiguousarray(here), np.asarray(soft, np.float32), float(size_at_y or bottom))


def pasted(ground: Image, sprite: Sprite, foot: tuple[float, float], scale: float) -> None:
    """Put a sprite on the ground, in place, to a fraction of a pixel."""
    box = foot_box(sprite, foot, scale)
    x0, y0 = int(np.floor(box[0])), int(np.floor(box[1]))
    x1, y1 = int(np.ceil(box[2])) + 1, int(np.ceil(box[3])) + 1
    if x1 <= 0 or y1 <= 0 or x0 >= WH[0] or y0 >= WH[1]:
        return
    warp = np.array([[scale, 0, box[0] - x0], [0, scale, box[1] - y0]], np.float32)
    size, how = (x1 - x0, y1 - y0), cv2.INTER_AREA if scale < 0.6 else cv2.INTER_LINEAR
    if scale < 0.6:  # warpAffine does not average: shrink first
        small = cv2.resize(sprite.picture, None, fx=scale, fy=scale, interpolation=how)
        mask = cv2.resize(sprite.cover, None, fx=scale, fy=scale, interpolation=how)
        warp[0, 0] = warp[1, 1] = 1.0
    else:
        small, mask = sprite.picture, sprite.cover
    picture = cv2.warpAffine(small, warp, size, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpAffine(mask, warp, size)[..., None]
    inside = slice(max(y0, 0), min(y1, WH[1])), slice(max(x0, 0), min(x1, WH[0]))
    part = (
        slice(inside[0].start - y0, inside[0].stop - y0),
        slice(inside[1].start - x0, inside[1].stop - x0),
    )
    below = ground[inside]
    ground[inside] = np.rint(below + (picture[part].astype(np.float32) - below) * cover[part]).astype(
        np.uint8
    )


def foot_box(sprite: Sprite, foot: tuple[float, float], scale: float) -> Box:
    """Give the box of a sprite, soft margin included, whose foot is at (x, y): left, top, right, bottom."""
    h, w = sprite.cover.shape
    return foot[0] - w * scale / 2, foot[1] - h * scale, foot[0] + w * scale / 2, foot[1]


@cache
def frames_of(path: Path) -> tuple[Image, ...]:
    """Read a clip at plate size."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return tuple(
            np.asarray(f.to_ndarray(format="bgr24", width=WH[0], height=WH[1]), np.uint8)
            for f in container.decode(video=0)
        )


class Stage:
    """A street with its sprites, ready to be played."""

    def __init__(self, street: Street) -> None:
        """Read the clips and cut the sprites out."""
        self.street = street
        self.film = frames_of(REAL if street.name == "real" else DEMO)
        demo = frames_of(DEMO)
        plates = {False: _empty(self.film), True: _empty(demo[:120])}
        if street.name == "rendered":
            plates[False] = plates[True]
        self.plate = plates[False]
        self.sprites = {
            name: cut_out(
                (demo if cut.demo else self.film)[cut.frame],
                plates[cut.demo],
                cut.xyxy,
                size_at_y=cut.size_at_y,
            )
            for name, cut in street.cuts.items()
        }

    def scale(self, sprite: Sprite, y: float) -> float:
        """Give the size of a sprite whose foot is at y, as a factor."""
        return max(0.02, (y - self.street.horizon_y) / (sprite.foot_y - self.street.horizon_y))

    def picture(self, kind: str, at_s: float) -> Image:
        """Give the picture uint8 (360, 640, 3) BGR at a time of a clip of this kind."""
        ground = self._ground(kind, at_s).copy()
        there = [(foot, act) for act in self.street.acts(kind) if (foot := act.foot(at_s))]
        for foot, act in sorted(there, key=lambda one: one[0][1]):
            sprite = self.sprites[act.sprite]
            pasted(ground, sprite, foot, self.scale(sprite, foot[1]))
        return ground

    def box(self, act: Act) -> Box:
        """Give where a thing stands, plate pixels, cut off at the edge."""
        stood = act.stands()
        foot = act.foot(stood[0]) if stood else None
        if foot is None:
            raise ValueError(f"{act.name} never stands.")
        sprite = self.sprites[act.sprite]
        left, top, right, bottom = foot_box(sprite, foot, self.scale(sprite, foot[1]))
        return max(left, 0.0), max(top, 0.0), min(right, float(WH[0])), min(bottom, float(WH[1]))

    def _ground(self, kind: str, at_s: float) -> Image:
        """Give the street itself: empty, or with its own traffic, forwards and backwards in turn."""
        if kind == "typical" or self.street.name == "rendered":
            return self.plate
        count = len(self.film) - 1
        step = int(at_s * 20) % (2 * count)
        return self.film[step if step <= count else 2 * count - step]


def bgr(picture: av.VideoFrame) -> Image:
    """Give a decoded picture as uint8 (H, W, 3) BGR."""
    return np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)


def _empty(film: Sequence[Image]) -> Image:
    return np.asarray(np.median(np.stack(film[:: max(len(film) // 40, 1)]), axis=0), np.uint8)


def active_share(stage: Stage, kind: str, group_s: float = GROUP_S) -> float:
    """Give the share of the groups of pictures in which something moves, [0, 1].

    Args:
        stage: the street.
        kind: of the clip.
        group_s: seconds of a group; 0.2 gives the share of the analysed frames in which something moves.
    """
    acts = stage.street.acts(kind)
    if kind == "busy" and not stage.street.traffic:
        return 1.0  # the film itself
    steps = max(1, round(group_s / 0.04))
    moving = [any(act.moves(index / FPS) for act in acts) for index in range(round(SECONDS * FPS))]
    return float(np.mean([any(moving[at : at + steps]) for at in range(0, len(moving), steps)]))
