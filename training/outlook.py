"""What more epochs would bring: AP50 against the pictures seen, what is wanted, an extrapolation. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.origins import table

WANTED = {
    "bin_overflow": 0.94,
    "garbage": 0.85,
    "bin": 0.95,
    "litter": 0.55,
    "stall": 0.60,
    "flying_wire": 0.80,
}
"""AP50 on the val lists that a version is to reach; the only place that says so."""
CONTEXT = ("person", "bicycle", "motorcycle", "car", "bus", "truck")
"""Classes that are held to the base model: no more than BEHIND_BASE_MAX under it, on the base's own list."""
BEHIND_BASE_MAX = 0.02
BASE_SET = "coco_mini"
"""The set whose val list the base model is compared on."""
ON_BASE_SET = "ap50_base_set"
"""Key of a row of epoch_curve.json: AP50 on BASE_SET alone, of a class that this set labels."""
SHOWN = (*WANTED, *CONTEXT)
POINTS_MIN = 4
"""Epochs that a slope is fitted to at the least; the last epochs of a longer run are its later half."""
RISE_MIN = 0.01
"""AP50 per doubling of the pictures seen; a slope that is not above it counts as none."""
DOUBLINGS_MAX = 10
"""More doublings are not written as a number of pictures."""


@dataclass(frozen=True, slots=True)
class Rise:
    """How fast a class still gains: the slower of its last epochs and of all of them.

    A stage begins with a dip, and climbing out of it is no rise; what the first epochs gained is none either.

    Args:
        per_doubling: AP50 gained whenever the pictures seen double.
        last: how many the last epochs are.
        epochs: how many there are.
    """

    per_doubling: float
    last: int
    epochs: int


def rise_of(points: Sequence[tuple[int, float]]) -> Rise | None:
    """Fit AP50 against log2 of the pictures seen by least squares; None for fewer than POINTS_MIN points.

    Args:
        points: (pictures seen, AP50), in any order, no number of pictures twice. The last epochs are the
            later half, POINTS_MIN points at the least.

    >>> rise_of([(100, 0.1), (200, 0.2), (400, 0.3), (800, 0.4)])
    Rise(per_doubling=0.1, last=4, epochs=4)
    >>> rise_of([(100, 0.1), (200, 0.2), (400, 0.3)])
    """
    if len(points) < POINTS_MIN:
        return None
    ordered = sorted(points)
    last = ordered[-max(POINTS_MIN, math.ceil(len(points) / 2)) :]
    return Rise(round(min(slope_of(last), slope_of(ordered)), 6), len(last), len(points))


def slope_of(points: Sequence[tuple[int, float]]) -> float:
    """Give AP50 per doubling by least squares.

    Args:
        points: (number of pictures, AP50), with two different numbers at the least.

    >>> round(slope_of([(100, 0.1), (200, 0.2), (400, 0.3)]), 6)
    0.1
    """
    across, up = [math.log2(seen) for seen, _ in points], [ap50 for _, ap50 in points]
    middle, height = math.fsum(across) / len(points), math.fsum(up) / len(points)
    spread = math.fsum((x - middle) ** 2 for x in across)
    return math.fsum((x - middle) * (y - height) for x, y in zip(across, up, strict=True)) / spread


