"""Pick the next pictures to label: what the model is unsure of, what two opinions differ on, what is new.

Two passes: all pictures are looked at once and only what they are worth is kept; the chosen ones are read
again for the sheet and, where they are frames of clips, to be written as pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from detector.errors import WrongUse
from detector.types import Detections, Image
from training.dataset.look import dhash
from training.dataset.store import scratch_beside
from training.mining.choose import Candidate, Known, Pick, Weights, choose
from training.mining.listing import Chosen, write_list
from training.mining.pool import Shot, shots
from training.mining.value import disagreement, look, mirrored, uncertainty

LOG = logging.getLogger(__name__)

SCORE_FROM = 0.05
"""Boxes below it are not asked for: they say nothing about doubt."""

Detect = Callable[[Image], Detections]


@dataclass(frozen=True, slots=True)
class Request:
    """What to mine.

    Args:
        folder: pictures and clips.
        out: new folder for list, sheet and frames.
        detect: picture -> boxes from SCORE_FROM on.
        score_min: threshold per class.
        second: another model's opinion; None asks the same model about the mirror image.
        count: pictures wanted.
        every_s: seconds between two frames of a clip.
        per_scene: most pictures of one clip or folder; None for twice a fair share.
        known: folder of pictures that are labelled already.
        weights: of the reasons.
        classes: whose boxes count; empty for all that the model knows.
    """

    folder: Path
    out: Path
    detect: Detect
    score_min: Mapping[str, float]
    second: Detect | None = None
    count: int = 50
    every_s: float = 1.0
    per_scene: int | None = None
    known: Path | None = None
    weights: Weights = field(default_factory=Weights)
    classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Seen:
    shot: Shot
    size_px: tuple[int, int]
    candidate: Candidate
    boxes: Detections


def mine(request: Request) -> list[dict[str, Any]]:
    """Choose pictures to label; `out` holds mined.json (what is given), sheet.jpg and frames.

    Raises:
        WrongUse: there are no pictures, `out` exists, or a number makes no sense.
        Failure: a picture or clip is damaged.
    """
    if request.count < 1 or request.every_s <= 0 or (request.per_scene or 1) < 1:
        raise WrongUse("--count and --per-scene must be at least 1, and --every more than 0 seconds.")
    with scratch_beside(request.out) as scratch:
        known = _known(request.known) if request.known else None
        pictures = shots(request.folder, request.every_s)
        progress = tqdm(pictures, desc="mine", unit="picture", leave=False, disable=None)
        seen = [_seen(shot, image, request) for shot, image in progress]
        scenes = len({one.shot.scene for one in seen})
        picks = choose(
            [one.candidate for one in seen],
            request.count,
            per_scene=request.per_scene or max(1, -(-2 * request.count // scenes)),
            weights=request.weights,
            known=known,
        )
        made = scratch / "made"
        made.mkdir()
        chosen = [_chosen(seen[pick.index], pick) for pick in picks]
        rows = write_list(chosen, request.every_s, made, "mined.json")
        made.rename(request.out)
    LOG.info("%d of %d pictures in %d scenes chosen", len(rows), len(seen), scenes)
    return rows


def _seen(shot: Shot, image: Image, request: Request) -> _Seen:
    found = of_classes(request.detect(image), request.classes)
    width, height = int(image.shape[1]), int(image.shape[0])
    if request.second is not None:
        other = of_classes(request.second(image), request.classes)
    else:
        mirror = request.detect(np.ascontiguousarray(image[:, ::-1]))
        other = mirrored(of_classes(mirror, request.classes), width)
    doubt = uncertainty(found, request.score_min)
    candidate = Candidate(
        shot.name, shot.scene, doubt, disagreement(*in_common(found, other)), look(image), dhash(image)
    )
    shown = found.above({name: limit / 2 for name, limit in request.score_min.items()})
    return _Seen(shot, (width, height), candidate, shown)


def in_common(one: Detections, other: Detections) -> tuple[Detections, Detections]:
    """Give two opinions on the classes that both models know."""
    both = frozenset(one.names) & frozenset(other.names)
    return of_classes(one, both), of_classes(other, both)


def of_classes(found: Detections, names: frozenset[str]) -> Detections:
    """Keep the boxes of some classes; of all where none is named."""
    if not names:
        return found
    return found.where(np.array([found.names[label] in names for label in found.label], dtype=bool))


def _known(folder: Path) -> Known:
    images = (image for _, image in shots(folder, every_s=1e9))
    pairs = [(look(image), dhash(image)) for image in images]
    return Known(np.stack([vector for vector, _ in pairs]), tuple(bits for _, bits in pairs))


def _chosen(seen: _Seen, pick: Pick) -> Chosen:
    facts = {
        "uncertainty": round(seen.candidate.uncertainty, 4),
        "disagreement": round(seen.candidate.disagreement, 4),
        "novelty": round(pick.novelty, 4),
    }
    caption = " ".join(f"{name} {value:.2f}" for name, value in facts.items())
    return Chosen(seen.shot, seen.size_px, seen.boxes, {"value": round(pick.value, 4), **facts}, caption)
