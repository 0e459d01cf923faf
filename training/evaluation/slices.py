"""The same figures on parts of the pictures or boxes: where a model is good, and where it is not. Pure.

size    COCO's small, medium and large by area, in pixels of the pictures as they are
height  by height of the box in pixels
light   bright or dark: mean luminance of the picture from DARK_BELOW on, or below. It stands for day and
        night where no clock was recorded; a picture in deep shade counts as dark.
set     by source
place   whether a train picture shows the same place; only of sets in which that is known of some picture
contrast  of flying wires in rendered pictures: faint (FAINT_BELOW) or clear
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from training.evaluation.intervals import ap_interval, recall_interval
from training.evaluation.lists import ValList
from training.labels import Taxonomy
from training.metrics import LabelledPicture, Matches, SizeRange, average_precision, draws, match

DARK_BELOW = 80.0
"""Of 255. Below it lie the pictures of cn_garbage_bins taken at night (looked at one by one)."""

FAINT_BELOW = 25.0
"""Grey levels that a cable differs by from what is behind it, on average. Fainter ones a person has to search
for (looked at side by side); of those in the val scenes about one in five is."""
WIRE = "flying_wire"

SIZES = (
    SizeRange("small (under 32x32 px)", 0, 32**2),
    SizeRange("medium", 32**2, 96**2),
    SizeRange("large (over 96x96 px)", 96**2, 1e10),
)
HEIGHTS = (
    SizeRange("under 32 px", 0, 32, "height"),
    SizeRange("32 to 96 px", 32, 96, "height"),
    SizeRange("96 to 256 px", 96, 256, "height"),
    SizeRange("over 256 px", 256, 1e10, "height"),
)

Row = dict[str, Any]
SamePlaces = frozenset[tuple[str, str]]
"""(set, file name) of val pictures whose place a train picture shows too."""


def measure_slices(
    lists: Sequence[ValList],
    taxonomy: Taxonomy,
    score_min: Mapping[str, float],
    rounds: int = 1000,
    same_places: SamePlaces = frozenset(),
) -> dict[str, dict[str, dict[str, Row]]]:
    """Give slice -> value -> class -> {n, ap50, ap50_low, ap50_high, recall, recall_low, recall_high}.

    A class without a labelled box in a part is left out of it.

    Args:
        lists: val lists, looked at.
        taxonomy: the project's classes.
        score_min: operating threshold of each class, for recall; other classes are left out.
        rounds: of the bootstrap.
        same_places: pictures for the slice "place".
    """
    slices: dict[str, dict[str, dict[str, Row]]] = {}
    for label, name in enumerate(taxonomy.names):
        carrying = [entry for entry in lists if name in entry.carried]
        if name not in score_min or not carrying:
            continue
        parts = _parts(carrying, label, same_places)
        if name == WIRE:
            parts |= _by_contrast(carrying, label)
        for (kind, value), (ranked, at_work) in parts.items():
            part = slices.setdefault(kind, {}).setdefault(value, {})
            if ranked.labelled.sum():
                part[name] = _row(ranked, at_work, score_min[name], rounds)
    return slices


def _parts(
    lists: Sequence[ValList], label: int, same_places: SamePlaces
) -> dict[tuple[str, str], tuple[Matches, Matches]]:
    """Give (slice, value) -> the matches of one class: of all boxes, and as at work."""
    pictures = [picture for entry in lists for picture in entry.pictures]
    at_work = [picture for entry in lists for picture in entry.at_work]
    parts: dict[tuple[str, str], tuple[Matches, Matches]] = {}
    for kind, sizes in (("size", SIZES), ("height", HEIGHTS)):
        both = zip(sizes, match(pictures, label, sizes), match(at_work, label, sizes), strict=True)
        parts |= {(kind, one.name): (ranked, working) for one, ranked, working in both}
    (ranked,), (working,) = match(pictures, label), match(at_work, label)
    for (kind, value), chosen in _groups(lists, same_places).items():
        parts[kind, value] = ranked.of(chosen), working.of(chosen)
    return parts


def _by_contrast(lists: Sequence[ValList], label: int) -> dict[tuple[str, str], tuple[Matches, Matches]]:
    """Give the matches of flying wires that are faint, and of those that are not; of the others none."""
    contrast = [greys for entry in lists for greys in entry.contrast or [None] * len(entry.files)]
    if not any(contrast):
        return {}
    pictures = [picture for entry in lists for picture in entry.pictures]
    at_work = [picture for entry in lists for picture in entry.at_work]
    parts = {}
    for value, low, high in (
        (f"faint (under {FAINT_BELOW:.0f} grey levels)", 0.0, FAINT_BELOW),
        ("clear", FAINT_BELOW, np.inf),
    ):
        ranked, working = (
            match(_only(several, contrast, label, low, high), label)[0] for several in (pictures, at_work)
        )
        parts["contrast", value] = ranked, working
    return parts


def _only(
    pictures: Sequence[LabelledPicture],
    contrast: Sequence[tuple[float, ...] | None],
    label: int,
    low: float,
    high: float,
) -> list[LabelledPicture]:
    """Give the pictures of which contrasts are known; labels of other contrasts are ignored there."""
    chosen = []
    for picture, greys in zip(pictures, contrast, strict=True):
        mine = np.flatnonzero(picture.truth_class == label)
        if greys is None or len(greys) != len(mine):
            continue
        out = mine[[not low <= grey < high for grey in greys]] if greys else mine
        chosen.append(
            replace(
                picture,
                truth_xyxy=np.delete(picture.truth_xyxy, out, axis=0),
                truth_class=np.delete(picture.truth_class, out),
                ignore_xyxy=np.concatenate([picture.ignore_xyxy, picture.truth_xyxy[out]]),
                ignore_class=np.append(picture.ignore_class, picture.truth_class[out]),
            )
        )
    return chosen


def _groups(
    lists: Sequence[ValList], same_places: SamePlaces = frozenset()
) -> dict[tuple[str, str], npt.NDArray[np.int64]]:
    """Give (slice, value) -> numbers of the pictures of all lists that belong."""
    light = np.array([value for entry in lists for value in entry.light])
    folder = np.array([entry.folder for entry in lists for _ in entry.files])
    groups = {("light", "bright"): light >= DARK_BELOW, ("light", "dark"): light < DARK_BELOW}
    groups |= {("set", entry.folder): folder == entry.folder for entry in lists}
    again = np.array([(entry.folder, file.name) in same_places for entry in lists for file in entry.files])
    if again.any():
        known = np.isin(folder, folder[again])
        groups |= {("place", "in train too"): again, ("place", "in val only"): known & ~again}
    return {key: np.flatnonzero(belongs) for key, belongs in groups.items()}


def _row(ranked: Matches, at_work: Matches, limit: float, rounds: int) -> Row:
    weights = draws(len(ranked.labelled), rounds)
    n = int(ranked.labelled.sum())
    low, high = ap_interval(ranked, weights)
    recall_low, recall_high = recall_interval(at_work, limit, weights)
    figures = {
        "ap50": average_precision(ranked.score, ranked.hit, n),
        "ap50_low": low,
        "ap50_high": high,
        "recall": float(at_work.hit[at_work.score >= limit].sum()) / n,
        "recall_low": recall_low,
        "recall_high": recall_high,
    }
    return {"n": n, **{key: round(value, 4) for key, value in figures.items()}}
