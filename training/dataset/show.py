"""A contact sheet: pictures with their boxes in the colours of classes.toml, ignored regions hatched."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from detector.errors import WrongUse
from detector.pictures import read_image
from detector.types import Image
from training.dataset.types import EVERY_CLASS, LabelledBox, Sample, Split
from training.labels import CLASSES_FILE

TILE_PX = 360
_CAPTION_PX, _GAP_PX, _HATCH_PX = 22, 6, 9
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GREY = (160, 160, 160)

Colour = tuple[int, int, int]
"""Blue, green, red."""


def class_colours(path: Path = CLASSES_FILE) -> dict[str, str]:
    """Give each class's colour, #rrggbb, as classes.toml has it."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: str(entry["colour"]) for name, entry in document["class"].items() if "colour" in entry}


def bgr(colour: str) -> Colour:
    """Turn #rrggbb into blue, green, red.

    >>> bgr("#3b82f6")
    (246, 130, 59)
    """
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return blue, green, red


def choose(
    samples: Sequence[Sample], count: int, seed: int, label: str = "", split: Split | None = None
) -> tuple[Sample, ...]:
    """Draw pictures, the same ones for the same seed.

    Args:
        samples: of the set.
        count: how many at most.
        seed: of the draw.
        label: only pictures with a box or ignored region of this class.
        split: only pictures on this list.

    Raises:
        WrongUse: no picture is left.
    """
    left = [
        sample
        for sample in samples
        if (split is None or sample.split == split)
        and (not label or any(box.label == label for box in sample.boxes))
    ]
    if not left:
        what = f" with {label}" * bool(label) + f" on {split}" * bool(split)
        raise WrongUse(f"there is no picture{what} to show.")
    left.sort(key=lambda sample: str(sample.path))
    return tuple(random.Random(seed).sample(left, min(count, len(left))))  # noqa: S311 - a draw, no secret


def contact_sheet(samples: Sequence[Sample], colours: Mapping[str, str], columns: int = 4) -> Image:
    """Give one picture with all of them, each scaled to fit a tile, with file name and list below.

    Raises:
        Failure: a picture cannot be read.
    """
    tiles = [_tile(sample, colours) for sample in samples]
    columns = min(columns, len(tiles))
    step_x, step_y = TILE_PX + _GAP_PX, TILE_PX + _CAPTION_PX + _GAP_PX
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * step_y + _GAP_PX, columns * step_x + _GAP_PX, 3), 255, np.uint8)
    for at, tile in enumerate(tiles):
        top, left = at // columns * step_y + _GAP_PX, at % columns * step_x + _GAP_PX
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _tile(sample: Sample, colours: Mapping[str, str]) -> Image:
    image = read_image(sample.path)
    scale = TILE_PX / max(image.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=way)
    small = np.ascontiguousarray(small[:TILE_PX, :TILE_PX])
    for box in sorted(sample.boxes, key=lambda box: not box.ignore):
        colour = bgr(colours[box.label]) if box.label in colours else _GREY
        corners = [round(side * scale) for side in box.xyxy]
        (_draw_ignored if box.ignore else _draw_box)(small, corners, _caption(box), colour)
    tile = np.full((TILE_PX + _CAPTION_PX, TILE_PX, 3), 245, np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small
    text = f"{sample.split or '-'}  {sample.source}  {sample.path.name}".encode("ascii", "replace").decode()
    cv2.putText(tile, text[:58], (4, TILE_PX + 15), _FONT, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
    return tile


def _caption(box: LabelledBox) -> str:
    name = "any" if box.label == EVERY_CLASS else box.label
    score = "" if box.score is None else f" {box.score:.2f}"
    by = "" if box.origin == "given" else f" ({box.origin})"
    return f"{name}{score}{by}"


def _draw_box(image: Image, corners: Sequence[int], text: str, colour: Colour) -> None:
    left, top, right, bottom = corners
    cv2.rectangle(image, (left, top), (right, bottom), (255, 255, 255), 3)
    cv2.rectangle(image, (left, top), (right, bottom), colour, 2)
    _write(image, text, left, top, colour)


def _draw_ignored(image: Image, corners: Sequence[int], text: str, colour: Colour) -> None:
    """Hatch a region from lower left to upper right."""
    left, top, right, bottom = corners
    part = image[max(0, top) : bottom, max(0, left) : right]
    height, width = part.shape[:2]
    hatched = np.ascontiguousarray(part)
    for start in range(0, width + height, _HATCH_PX):
        cv2.line(hatched, (start, 0), (start - height, height), colour, 1, cv2.LINE_AA)
    part[:] = hatched
    cv2.rectangle(image, (left, top), (right, bottom), colour, 1)
    _write(image, f"ignore {text}", left, top, _GREY)


def _write(image: Image, text: str, left: int, top: int, colour: Colour) -> None:
    (width, height), below = cv2.getTextSize(text, _FONT, 0.4, 1)
    left = max(0, min(left, image.shape[1] - width))
    top = max(0, top - height - below - 1)
    cv2.rectangle(image, (left, top), (left + width, top + height + below), colour, cv2.FILLED)
    bright = 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2] > 128
    ink = (0, 0, 0) if bright else (255, 255, 255)
    cv2.putText(image, text, (left, top + height + 1), _FONT, 0.4, ink, 1, cv2.LINE_AA)
