"""Small streets painted frame by frame, and a detector that knows things by their colour.

What is seen depends on the pictures alone, so that gates may choose which are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from detector.backends.scripted import scripted_spec
from detector.detector import Detector

WH = (320, 192)
FPS = 25
LABELS = ("person", "car")
COLOURS = {"person": (210, 60, 40), "car": (40, 40, 210)}
SPEC = scripted_spec(LABELS, side_px=320)

Where = Callable[[float], tuple[float, float] | None]
"""Seconds -> left top corner in pixels; None while it is not in the picture."""


@dataclass(frozen=True)
class Thing:
    label: str
    size: tuple[int, int]
    where: Where


def visit(x: float, y: float, arrive: float, leave: float, speed: float = 60.0) -> Where:
    """Drive in from the left, stand at (x, y) from `arrive` to `leave`, drive on to the right."""

    def at(second: float) -> tuple[float, float] | None:
        now = x + speed * (min(0.0, second - arrive) + max(0.0, second - leave))
        return (now, y) if -60 < now < WH[0] else None

    return at


def to_and_fro(y: float, period: float) -> Where:
    """Walk across and back, for ever."""

    def at(second: float) -> tuple[float, float] | None:
        share = abs((second / period) % 2 - 1)
        return 10 + share * (WH[0] - 40), y

    return at


def render(
    path: Path,
    things: Sequence[Thing],
    seconds: float,
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    keys: Callable[[int], bool] = lambda _: False,
) -> Path:
    """Film the things before a street with texture and a little noise; `keys` forces key frames."""
    chance = np.random.default_rng(3)
    ground = cv2.GaussianBlur(chance.integers(90, 150, (WH[1], WH[0], 3)).astype(np.uint8), (5, 5), 0)
    noise = [chance.normal(0, 2, (WH[1], WH[0], 1)).astype(np.int16) for _ in range(7)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options={"preset": "ultrafast", **(options or {})})
        stream.width, stream.height, stream.pix_fmt = *WH, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(round(seconds * FPS)):
            picture = ground.copy()
            for thing in things:
                corner = thing.where(number / FPS)
                if corner is not None:
                    x, y = (round(side) for side in corner)
                    colour = COLOURS[thing.label]
                    cv2.rectangle(picture, (x, y), (x + thing.size[0] - 1, y + thing.size[1] - 1), colour, -1)
            noisy = np.clip(picture + noise[number % len(noise)], 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(noisy, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            if keys(number):
                frame.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class ColourBackend:
    """Finds what is painted in the colours of `COLOURS`."""

    batch_max = 1
    in_flight = 1

    def __init__(self) -> None:
        self.count = 0

    def infer(self, canvases: np.ndarray) -> np.ndarray:
        self.count += len(canvases)
        found = [_boxes(canvas) for canvas in canvases]
        raw = np.zeros((len(found), 4 + len(LABELS), max(1, *map(len, found))), np.float32)
        for row, boxes in enumerate(found):
            for place, (label, x, y, w, h) in enumerate(boxes):
                raw[row, :4, place] = x + w / 2, y + h / 2, w, h
                raw[row, 4 + label, place] = 0.9
        return raw

    def close(self) -> None:
        pass


def _boxes(canvas: np.ndarray) -> list[tuple[int, int, int, int, int]]:
    found = []
    for label, name in enumerate(LABELS):
        near = (np.abs(canvas.astype(np.int16) - COLOURS[name]).max(axis=2) < 70).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(near)
        found += [(label, *map(int, stats[i, :4])) for i in range(1, count) if stats[i, 4] > 40]
    return found


def open_colour_detector() -> Detector:
    return Detector(SPEC, ColourBackend())
