"""The worst false alarms, misses and mix-ups as contact sheets: what no figure tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from detector.types import Image
from training.evaluate import read_picture
from training.evaluation.confusion import limits_of, pair
from training.evaluation.lists import ValList
from training.labels import Taxonomy
from training.metrics import Floats, LabelledPicture

MOST = 50
COLUMNS = 10
TILE_PX, CAPTION_PX, GAP_PX = 150, 30, 4
FOUND_BGR, LABELLED_BGR, TEXT_BGR = (40, 40, 255), (60, 200, 60), (235, 235, 235)


@dataclass(frozen=True, slots=True)
class Fault:
    """One box that is wrong.

    Args:
        kind: false_alarms, misses or mixed_up.
        file: the picture.
        xyxy: the box, pixels.
        caption: two short lines.
        weight: the larger the worse.
        labelled: boxes labelled in the picture, for drawing, (N, 4).
    """

    kind: str
    file: Path
    xyxy: tuple[float, float, float, float]
    caption: tuple[str, str]
    weight: float
    labelled: Floats


def faults_of(lists: Sequence[ValList], taxonomy: Taxonomy, score_min: Mapping[str, float]) -> list[Fault]:
    """Give every box that is wrong at the operating thresholds, the worst first.

    A false alarm or a mix-up weighs its score, a miss the share of the picture that its box covers.
    """
    limits = limits_of(taxonomy, score_min)
    found = [
        fault
        for entry in lists
        for file, picture in zip(entry.files, entry.at_work, strict=True)
        for fault in _faults_in(file, f"{entry.folder}/{file.name}", picture, taxonomy.names, limits)
    ]
    return sorted(found, key=lambda fault: -fault.weight)


def write_sheets(faults: Sequence[Fault], folder: Path) -> dict[str, int]:
    """Write a JPEG per kind of fault with its MOST worst; give how many faults of each kind there are."""
    counts = {}
    for kind in ("false_alarms", "misses", "mixed_up"):
        of_kind = [fault for fault in faults if fault.kind == kind]
        counts[kind] = len(of_kind)
        if of_kind:
            tiles = [tile(fault) for fault in of_kind[:MOST]]
            cv2.imwrite(str(folder / f"{kind}.jpg"), sheet(tiles), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return counts


def tile(fault: Fault) -> Image:
    """Cut one fault out of its picture: the box in red, labelled boxes in green, its caption below."""
    image = read_picture(fault.file)
    left, top, side = _window(fault.xyxy, image.shape[1], image.shape[0])
    scale = TILE_PX / side
    move = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    size, how = (TILE_PX, TILE_PX), cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    crop = cv2.warpAffine(image, move, size, flags=how, borderValue=(70, 70, 70))
    for box, colour in (*((box, LABELLED_BGR) for box in fault.labelled), (np.array(fault.xyxy), FOUND_BGR)):
        x0, y0, x1, y1 = ((box - [left, top, left, top]) * scale).round().astype(int).tolist()
        cv2.rectangle(crop, (x0, y0), (x1, y1), colour, 1, cv2.LINE_AA)
    caption = np.full((CAPTION_PX, TILE_PX, 3), 30, np.uint8)
    for line, text in enumerate(fault.caption):
        place = (3, 12 + 13 * line)
        cv2.putText(caption, text[:26], place, cv2.FONT_HERSHEY_SIMPLEX, 0.33, TEXT_BGR, 1, cv2.LINE_AA)
    return np.asarray(np.concatenate([crop, caption]), dtype=np.uint8)


def sheet(tiles: Sequence[Image]) -> Image:
    """Lay tiles of one size out in rows of COLUMNS, the first one top left."""
    height, width = (side + GAP_PX for side in tiles[0].shape[:2])
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    canvas = np.full((rows * height, columns * width, 3), 30, np.uint8)
    for number, one in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = row * height, column * width
        canvas[top : top + one.shape[0], left : left + one.shape[1]] = one
    return canvas


def _faults_in(
    file: Path, where: str, picture: LabelledPicture, names: Sequence[str], limits: Floats
) -> Iterator[Fault]:
    pairs = pair(picture, limits)
    short = where if len(where) <= 26 else f"{where.partition('/')[0][:9]}..{where[-15:]}"
    for row, truth, excused in zip(pairs.kept, pairs.truth_of, pairs.excused, strict=True):
        said, score = names[picture.found_class[row]], float(picture.found_score[row])
        if truth < 0 and not excused:
            caption = (f"{said} {score:.2f}", short)
            yield Fault(
                "false_alarms", file, _box(picture.found_xyxy[row]), caption, score, picture.truth_xyxy
            )
        elif truth >= 0 and picture.truth_class[truth] != picture.found_class[row]:
            caption = (f"{names[picture.truth_class[truth]]} > {said} {score:.2f}", short)
            yield Fault("mixed_up", file, _box(picture.found_xyxy[row]), caption, score, picture.truth_xyxy)
    area = picture.size_px[0] * picture.size_px[1]
    for row in pairs.missed:
        box = picture.truth_xyxy[row]
        share = float(np.prod(box[2:] - box[:2])) / area
        caption = (f"{names[picture.truth_class[row]]} {100 * share:.1f} % of it", short)
        yield Fault("misses", file, _box(box), caption, share, np.zeros((0, 4)))


def _box(row: Floats) -> tuple[float, float, float, float]:
    return float(row[0]), float(row[1]), float(row[2]), float(row[3])


def _window(xyxy: tuple[float, float, float, float], width: int, height: int) -> tuple[float, float, float]:
    """Give a square around a box: left, top and side; 1.6 times the box, at least a sixth of the picture."""
    x0, y0, x1, y1 = xyxy
    side = max(1.6 * max(x1 - x0, y1 - y0), max(width, height) / 6)
    return (x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side
