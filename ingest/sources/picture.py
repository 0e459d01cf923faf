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
PLANAR = frozenset({"yuv420p", "yuvj420p", "nv12"})
"""What nearly every camera sends, and a GPU decodes to: planes that can be made small one by one."""
FULL_RANGE = 2
UNSPECIFIED, BT709, BT601 = 2, 1, 6
"""Matrices by ITU-T H.273."""
_STEPS = np.arange(256)
_LIMITED = tuple(
    np.rint(base + (_STEPS - zero) * share).astype(np.uint8)
    for base, zero, share in ((16, 0, 219 / 255), (128, 128, 224 / 255))
)
"""Full range to limited range: brightness, colour."""


def quarter_turns_of(picture: VideoFrame) -> int:
    """Give how often a picture says that it is to be turned by a right angle, against the clock, 0 to 3."""
    return round(picture.rotation / 90) % 4


class DecodedPicture:
    """One picture of a decoder.

    Args:
        picture: PyAV's; its planes are the decoder's own memory until this object goes.
        quarter_turns: how often it is to be turned by a right angle, against the clock, if it does not say so
            itself: a decoder of packets alone does not know what the file says.
    """

    __slots__ = ("_picture", "_quarter_turns", "_settled", "_wh")

    def __init__(self, picture: VideoFrame, quarter_turns: int = 0) -> None:
        self._picture, self._settled = picture, False
        self._quarter_turns = quarter_turns_of(picture) or quarter_turns
        wh = (picture.width, picture.height)
        self._wh = (wh[1], wh[0]) if self._quarter_turns % 2 else wh

    @property
    def wh(self) -> tuple[int, int]:
        """Width and height in pixels, upright."""
        return self._wh

    def settle(self) -> None:
        """Move into memory of its own, if it is to be kept: half a millisecond for 1920x1080.

        As long as one picture of a decoder is there, others of its pool are too, even when the decoder is
        gone: 6 to 10 MB where one picture takes 3.
        """
        name = self._picture.format.name
        if self._settled or name not in PLANAR or self._picture.width % 2 or self._picture.height % 2:
            return
        own = VideoFrame.from_ndarray(self._picture.to_ndarray(), format=name)
        own.colorspace, own.color_range = self._picture.colorspace, self._picture.color_range
        self._picture, self._settled = own, True

    def bgr(self) -> Image:
        """Give the picture upright as it is meant to be shown: uint8 (H, W, 3) BGR, read-only."""
        image = cast(Image, self._picture.to_ndarray(format="bgr24"))
        if self._quarter_turns:
            image = np.ascontiguousarray(np.rot90(image, self._quarter_turns))
        image.setflags(write=False)
        return image

    @property
    def turned(self) -> bool:
        """Whether the file says that it is to be turned; a decoder of packets alone does not know."""
        return bool(self._quarter_turns)

    @property
    def matrix(self) -> int:
        """How its colours are coded, by ITU-T H.273; what a browser would take where nothing is said."""
        said = int(self._picture.colorspace)
        return said if said != UNSPECIFIED else BT709 if self._picture.height >= 720 else BT601

    def i420(self, wh: tuple[int, int]) -> Plane | None:
        """Give the picture at another size, both sides even, as planes: uint8 (h * 3 / 2, w), limited range.

        In its own colours, see `matrix`. None: it is turned, or not made of such planes.
        """
        if self._quarter_turns or self._picture.format.name not in PLANAR:
            return None
        planes = self._planes(wh)
        if self._picture.format.name == "yuvj420p" or self._picture.color_range == FULL_RANGE:
            cv2.LUT(planes[: wh[1]], _LIMITED[0], dst=planes[: wh[1]])
            cv2.LUT(planes[wh[1] :], _LIMITED[1], dst=planes[wh[1] :])
        return planes

    def smaller(self, side_max: int) -> Image:
        """Give the picture as `bgr` does, with its longer side `side_max` px at most."""
        factor = side_max / max(self._wh)
        wh = (2 * round(self._wh[0] * factor / 2), 2 * round(self._wh[1] * factor / 2))
        if factor >= 1 or self._quarter_turns or self._picture.format.name not in PLANAR or not min(wh):
            return self.bgr()
        return cast(Image, self._small(wh).to_ndarray(format="bgr24"))

    def luma(self) -> Plane:
        """Give the brightness, uint8 (H, W), upright; where possible without a copy."""
        if self._picture.format.name not in {*PLANAR, "gray"}:
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
        name = self._picture.format.name
        small = VideoFrame.from_ndarray(self._planes(wh), format="yuv420p" if name == "nv12" else name)
        small.colorspace, small.color_range = self._picture.colorspace, self._picture.color_range
        return small

    def _planes(self, wh: tuple[int, int]) -> Plane:
        """Give brightness and both colours at another size, one below the other."""
        width, height = wh
        planes = np.empty((height * 3 // 2, width), np.uint8)
        cv2.resize(self._plane(0), wh, dst=planes[:height], interpolation=cv2.INTER_LINEAR)
        chroma, half = planes[height:].reshape(2, height // 2, width // 2), (width // 2, height // 2)
        if self._picture.format.name == "nv12":  # both colours in one plane, in turns
            pairs = cv2.resize(self._pairs(), half, interpolation=cv2.INTER_LINEAR)
            for index in (0, 1):
                cv2.extractChannel(pairs, index, dst=chroma[index])
            return planes
        for index in (1, 2):
            cv2.resize(self._plane(index), half, dst=chroma[index - 1], interpolation=cv2.INTER_LINEAR)
        return planes

    def _plane(self, index: int) -> Plane:
        plane = self._picture.planes[index]
        return self._rows(index)[: plane.height, : plane.width]

    def _pairs(self) -> Plane:
        """Give both colours of nv12, uint8 (h, w, 2)."""
        plane = self._picture.planes[1]
        return self._rows(1)[: plane.height, : 2 * plane.width].reshape(plane.height, plane.width, 2)

    def _rows(self, index: int) -> Plane:
        plane = self._picture.planes[index]
        return np.frombuffer(cast(Any, plane), np.uint8).reshape(-1, plane.line_size)
