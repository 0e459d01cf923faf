"""A decoded picture as the decoder left it: turned into what is asked for, and no sooner."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from detector.letterbox import PAD_VALUE, Letterbox, letterbox, plan
from detector.types import Image

Plane: TypeAlias = npt.NDArray[np.uint8]
PLANAR = frozenset({"yuv420p", "yuvj420p"})
"""What nearly every camera sends: planes that can be made small one by one."""


class DecodedPicture:
    """One picture of a decoder.

    Args:
        picture: PyAV's; its planes are the decoder's own memory until this object goes.
    """

    __slots__ = ("_picture", "_quarter_turns", "_wh")

    def __init__(self, picture: VideoFrame) -> None:
        self._picture = picture
        self._quarter_turns = round(picture.rotation / 90) % 4
        wh = (picture.width, picture.height)
        self._wh = (wh[1], wh[0]) if self._quarter_turns % 2 else wh

    @property
    def wh(self) -> tuple[int, int]:
        """Width and height in pixels, upright."""
        return self._wh

    def bgr(self) -> Image:
        """Give the picture upright as it is meant to be shown: uint8 (H, W, 3) BGR, read-only."""
        image = cast(Image, self._picture.to_ndarray(format="bgr24"))
        if self._quarter_turns:
            image = np.ascontiguousarray(np.rot90(image, self._quarter_turns))
        image.setflags(write=False)
        return image

    def luma(self) -> Plane:
        """Give the brightness, uint8 (H, W), upright; where possible without a copy."""
        if self._picture.format.name not in {*PLANAR, "nv12", "gray"}:
            return cast(Plane, cv2.cvtColor(self.bgr(), cv2.COLOR_BGR2GRAY))
        plane = self._plane(0)
        return np.rot90(plane, self._quarter_turns) if self._quarter_turns else plane

    def canvas(self, side_px: int, stride_px: int) -> tuple[Image, Letterbox]:
        """Give the network's canvas, uint8 (h, w, 3) BGR, and how the picture lies on it.

        As `detector.letterbox.letterbox` of `bgr`, but the planes are made small before they become BGR, each
        by the same INTER_LINEAR: a third of the work. Brightness is the same; colour is looked up half a
        pixel aside (mean difference 0.4 of 255).
        """
        width, height = self._wh
        lies = plan(width, height, side_px, stride_px)
        small = lies.inner_wh[0] < width and not any(side % 2 for side in lies.inner_wh)
        if not small or self._quarter_turns or self._picture.format.name not in PLANAR:
            return letterbox(self.bgr(), side_px, stride_px)
        canvas = np.full((lies.canvas_wh[1], lies.canvas_wh[0], 3), PAD_VALUE, np.uint8)
        inner = canvas[lies.top : lies.top + lies.inner_wh[1], lies.left : lies.left + lies.inner_wh[0]]
        inner[:] = self._small(lies.inner_wh).to_ndarray(format="bgr24")
        return canvas, lies

    def _small(self, wh: tuple[int, int]) -> VideoFrame:
        """Give the picture at another size, both sides even, in its own colours."""
        width, height = wh
        planes = np.empty((height * 3 // 2, width), np.uint8)
        cv2.resize(self._plane(0), wh, dst=planes[:height], interpolation=cv2.INTER_LINEAR)
        chroma = planes[height:].reshape(2, height // 2, width // 2)
        for index in (1, 2):
            cv2.resize(
                self._plane(index),
                (width // 2, height // 2),
                dst=chroma[index - 1],
                interpolation=cv2.INTER_LINEAR,
            )
        small = VideoFrame.from_ndarray(planes, format=self._picture.format.name)
        small.colorspace, small.color_range = self._picture.colorspace, self._picture.color_range
        return small

    def _plane(self, index: int) -> Plane:
        plane = self._picture.planes[index]
        rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(-1, plane.line_size)
        return rows[: plane.height, : plane.width]