def wanted_of_base(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Give the AP50 that people and vehicles are to reach on the base's list: the base's own, less 0.02.

    >>> base = {"car": {"ap50": 0.6}, "oven": {"ap50": 0.5}}
    >>> wanted_of_base({"base": {"base": base, "model": {"car": {"ap50": 0.5}}}})
    {'car': 0.58}
    """
    base = metrics["base"]
    return {
        name: round(base["base"][name]["ap50"] - BEHIND_BASE_MAX, 4)
        for name in CONTEXT
        if name in base["base"] and name in base["model"]
    }


def outlook(name: str, now: float, points: Sequence[tuple[int, float]], wanted: float | None = None) -> str:
    """Say in one sentence what more epochs would bring a class; nothing where it is not short.

    Args:
        name: class.
        now: its AP50.
        points: as for `rise_of`.
        wanted: AP50 that it is to reach; None is what WANTED says.

    >>> outlook("bin", 0.95, [(1000, 0.80)])
    ''
    >>> print(outlook("bin", 0.90, [(1000, 0.80), (2000, 0.83), (4000, 0.80), (8000, 0.80)]))
    bin has 0.900 of the 0.95 wanted and does not rise any more with epochs: it needs other data.
    """
    told = f"{WANTED.get(name, 0.0):.2f}" if wanted is None else f"{wanted:.3f}"
    wanted = WANTED.get(name, 0.0) if wanted is None else wanted
    if now >= wanted:
        return ""
    said, rise = f"{name} has {now:.3f} of the {told} wanted", rise_of(points)
    if rise is None:
        few = f"{len(points)}, and {POINTS_MIN} are needed"
        return f"{said}; too few epochs were measured to say whether it still rises ({few})."
    if rise.per_doubling <= RISE_MIN:
        return f"{said} and does not rise any more with epochs: it needs other data."
    doublings = (wanted - now) / rise.per_doubling
    seen = max(seen for seen, _ in points) * 2.0 ** min(doublings, DOUBLINGS_MAX)
    over = f"the slower of its last {rise.last} epochs and of all {rise.epochs}"
    if rise.last == rise.epochs:
        over = f"over all {rise.epochs} epochs"
    about = "about" if doublings <= DOUBLINGS_MAX else "far more than"
    return (
        f"{said} and rises by {rise.per_doubling:.3f} per doubling of the pictures seen ({over}); "
        f"at that slope {doublings:.1f} more doublings would do it, "
        f"{about} {float(f'{seen:.2g}'):,.0f} pictures seen (an extrapolation, not a measurement)."
    )


def curve_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay out the rows of epoch_curve.json: a line per epoch, a column per measured class of SHOWN.

    People and vehicles stand there as on BASE_SET alone, where the rows say it.
    """
    at = {(row["pictures_seen"], row["class"]): row.get(ON_BASE_SET, row["ap50"]) for row in rows}
    after = {row["pictures_seen"]: f"{row['stage']} {row['epoch'] + 1}" for row in rows}
    names = [name for name in SHOWN if any(row["class"] == name for row in rows)]
    lines = [
        [
            f"{seen:,}",
            after[seen],
            *(f"{at[seen, name]:.3f}" if (seen, name) in at else "" for name in names),
        ]
        for seen in sorted(after)
    ]
    return table(["pictures seen", "after epoch", *names], lines)


def outlooks(
    rows: Sequence[Mapping[str, Any]],
    now: Mapping[str, float],
    base: Mapping[str, tuple[float, float]] | None = None,
) -> list[str]:
    """Give a sentence for every class that is short of WANTED, or of what the base model asks of it.

    Args:
        rows: of epoch_curve.json.
        now: class -> AP50 that counts; a class that is not in it is left out.
        base: class -> AP50 and AP50 wanted, both on BASE_SET.
    """
    points = _points(rows, dict.fromkeys(WANTED, "ap50"))
    said = [outlook(name, now[name], points[name]) for name in WANTED if name in now]
    theirs = base or {}
    points = _points(rows, dict.fromkeys(theirs, ON_BASE_SET))
    said += [outlook(name, has, points[name], wanted) for name, (has, wanted) in theirs.items()]
    return [sentence for sentence in said if sentence]


def _points(rows: Sequence[Mapping[str, Any]], keys: Mapping[str, str]) -> dict[str, list[tuple[int, float]]]:
    """Give class -> (pictures seen, figure): the figure of each class that its key names."""
    points: dict[str, list[tuple[int, float]]] = {name: [] for name in keys}
    for row in rows:
        key = keys.get(row["class"])
        if key and key in row:
            points[row["class"]].append((row["pictures_seen"], row[key]))
    return points


def by_epochs(metrics: Mapping[str, Any]) -> str:
    """Give the card's section; nothing where no epochs were measured."""
    rows = metrics.get("epoch_curve")
    if not rows:
        return ""
    start = metrics.get("start", {}).get("start")
    since = f"this training began (with {start}, which had seen others)" if start else "training began"
    base = {
        name: (metrics["base"]["model"][name]["ap50"], wanted)
        for name, wanted in wanted_of_base(metrics).items()
    }
    rows = [_on_base_set(row, metrics) for row in rows]
    sentences = outlooks(rows, {name: row["ap50"] for name, row in metrics["classes"].items()}, base)
    short = "".join(f"- {sentence}\n" for sentence in sentences) or "No class is short of what was wanted.\n"
    return f"""## Learning curve by epochs

AP50 on the same val lists (OpenVINO, bf16) of the checkpoint of every epoch, against the pictures seen since
{since}: those of the stage's list, rendered and repeated ones too, times
its epochs; people and vehicles on {BASE_SET} alone, where they are held to the base model less 0.02. They are
the weights as an epoch left them; averages made after a stage are in what the next one began with, and in the
figures at the top. `make bench-model` does not measure these figures again: the checkpoints of single epochs
are not committed.

{curve_table(rows)}

What more epochs would bring the classes that are short of what was wanted. The learning rate falls within a
stage and settings change between stages, so a slope over so few epochs is a hint.

{short}"""


def _on_base_set(row: Mapping[str, Any], metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a row of a class that no other val list labels the figure on BASE_SET, where it lacks that key."""
    measured = metrics["classes"].get(row["class"], {}).get("sets")
    if measured == [BASE_SET] and ON_BASE_SET not in row:
        return {**row, ON_BASE_SET: row["ap50"]}
    return row
