"""A contact sheet: many pictures with their boxes, small, on one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from detector.draw import draw, palette
from detector.types import Detections, Image

TILE_WH = (400, 300)
CAPTION_PX = 40
PER_ROW = 5
FONT = cv2.FONT_HERSHEY_SIMPLEX


def tile(image: Image, boxes: Detections, *lines: str) -> Image:
    """Give a picture with its boxes, TILE_WH large, above up to two lines of text (ASCII).

    It is shrunk first, so that lines and names stay readable.
    """
    height, width = image.shape[:2]
    scale = min(TILE_WH[0] / width, TILE_WH[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    shrunk = Detections(boxes.xyxy * np.float32(scale), boxes.score, boxes.label, boxes.names)
    framed: Image = np.full((TILE_WH[1] + CAPTION_PX, TILE_WH[0], 3), 255, dtype=np.uint8)
    left, top = (TILE_WH[0] - size[0]) // 2, (TILE_WH[1] - size[1]) // 2
    framed[top : top + size[1], left : left + size[0]] = draw(small, shrunk, palette(boxes.names))
    for line, text in enumerate(lines[:2]):
        where = (4, TILE_WH[1] + 15 + 17 * line)
        cv2.putText(framed, text[:60], where, FONT, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return framed


def sheet(tiles: Sequence[Image]) -> Image:
    """Lay tiles out in rows of PER_ROW, in order.

    Raises:
        ValueError: there is none.
    """
    if not tiles:
        raise ValueError("wanted at least one tile")
    per_row = min(PER_ROW, len(tiles))
    full = [*tiles, *[np.full_like(tiles[0], 255)] * (-len(tiles) % per_row)]
    rows = [np.hstack(full[at : at + per_row]) for at in range(0, len(full), per_row)]
    return np.asarray(np.vstack(rows), dtype=np.uint8)
