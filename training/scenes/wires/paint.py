"""Anti-aliased strokes and patches, and a picture that knows what hides what."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.wires.catenary import Points

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Colour = tuple[float, float, float]
Box = tuple[float, float, float, float]

FINER = 4
"""Strokes are drawn at this many times the picture's resolution."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A cover (h, w), 0 to 1, whose top left corner is pixel (x, y)."""

    x: int
    y: int
    cover: Floats

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture."""
        h, w = self.cover.shape
        return slice(self.y, self.y + h), slice(self.x, self.x + w)


def stroke(points: Points, widths: NDArray[np.float64] | float, shape: tuple[int, int]) -> Patch:
    """Draw a line through points (n, 2) of these widths (n,) in pixels; picture of shape (H, W).

    A stroke thinner than a subpixel is drawn at a subpixel and made fainter by the rest.
    """
    width = np.broadcast_to(np.asarray(widths, np.float64), (len(points),))
    pad = float(width.max()) / 2 + 2
    x0, y0 = np.maximum(np.floor(points.min(0) - pad), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(points.max(0) + pad), [shape[1], shape[0]]).astype(int)
    if x1 <= x0 or y1 <= y0:
        return Patch(0, 0, np.zeros((0, 0), np.float32))
    fine = np.zeros(((y1 - y0) * FINER, (x1 - x0) * FINER), np.uint8)
    at = np.round(((points - [x0, y0]) * FINER) * 16).astype(np.int32)
    thick = np.maximum(np.round(width * FINER), 1).astype(int)
    edges = np.flatnonzero(np.diff(thick)) + 1
    for first, last in zip([0, *edges], [*edges, len(points)], strict=True):
        piece = at[max(first - 1, 0) : last]
        if len(piece) > 1:
            cv2.polylines(fine, [piece], False, 255, int(thick[first]), cv2.LINE_8, 4)
    cover = cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    faint = min(1.0, float(width.mean()) * FINER)
    return Patch(int(x0), int(y0), cover * np.float32(faint))


def area(points: Points, shape: tuple[int, int]) -> Patch:
    """Fill a polygon (n, 2) of pixels in a picture of shape (H, W)."""
    x0, y0 = np.maximum(np.floor(points.min(0) - 1), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(points.max(0) + 1), [shape[1], shape[0]]).astype(int)
    if x1 <= x0 or y1 <= y0:
        return Patch(0, 0, np.zeros((0, 0), np.float32))
    fine = np.zeros(((y1 - y0) * FINER, (x1 - x0) * FINER), np.uint8)
    cv2.fillPoly(fine, [np.round((points - [x0, y0]) * FINER * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    cover = cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return Patch(int(x0), int(y0), cover)


def softened(patch: Patch, sigma_px: float, shape: tuple[int, int], down: float = 1.0) -> Patch:
    """Blur a patch by sigma_px across and sigma_px * down down, and let it grow by that much."""
    grow = int(3 * sigma_px) + 1
    if patch.cover.size == 0:
        return patch
    x0, y0 = max(patch.x - grow, 0), max(patch.y - grow, 0)
    h, w = patch.cover.shape
    x1, y1 = min(patch.x + w + grow, shape[1]), min(patch.y + h + grow, shape[0])
    big = np.zeros((y1 - y0, x1 - x0), np.float32)
    big[patch.y - y0 : patch.y - y0 + h, patch.x - x0 : patch.x - x0 + w] = patch.cover
    blurred = cv2.GaussianBlur(big, (0, 0), max(sigma_px, 0.3), sigmaY=max(sigma_px * down, 0.3))
    return Patch(x0, y0, np.asarray(blurred, np.float32))


class Canvas:
    """A picture being painted on, twice: with the wires and without them.

    The second copy says what of a wire can still be seen in the end.
    """

    def __init__(self, picture: Picture) -> None:
        """Start from an 8-bit BGR picture (H, W, 3)."""
        self.seen = picture.astype(np.float32)
        self.bare = self.seen.copy()
        self.tracked: list[Floats] = []

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.seen.shape[0], self.seen.shape[1]

    def paint(self, patch: Patch, colour: Colour | Floats, opacity: float = 1.0) -> None:
        """Lay colour (3,) or (h, w, 3) over the picture; it hides the wires below."""
        cover = (patch.cover * opacity)[..., None]
        paint = np.asarray(colour, np.float32)
        for layer in (self.seen, self.bare):
            layer[patch.window] += (paint - layer[patch.window]) * cover
        for wire in self.tracked:
            wire[patch.window] *= 1 - cover[..., 0]

    def paint_thing(self, patch: Patch, colour: Colour | Floats, track: int | None = None) -> int:
        """Paint a thing in both copies and track its cover; `track` joins an earlier part of it."""
        if track is None:
            self.tracked.append(np.zeros(self.shape, np.float32))
            track = len(self.tracked) - 1
        mine = self.tracked[track]
        before = mine[patch.window].copy()
        self.paint(patch, colour)
        mine[patch.window] = np.maximum(before, patch.cover)
        return track

    def shade(self, patch: Patch, strength: float) -> None:
        """Darken the picture under a patch; what is darkened stays visible."""
        for layer in (self.seen, self.bare):
            layer[patch.window] *= 1 - strength * patch.cover[..., None]

    def shade_by_wire(self, patch: Patch, strength: float) -> None:
        """The shadow of a wire: in the picture with wires only."""
        self.seen[patch.window] *= 1 - strength * patch.cover[..., None]

    def paint_wire(self, patch: Patch, colour: Colour | Floats, track: int | None = None) -> int:
        """Paint cable; gives the number under which its cover is tracked, `track` joins an earlier one."""
        cover = patch.cover[..., None]
        paint = np.asarray(colour, np.float32)
        self.seen[patch.window] += (paint - self.seen[patch.window]) * cover
        if track is None:
            self.tracked.append(np.zeros(self.shape, np.float32))
            track = len(self.tracked) - 1
        mine = self.tracked[track]
        mine[patch.window] = np.maximum(mine[patch.window], patch.cover)
        return track

    def paint_part_of_wire(self, patch: Patch, colour: Colour | Floats) -> None:
        """Paint what belongs to a wire but not to its box: coil, leads, strip."""
        cover = patch.cover[..., None]
        paint = np.asarray(colour, np.float32)
        self.seen[patch.window] += (paint - self.seen[patch.window]) * cover
        for wire in self.tracked:
            wire[patch.window] *= 1 - cover[..., 0]

    def pictures(self) -> tuple[Picture, Picture]:
        """With and without wires, 8 bit."""
        seen, bare = (np.asarray(np.clip(p + 0.5, 0, 255), np.uint8) for p in (self.seen, self.bare))
        return seen, bare


def box_of(cover: Floats, least: float) -> Box | None:
    """Tight box, in pixels, around cover above `least`; None where there is none.

    >>> box_of(np.array([[0, 0, 0], [0, 1, 1]], np.float32), 0.5)
    (1.0, 1.0, 3.0, 2.0)
    """
    mask = cover > least
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def at_least(box: Box, side: float, shape: tuple[int, int]) -> Box:
    """Widen a box to `side` pixels in both directions, inside a picture of shape (H, W).

    >>> at_least((10, 0, 12, 50), 8, (100, 100))
    (7.0, 0.0, 15.0, 50.0)
    """
    out: list[float] = []
    for low, high, size in ((box[0], box[2], shape[1]), (box[1], box[3], shape[0])):
        grow = max(side - (high - low), 0) / 2
        first = min(max(low - grow, 0), max(size - max(side, high - low), 0))
        out += [float(first), float(min(first + max(side, high - low), size))]
    return out[0], out[2], out[1], out[3]
