"""Hard negatives: what the model is sure of in clips in which a person has seen that it is not there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from detector.errors import WrongUse
from detector.types import Detections, Image
from training.dataset.boxes import iou
from training.dataset.manifest import Manifest, Source
from training.dataset.store import scratch_beside, write_set
from training.dataset.types import LabelledBox, Sample
from training.mining.listing import Chosen, picture_of, write_list
from training.mining.pool import shots

LOG = logging.getLogger(__name__)

SAME_PLACE_IOU = 0.5
SOURCE = "hard_negatives"


@dataclass(frozen=True, slots=True)
class Request:
    """What to look through.

    Args:
        folder: clips and pictures.
        out: new folder for list, sheet and set.
        detect: picture -> boxes.
        score_min: threshold per class.
        absent: classes of which a person has seen that none is to be seen, in any of the pictures.
        names: all classes of the set.
        licence: of the pictures.
        count: most pictures.
        every_s: seconds between two frames of a clip.
    """

    folder: Path
    out: Path
    detect: Callable[[Image], Detections]
    score_min: Mapping[str, float]
    absent: Sequence[str]
    names: Sequence[str]
    licence: str
    count: int = 200
    every_s: float = 1.0


def hard_negatives(request: Request) -> list[dict[str, Any]]:
    """List the false alarms, the surest first, and write their pictures as a set to train on.

    `out` holds false_alarms.json, sheet.jpg and `set`: pictures without a box of the absent classes, in which
    all other classes are ignored. A false alarm that stays where it is comes once a scene.

    Raises:
        WrongUse: a class is none, there are no pictures, or `out` exists.
        Failure: a picture or clip is damaged.
    """
    _check(request)
    with scratch_beside(request.out) as scratch:
        made = scratch / "made"
        made.mkdir()
        chosen = _found(request)
        rows = write_list(chosen, request.every_s, made, "false_alarms.json")
        if chosen:
            (made / "set").mkdir()
            write_set(_samples(chosen, request, made), request.names, made / "set", _manifest(request))
        made.rename(request.out)
    LOG.info("%d pictures with false alarms", len(rows))
    return rows


def _check(request: Request) -> None:
    wanted = f"wanted some of {', '.join(request.names)}: those that nobody would see in these pictures"
    if not request.absent:
        raise WrongUse(f"--absent names no class; {wanted}.")
    for name in request.absent:
        if name not in request.names:
            raise WrongUse(f"--absent {name}: there is no such class; {wanted}.")


def _found(request: Request) -> list[Chosen]:
    listed: dict[str, list[_Place]] = {}
    found = []
    pictures = shots(request.folder, request.every_s)
    for shot, image in tqdm(pictures, desc="mine", unit="picture", leave=False, disable=None):
        alarms = _alarms(request.detect(image), request)
        places = listed.setdefault(shot.scene, [])
        fresh = [place for place in _places(alarms) if not _is_listed(place, places)]
        if fresh:
            places += fresh
            size_px = int(image.shape[1]), int(image.shape[0])
            found.append(Chosen(shot, size_px, alarms, {"false_alarms": _as_json(alarms)}, _caption(alarms)))
    found.sort(key=lambda one: (-float(one.boxes.score.max()), one.shot.name))
    return found[: request.count]


def _alarms(found: Detections, request: Request) -> Detections:
    """Keep the boxes of absent classes that would be taken at run time."""
    absent = np.array([found.names[label] in request.absent for label in found.label], dtype=bool)
    return found.where(absent).above(request.score_min)


_Place = tuple[str, tuple[float, float, float, float]]


def _places(found: Detections) -> list[_Place]:
    rows = zip(found.label.tolist(), found.xyxy.tolist(), strict=True)
    return [(found.names[label], (box[0], box[1], box[2], box[3])) for label, box in rows]


def _is_listed(place: _Place, places: Sequence[_Place]) -> bool:
    return any(place[0] == name and iou(place[1], box) >= SAME_PLACE_IOU for name, box in places)


def _as_json(found: Detections) -> list[dict[str, Any]]:
    rows = zip(_places(found), found.score.tolist(), strict=True)
    return [
        {"label": name, "score": round(score, 4), "xyxy": [round(side, 1) for side in box]}
        for (name, box), score in rows
    ]


def _caption(found: Detections) -> str:
    rows = zip(found.label.tolist(), found.score.tolist(), strict=True)
    return ", ".join(f"{found.names[label]} {score:.2f}" for label, score in rows)


def _samples(chosen: Sequence[Chosen], request: Request, made: Path) -> list[Sample]:
    others = [name for name in request.names if name not in request.absent]
    return [
        Sample(
            path=picture_of(one, number, made),
            size_px=one.size_px,
            boxes=tuple(_nowhere_judged(name, one.size_px) for name in others),
            split="train",
            scene=f"clip:{one.shot.scene}",
            unlabelled=frozenset(others),
            source=SOURCE,
        )
        for number, one in enumerate(chosen, 1)
    ]


def _nowhere_judged(name: str, size_px: tuple[int, int]) -> LabelledBox:
    return LabelledBox(name, (0.0, 0.0, float(size_px[0]), float(size_px[1])), "added", ignore=True)


def _manifest(request: Request) -> Manifest:
    what = f"False alarms: pictures without {', '.join(request.absent)}; nothing else is labelled."
    source = Source(folder=SOURCE, title=request.folder.name, licence=request.licence, kind="mined")
    return Manifest(name=request.out.name, licence=request.licence, what=what, source=(source,))
