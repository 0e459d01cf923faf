"""Take out of a picture what would name a person: heads and number plates; black out privacy zones.

Nobody is recognised here and no plate is read: heads are the upper part of person boxes, plates the places in
vehicle boxes where one could be. Better too much than too little: thresholds are low, margins wide. What is
taken out cannot be computed back: it is averaged over cells coarser than a letter or an eye, and the averages
are rounded. Pure: arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from detector.types import Detections, Image

Rect: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels, inside the picture, not empty."""
Polygon: TypeAlias = Sequence[tuple[float, float]]
"""Corners as fractions of frame width and height."""

PERSONS = frozenset({"person"})
PLATED = frozenset({"car", "bus", "truck", "van", "tricycle"})
TWO_WHEELERS = frozenset({"motorcycle"})
RIDDEN = frozenset({"bicycle"})
SCORE_MIN = 0.1
VEHICLE_SCORE_MIN = 0.2
"""A box the rules would not believe still hides a head or a plate."""
WEAK = 0.25
EXPLAINED_IOU = 0.5
"""A weaker box that covers the same place as a confident bin or stall is that bin or stall, not a person."""
PLATE_WIDTH_MIN_PX = 60
"""On a narrower vehicle a plate is under 20 px wide: 2 px a letter, not legible."""
HEAD_CELL = 0.15
"""Mosaic cell as a share of the hidden part's height: a head is two to three cells high."""
PLATE_CELL = 0.03
TWO_WHEELER_PLATE_CELL = 0.06
"""Mosaic cell as a share of the vehicle's width: a plate's letters are at most one and a half cells high."""


def redact(image: Image, detections: Detections, privacy: Sequence[Polygon] = ()) -> Image:
    """Give a copy without legible heads, number plates and privacy zones.

    Args:
        image: uint8 (H, W, 3) BGR.
        detections: boxes of this picture at a low threshold (0.1 or less), pixels of `image`.
        privacy: polygons to black out.
    """
    out = image.copy()
    wh = (image.shape[1], image.shape[0])
    for labels, share in ((PLATED, PLATE_CELL), (TWO_WHEELERS, TWO_WHEELER_PLATE_CELL)):
        for vehicle in boxes_of(detections, labels, VEHICLE_SCORE_MIN):
            for rect in plate_places(image, vehicle):
                mosaic(out, rect, max(4.0, share * float(vehicle[2] - vehicle[0])))
    for person in boxes_of(detections, PERSONS, SCORE_MIN):
        head = head_of(person, wh)
        if head is not None:
            mosaic(out, head, max(4.0, (head[3] - head[1]) * HEAD_CELL))
    return black_out(out, privacy)


def hides(detections: Detections) -> bool:
    """Say whether `redact` may have to hide anything."""
    return any(
        next(boxes_of(detections, labels, score_min), None) is not None
        for labels, score_min in (
            (PERSONS, SCORE_MIN),
            (PLATED | TWO_WHEELERS, VEHICLE_SCORE_MIN),
        )
    )


def boxes_of(
    detections: Detections, labels: frozenset[str], score_min: float
) -> Iterator[npt.NDArray[np.float32]]:
    """Give the boxes, float32 (4,), of these classes, without weak ones that a confident thing explains."""
    wanted = (detections.score >= score_min) & _of(detections, labels)
    if not wanted.any():
        return
    sure = (detections.score > WEAK) & ~_of(detections, PERSONS | PLATED | TWO_WHEELERS | RIDDEN)
    things = detections.xyxy[sure]
    for xyxy, score in zip(detections.xyxy[wanted], detections.score[wanted], strict=True):
        if score > WEAK or not (_iou(xyxy, things) > EXPLAINED_IOU).any():
            yield xyxy


def _of(detections: Detections, labels: frozenset[str]) -> npt.NDArray[np.bool_]:
    """Say which boxes are of these classes, bool (N,)."""
    table = np.array([name in labels for name in detections.names], np.bool_)
    found: npt.NDArray[np.bool_] = table[detections.label]
    return found


