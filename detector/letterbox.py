"""Picture -> canvas of the network's size, and boxes back. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detector.types import FloatArray, Image

PAD_VALUE = 114
"""Grey of the border, the one the network was trained with."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture lies on its canvas; all in pixels.

    Args:
        source_wh: the picture.
        inner_wh: the picture on the canvas, ratio kept to the pixel.
        canvas_wh: the canvas; both sides multiples of the stride.
        left: columns of border before the picture.
        top: rows of border before the picture.
    """

    source_wh: tuple[int, int]
    inner_wh: tuple[int, int]
    canvas_wh: tuple[int, int]
    left: int
    top: int

    def to_source(self, xyxy: FloatArray) -> FloatArray:
        """Map boxes (N, 4) from canvas to picture and clip them to it."""
        width, height = self.source_wh
        scale = np.array([width / self.inner_wh[0], height / self.inner_wh[1]] * 2)
        mapped = (xyxy - np.array([self.left, self.top] * 2)) * scale
        np.maximum(mapped, 0, out=mapped)  # np.clip takes several times as long on a few boxes
        return np.asarray(np.minimum(mapped, np.array([width, height] * 2)), dtype=np.float32)

    def to_canvas(self, xyxy: FloatArray) -> FloatArray:
        """Map boxes (N, 4) from picture to canvas."""
        scale = np.array([self.inner_wh[0] / self.source_wh[0], self.inner_wh[1] / self.source_wh[1]] * 2)
        return np.asarray(xyxy * scale + np.array([self.left, self.top] * 2), dtype=np.float32)


def plan(width: int, height: int, side_px: int, stride_px: int) -> Letterbox:
    """Lay a picture on the smallest canvas that holds it with its longest side at `side_px`.

    >>> plan(640, 360, 640, 32)
    Letterbox(source_wh=(640, 360), inner_wh=(640, 360), canvas_wh=(640, 384), left=0, top=12)

    Raises:
        ValueError: the picture has no pixels.
    """
    if width < 1 or height < 1:
        raise ValueError(f"picture: wanted at least 1x1 pixels, got {width}x{height}")
    ratio = min(side_px / width, side_px / height)
    inner_w, inner_h = max(1, round(width * ratio)), max(1, round(height * ratio))
    canvas_w, canvas_h = (-(-side // stride_px) * stride_px for side in (inner_w, inner_h))
    return Letterbox(
        (width, height),
        (inner_w, inner_h),
        (canvas_w, canvas_h),
        left=(canvas_w - inner_w) // 2,
        top=(canvas_h - inner_h) // 2,
    )


def letterbox(image: Image, side_px: int, stride_px: int) -> tuple[Image, Letterbox]:
    """Give the canvas, uint8 (h, w, 3) BGR, and how the picture lies on it.

    Raises:
        ValueError: `image` is not uint8 (H, W, 3) with at least one pixel.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image: wanted uint8 (H, W, 3) BGR, got {image.dtype} {image.shape}")
    box = plan(image.shape[1], image.shape[0], side_px, stride_px)
    if box.source_wh == box.canvas_wh:
        return image, box
    canvas = np.full((box.canvas_wh[1], box.canvas_wh[0], 3), PAD_VALUE, np.uint8)
    inner = canvas[box.top : box.top + box.inner_wh[1], box.left : box.left + box.inner_wh[0]]
    if box.source_wh == box.inner_wh:
        inner[:] = image
    else:
        # INTER_LINEAR without antialiasing because the network was trained on exactly that.
        inner[:] = cv2.resize(image, box.inner_wh, interpolation=cv2.INTER_LINEAR)
    return canvas, box
