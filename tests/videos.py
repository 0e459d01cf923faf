"""Small videos for tests, painted by number: frame i is of grey 40 + 4 * (i % 50)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TIME_BASE = Fraction(1, 90_000)


def regular(count: int, fps: float) -> list[float]:
    """Give the times of `count` frames at `fps`."""
    return [i / fps for i in range(count)]


def make_video(
    path: Path,
    times: Sequence[float],
    wh: tuple[int, int] = (96, 64),
    *,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    codec: str = "libx264",
    rotation: int = 0,
    created: str = "",
    corner: bool = False,
) -> Path:
    """Write a video whose frames have these times in seconds; `corner` paints its top left quarter red."""
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        if created:
            container.metadata["creation_time"] = created
        stream = container.add_stream(
            codec, rate=25, options={"crf": "10", "threads": "1", **(options or {})}
        )
        stream.width, stream.height = wh
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TIME_BASE if codec == "libx264" else Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for index, seconds in enumerate(times):
            picture = av.VideoFrame.from_ndarray(_painted(index, wh, corner=corner), format="bgr24")
            picture.time_base = stream.codec_context.time_base
            picture.pts = round(seconds / picture.time_base)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def make_stream_of_two_sizes(path: Path) -> Path:
    """Write a raw H.264 stream whose size changes in the middle: 25 frames of 96x64, then 25 of 160x120."""
    data = b""
    for number, wh in enumerate([(96, 64), (160, 120)]):
        part = make_video(path.with_suffix(f".{number}.h264"), regular(25, 25.0), wh)
        data += part.read_bytes()
        part.unlink()
    path.write_bytes(data)
    return path


def _painted(index: int, wh: tuple[int, int], *, corner: bool) -> np.ndarray:
    image = np.full((wh[1], wh[0], 3), 40 + 4 * (index % 50), np.uint8)
    if corner:
        image[: wh[1] // 2, : wh[0] // 2] = (0, 0, 255)
    return image