def _iou(xyxy: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give the intersection over union of a box (4,) with others (N, 4): (N,)."""
    overlap = np.clip(np.minimum(xyxy[2:], others[:, 2:]) - np.maximum(xyxy[:2], others[:, :2]), 0, None)
    shared = overlap.prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    iou: npt.NDArray[np.float32] = shared / np.maximum((xyxy[2:] - xyxy[:2]).prod() + areas - shared, 1e-6)
    return iou


def head_of(xyxy: Sequence[float] | npt.NDArray[np.float32], wh: tuple[int, int]) -> Rect | None:
    """Give the part of a person's box that holds the head, with margins; None: it lies outside the picture.

    A standing figure's head is an eighth of its height. Of one who sits, rides, bends or is cut off by the
    picture's edge, less of the body is in the box, and the head takes a larger share.

    >>> head_of((100, 100, 140, 200), (640, 480))
    (95, 92, 145, 128)
    """
    x0, y0, x1, y1 = (float(side) for side in xyxy)
    width, height = x1 - x0, y1 - y0
    slender = height / max(width, 1.0)
    share = 0.28 if slender >= 1.8 else 0.42 if slender >= 1.1 else 0.65
    if y1 >= wh[1] - 2:
        share = max(share, 0.5)
    return clipped((x0 - 0.12 * width, y0 - 0.08 * height, x1 + 0.12 * width, y0 + share * height), wh)


def clipped(xyxy: Sequence[float], wh: tuple[int, int]) -> Rect | None:
    """Give the whole-pixel rectangle around `xyxy` that lies in the picture, or None."""
    x0, y0 = (max(0, int(np.floor(side))) for side in xyxy[:2])
    x1, y1 = (min(most, int(np.ceil(side))) for side, most in zip(xyxy[2:], wh, strict=True))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def plate_places(image: Image, vehicle: Sequence[float] | npt.NDArray[np.float32]) -> list[Rect]:
    """Give where in a vehicle's box a number plate may be.

    That is the whole band where plates are mounted, and every row of letters in the lower two thirds. The
    band is hidden even where a row of letters was found: that may be a grille or a slogan.

    Args:
        image: uint8 (H, W, 3) BGR.
        vehicle: its box in pixels.
    """
    wh = (image.shape[1], image.shape[0])
    x0, y0, x1, y1 = (float(side) for side in vehicle)
    width, height = x1 - x0, y1 - y0
    if width < PLATE_WIDTH_MIN_PX:
        return []
    band = clipped((x0 + 0.03 * width, y0 + 0.45 * height, x1 - 0.03 * width, y0 + 0.98 * height), wh)
    places = [band]
    lower = clipped((x0, y0 + height / 3, x1, y1), wh)
    if lower is not None:
        rows = letter_rows(image[lower[1] : lower[3], lower[0] : lower[2]])
        places += [
            clipped((lower[0] + a, lower[1] + b, lower[0] + c, lower[1] + d), wh) for a, b, c, d in rows
        ]
    return [place for place in places if place is not None]


ROW_SIDE_PX = 320


def letter_rows(part: Image) -> Iterator[tuple[float, float, float, float]]:
    """Give boxes, with margins, around rows of dense upright strokes of a plate's proportions.

    They must lie on a plate's ground: blue, green, yellow, or bright without colour.
    """
    scale = ROW_SIDE_PX / part.shape[1]
    small = cv2.resize(
        part, (ROW_SIDE_PX, max(8, round(part.shape[0] * scale))), interpolation=cv2.INTER_AREA
    )
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    strokes = np.abs(cv2.Sobel(cv2.GaussianBlur(grey, (3, 3), 0), cv2.CV_32F, 1, 0))
    edges = (strokes > max(60.0, float(strokes.mean() + 1.5 * strokes.std()))).astype(np.uint8)
    rows = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, np.ones((3, 15), np.uint8))
    rows = cv2.morphologyEx(rows, cv2.MORPH_OPEN, np.ones((5, 9), np.uint8))
    contours, _ = cv2.findContours(rows, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    ground = _plate_coloured(small)
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        in_shape = 0.08 <= w / ROW_SIDE_PX <= 0.5 and 1.5 <= w / h <= 7.0
        if in_shape and float(ground[y : y + h, x : x + w].mean()) > 0.3:
            yield (x - 0.2 * w) / scale, (y - 0.5 * h) / scale, (x + 1.2 * w) / scale, (y + 1.5 * h) / scale


def _plate_coloured(small: Image) -> npt.NDArray[np.bool_]:
    """Say which pixels have a plate's ground: blue, green, yellow, or bright without colour."""
    hue, saturation, value = cv2.split(cv2.cvtColor(small, cv2.COLOR_BGR2HSV))
    painted = (saturation > 90) & (value > 60) & (((hue > 95) & (hue < 130)) | ((hue > 15) & (hue < 90)))
    white = (saturation < 60) & (value > 150)
    coloured: npt.NDArray[np.bool_] = painted | white
    return coloured


def mosaic(image: Image, rect: Rect, cell_px: float) -> None:
    """Replace a rectangle by rounded averages over cells of about `cell_px`, softened; in place."""
    x0, y0, x1, y1 = rect
    cells = (max(1, round((x1 - x0) / cell_px)), max(1, round((y1 - y0) / cell_px)))
    means = cv2.resize(image[y0:y1, x0:x1], cells, interpolation=cv2.INTER_AREA)
    rounded = (means & 0xF0) | 0x08
    soft = cv2.resize(rounded.astype(np.uint8), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    image[y0:y1, x0:x1] = soft


def black_out(image: Image, polygons: Sequence[Polygon]) -> Image:
    """Fill polygons with black, in place; gives the image back."""
    height, width = image.shape[:2]
    for polygon in polygons:
        corners = np.round(np.array(polygon, dtype=np.float64) * (width, height)).astype(np.int32)
        cv2.fillPoly(image, [corners], (0, 0, 0))
    return image
