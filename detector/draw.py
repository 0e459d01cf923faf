"""Boxes on pictures. Colours are the caller's."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import cv2
import numpy as np

from detector.types import Detections, Image

Colour: TypeAlias = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""

_GREY: Colour = (160, 160, 160)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def palette(names: Sequence[str]) -> dict[str, Colour]:
    """Give each class a colour of its own, the same on every run, neighbours in the list far apart.

    >>> palette(["person", "car"])["person"] != palette(["person", "car"])["car"]
    True
    """
    turn = 0.618034  # golden ratio: the hues never come round to each other
    hues = [colorsys.hsv_to_rgb((index * turn) % 1, 0.85, 0.95) for index in range(len(names))]
    return {
        name: (int(blue * 255), int(green * 255), int(red * 255))
        for name, (red, green, blue) in zip(names, hues, strict=True)
    }


def draw(image: Image, detections: Detections, colours: Mapping[str, Colour]) -> Image:
    """Give a copy of the picture with boxes, class names and scores.

    Args:
        image: uint8 (H, W, 3) BGR.
        detections: boxes in its pixels.
        colours: class name to colour; a class without one is grey.
    """
    drawn: Image = np.array(image)
    width = max(1, round(max(image.shape[:2]) / 500))
    # The surest box is drawn last: where names overlap, its is the one to be read.
    for xyxy, score, label in reversed(
        list(zip(detections.xyxy, detections.score, detections.label, strict=True))
    ):
        name = detections.names[int(label)]
        colour = colours.get(name, _GREY)
        x0, y0, x1, y1 = (round(float(side)) for side in xyxy)
        cv2.rectangle(drawn, (x0, y0), (x1, y1), colour, width)
        _write(drawn, f"{name} {float(score):.2f}", (x0, y0), colour, width)
    return drawn


def _write(image: Image, text: str, corner: tuple[int, int], colour: Colour, width: int) -> None:
    scale, stroke = max(0.35, 0.25 * width), max(1, width // 2)
    (text_w, text_h), below = cv2.getTextSize(text, _FONT, scale, stroke)
    height = text_h + below + width
    # Above the box, or inside it at the picture's upper edge; never beyond the right one.
    left = max(0, min(corner[0], image.shape[1] - text_w))
    top = corner[1] - height if corner[1] >= height else corner[1]
    cv2.rectangle(image, (left, top), (left + text_w, top + height), colour, cv2.FILLED)
    brightness = 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2]
    ink = (0, 0, 0) if brightness > 128 else (255, 255, 255)
    cv2.putText(image, text, (left, top + text_h + width), _FONT, scale, ink, stroke, cv2.LINE_AA)


def encode_jpeg(image: Image, quality: int = 92) -> bytes:
    """Give the picture as JPEG; quality 1 to 100."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data.tobytes())
