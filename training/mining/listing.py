"""What mining leaves behind: a list, a contact sheet, and the frames of clips as pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from detector.draw import encode_jpeg
from detector.types import Detections, Image
from training.mining.pool import Shot, again
from training.mining.sheet import sheet, tile

SHEET_MAX = 60
FRAME_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Chosen:
    """One picture of the list.

    Args:
        shot: where it is.
        size_px: width, height.
        boxes: what the model saw.
        facts: what stands in the list besides.
        caption: why it was chosen, in a few words.
    """

    shot: Shot
    size_px: tuple[int, int]
    boxes: Detections
    facts: dict[str, Any]
    caption: str


def picture_of(one: Chosen, number: int, folder: Path) -> Path:
    """Give where a chosen picture lies: its own file, or its frame below `folder`."""
    if one.shot.at_s is None:
        return one.shot.path.resolve()
    return folder / "frames" / f"{number:04d}-{one.shot.path.stem}.jpg"


def write_list(chosen: Sequence[Chosen], every_s: float, folder: Path, name: str) -> list[dict[str, Any]]:
    """Write list, sheet.jpg and frames into `folder`; give the list.

    Args:
        chosen: in the order of the list.
        every_s: step at which the clips were read.
        folder: exists and is empty.
        name: of the list, a JSON file.

    Raises:
        Failure: a picture has gone meanwhile.
    """
    (folder / "frames").mkdir()
    tiles: dict[int, Image] = {}
    for place, image in again([one.shot for one in chosen], every_s):
        one, number = chosen[place], place + 1
        if one.shot.at_s is not None:
            picture_of(one, number, folder).write_bytes(encode_jpeg(image, FRAME_QUALITY))
        if number <= SHEET_MAX:
            tiles[place] = tile(image, one.boxes, f"{number} {Path(one.shot.name).name}", one.caption)
    rows = [_row(one, number, folder) for number, one in enumerate(chosen, 1)]
    (folder / name).write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if tiles:
        cv2.imwrite(str(folder / "sheet.jpg"), sheet([tiles[place] for place in sorted(tiles)]))
    return rows


def _row(one: Chosen, number: int, folder: Path) -> dict[str, Any]:
    picture = picture_of(one, number, folder)
    if one.shot.at_s is None:
        return {"rank": number, "picture": str(picture), "scene": one.shot.scene, **one.facts}
    return {
        "rank": number,
        "picture": picture.relative_to(folder).as_posix(),
        "clip": str(one.shot.path.resolve()),
        "at_s": round(one.shot.at_s, 3),
        "scene": one.shot.scene,
        **one.facts,
    }
