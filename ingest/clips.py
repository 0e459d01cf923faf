"""Frames to an H.264 clip that plays in every browser; the same frames give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

import av
import cv2
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from detector.types import Image

TIME_BASE = Fraction(1, 90_000)
SIDE_MAX = 1280
BT709 = 1
"""Matrix, primaries and transfer alike in ITU-T H.273; without it browsers guess by picture height."""

ENCODER = {
    "preset": "veryfast",
    "crf": "26",
    "bf": "0",
    "g": "25",
    "threads": "1",
    "flags": "+bitexact",
}


def clip_wh(wh: tuple[int, int]) -> tuple[int, int]:
    """Give the size of a clip of pictures of this size: at most 1280 px, even, not below what H.264 can hold.

    >>> clip_wh((1920, 1080)), clip_wh((639, 361)), clip_wh((1, 1))
    ((1280, 720), (640, 362), (32, 32))
    """
    scale = min(1.0, SIDE_MAX / max(wh))
    width, height = (max(32, 2 * round(side * scale / 2 + 1e-9)) for side in wh)
    return width, height


def encode_clip(
    images: Iterable[Image], seconds: Sequence[float], last_s: float, wh: tuple[int, int]
) -> bytes:
    """Encode pictures as an mp4 (H.264 high, yuv420p, index at the beginning, real times).

    Args:
        images: uint8 (H, W, 3) BGR each; taken one by one, so they may be made on the way.
        seconds: time of each picture, any origin, increasing.
        last_s: how long the last picture is shown.
        wh: width and height of the pictures; `clip_wh` of it is the clip's, and all are brought to that.

    Raises:
        ValueError: there is no picture, or not one time per picture.
    """
    if not seconds:
        raise ValueError("wanted at least one picture, got none")
    wh = clip_wh(wh)
    ticks = [round((at - seconds[0]) / TIME_BASE) for at in seconds]
    lengths = [b - a for a, b in pairwise(ticks)] + [round(last_s / TIME_BASE)]
    file = io.BytesIO()
    # moov_size reserves room for the index in front; faststart would have to open the file a second time
    options = {"moov_size": str(16_384 + 64 * len(seconds)), "fflags": "+bitexact"}
    with av.open(file, "w", format="mp4", container_options=options) as container:
        stream = container.add_stream("libx264", rate=25, options=ENCODER)
        _set_up(stream, wh)
        for image, tick in zip(images, ticks, strict=True):
            for packet in stream.encode(_picture(image, wh, tick)):
                packet.duration = lengths[ticks.index(packet.pts or 0)]
                container.mux(packet)
        for packet in stream.encode():
            packet.duration = lengths[ticks.index(packet.pts or 0)]
            container.mux(packet)
    return file.getvalue()


def _set_up(stream: VideoStream, wh: tuple[int, int]) -> None:
    stream.width, stream.height = wh
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = TIME_BASE
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = 1


def _picture(image: Image, wh: tuple[int, int], tick: int) -> VideoFrame:
    if (image.shape[1], image.shape[0]) != wh:
        image = cv2.resize(image, wh, interpolation=cv2.INTER_AREA)
    picture = VideoFrame.from_ndarray(image, format="bgr24").reformat(
        format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
    )
    picture.pts = tick
    picture.time_base = TIME_BASE
    return picture
