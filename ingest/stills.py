"""Stills of an event: boxes drawn, cut out, compressed."""

from __future__ import annotations

import cv2

from detector.types import Image
from ingest.types import XYXY

STILL_QUALITY = 90
BOX_COLOUR = (48, 48, 255)


def scaled(xyxy: XYXY, scale: float) -> XYXY:
    """Give a box in a picture of another size."""
    x0, y0, x1, y1 = xyxy
    return x0 * scale, y0 * scale, x1 * scale, y1 * scale


def outlined(image: Image, xyxy: XYXY, *, thin: bool = False) -> Image:
    """Draw the box, in place: red on white, thin and grey for pictures in which the thing is not there."""
    x0, y0, x1, y1 = (round(side) for side in xyxy)
    width = max(1, round(max(image.shape[:2]) / (640 if thin else 400)))
    if not thin:
        cv2.rectangle(image, (x0, y0), (x1, y1), (255, 255, 255), width + 2, cv2.LINE_AA)
    cv2.rectangle(image, (x0, y0), (x1, y1), (200, 200, 200) if thin else BOX_COLOUR, width, cv2.LINE_AA)
    return image


def near_of(image: Image, xyxy: XYXY) -> Image:
    """Cut out the box and half its size around it, at least 160 px; small cuts are enlarged. Box drawn."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = xyxy
    half_w = max((x1 - x0) * 0.95, 80.0)
    half_h = max((y1 - y0) * 0.95, 80.0)
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = (
        min(max(0, int(m - h)), side - 1)
        for m, h, side in zip(middle, (half_w, half_h), (width, height), strict=True)
    )
    right, bottom = max(left + 1, int(middle[0] + half_w) + 1), max(top + 1, int(middle[1] + half_h) + 1)
    cut = image[top:bottom, left:right].copy()
    factor = min(4.0, 800 / max(cut.shape[:2]))
    if factor > 1.0:
        cut = cv2.resize(cut, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    factor = max(factor, 1.0)
    return outlined(cut, scaled((x0 - left, y0 - top, x1 - left, y1 - top), factor))


def jpeg(image: Image, quality: int = STILL_QUALITY) -> bytes:
    """Compress a picture."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data.tobytes())
