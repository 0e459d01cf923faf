"""What people of this project and the base model said about the backgrounds: readers of the CSV files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from training.scenes.wires.catenary import Point
from training.scenes.wires.paint import Box

CERTAIN, SURE, DOUBTFUL = 1.0, 0.5, 0.2
"""A guessed person or vehicle is a label from SURE on; between the two it is a region not to be judged."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a person saw in a picture: y of the wall's foot, free span of the ground, all as shares."""

    foot: float
    left: float
    right: float


def read_places(path: Path) -> dict[str, Place]:
    """Read the hand-made places, by picture name (set/picture)."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["picture"]: Place(float(row["foot"]), float(row["left"]), float(row["right"]))
            for row in csv.DictReader(file)
        }


def read_sources(path: Path) -> dict[str, list[Point]]:
    """Read hand-made cable sources, by picture name (set/picture)."""
    found: dict[str, list[Point]] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["picture"], []).append((float(row["x"]), float(row["y"])))
    return found


def read_context(path: Path) -> dict[str, list[tuple[str, Box, float]]]:
    """Read people and vehicles that the base model found, by picture name (set/picture)."""
    found: dict[str, list[tuple[str, Box, float]]] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                box = (float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"]))
                found.setdefault(row["picture"], []).append((row["class"], box, float(row["score"])))
    return found


def read_added(folder: Path) -> dict[str, list[tuple[str, Box, float]]]:
    """Read what people of this project labelled in these pictures: certain boxes, and regions of doubt."""
    found: dict[str, list[tuple[str, Box, float]]] = {}
    for file, score in (("boxes_added.csv", CERTAIN), ("ignore_added.csv", DOUBTFUL)):
        if (folder / file).is_file():
            with (folder / file).open(encoding="utf-8", newline="") as rows:
                for row in csv.DictReader(rows):
                    x, y, w, h = (float(row[key]) for key in "xywh")
                    name = f"{row['set']}/{Path(row['picture']).stem}"
                    box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                    found.setdefault(name, []).append((row["class"], box, score))
    return found


def held_out(folder: Path) -> frozenset[str]:
    """Names (set/picture) of train-list pictures that are kept for measuring: no scene may show them."""
    path = folder / "overhead_held_out.csv"
    if not path.is_file():
        return frozenset()
    with path.open(encoding="utf-8", newline="") as file:
        return frozenset(f"{row['set']}/{Path(row['picture']).stem}" for row in csv.DictReader(file))
