# ruff: noqa: E501 - Markdown tables
"""What a version is short of, and what data would mend it: a section of its card, from metrics.json. Pure.

For every class that is short of what was wanted: by how much and whether the val boxes can tell, what it was
taught with, where its labels are missed, what more different pictures brought in short trainings, and what
the data set's description says is lacking. What more epochs bring stands in `training.outlook`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from training.origins import table
from training.outlook import BEHIND_BASE_MAX, DOUBLINGS_MAX, RISE_MIN, WANTED, slope_of, wanted_of_base

FEW_BOXES = 30

Metrics = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Short:
    """A class that is short of what was wanted.

    Args:
        name: of the class.
        now: its AP50.
        wanted: AP50.
        low: lower end of the 95 % interval of `now`; of a class of the base, of `now` less the base's, plus the
            base's. None where no interval was measured.
        high: upper end.
        n: labelled boxes in val.
        base: name of the base model's list where the base is what it is held to, else "".
    """

    name: str
    now: float
    wanted: float
    low: float | None
    high: float | None
    n: int
    base: str = ""

    @property
    def gap(self) -> float:
        """AP50 that is missing."""
        return self.wanted - self.now

    @property
    def certain(self) -> bool:
        """Whether what was wanted lies beyond the interval."""
        return self.high is not None and self.high < self.wanted

    def boxes_to_tell(self) -> int | None:
        """Give the val boxes from which on a gap like this would lie outside the interval; None: it does.

        An interval's width falls with the square root of the boxes. With fewer than FEW_BOXES the interval itself
        is not to be trusted, so no smaller number is given.

        >>> Short("bin", 0.90, 0.92, 0.86, 0.94, 100).boxes_to_tell()
        400
        >>> Short("bin", 0.90, 0.95, 0.86, 0.94, 100).boxes_to_tell()
        """
        if self.certain or self.high is None or self.gap <= 0:
            return None
        return max(math.ceil(self.n * ((self.high - self.now) / self.gap) ** 2 - 1e-9), FEW_BOXES)


def shortfalls(metrics: Metrics) -> list[Short]:
    """Give the classes that are short: of WANTED on the val lists, of the base model's figure on its list."""
    rows, base = metrics["classes"], metrics["base"]
    found = [
        Short(
            name, rows[name]["ap50"], wanted, rows[name]["ap50_low"], rows[name]["ap50_high"], rows[name]["n"]
        )
        for name, wanted in WANTED.items()
        if name in rows
    ]
    wanted_now = wanted_of_base(metrics)
    for name, wanted in wanted_now.items():
        theirs, row = base["base"][name]["ap50"], base["model"][name]
        apart = base.get("difference", {}).get(name, {})
        low, high = (theirs + apart[key] if apart else None for key in ("low", "high"))
        found.append(Short(name, row["ap50"], wanted, low, high, row["n"], base["set"]))
    return [one for one in found if round(one.gap, 4) > 0]


@dataclass(frozen=True, slots=True)
class Gain:
    """What more different pictures brought a class, the steps of training being the same.

    Args:
        points: (different real pictures, AP50), fewest first.
        per_doubling: AP50 by least squares.
        chance: how far AP50 of trainings that differ in nothing but the seed lie apart; None: not measured.
    """

    points: tuple[tuple[int, float], ...]
    per_doubling: float
    chance: float | None

    @property
    def speaks(self) -> bool:
        """Whether the rise over the whole curve is more than chance, and a slope to reckon with."""
        across = math.log2(self.points[-1][0] / self.points[0][0])
        return self.per_doubling > RISE_MIN and self.per_doubling * across > (self.chance or 0.0)


def gain_of(metrics: Metrics, name: str) -> Gain | None:
    """Give what more pictures brought a class; None where fewer than three shares of them were tried."""
    rows = metrics.get("learning_curve") or ()
    points = tuple(sorted((row["pictures"], row["ap50"]) for row in rows if row["class"] == name))
    if len({pictures for pictures, _ in points}) < 3:
        return None
    return Gain(points, round(slope_of(points), 6) + 0.0, _chance(metrics.get("ablations") or (), name))


def _chance(runs: Sequence[Mapping[str, Any]], name: str) -> float | None:
    same = [run for run in runs if run["name"] == "reference" or run["name"].startswith("seed ")]
    found = [run["classes"][name]["ap50"] for run in same if name in run["classes"]]
    return round(max(found) - min(found), 4) if len(found) > 1 else None


def section(metrics: Metrics, dataset: Mapping[str, Any]) -> str:
    """Give the card's section; nothing where no class is short."""
    short = shortfalls(metrics)
    if not short:
        return ""
    lines = "".join(f"- {sentence}\n" for sentence in (_sentences(one, metrics, dataset) for one in short))
    columns = _columns(metrics)
    rows = [[cell(one) for cell in columns.values()] for one in short]
    return f"""## What is short, and what data would mend it

Every class whose AP50 is below what was wanted of it; people and vehicles are held to the base model less 2 points, on
{metrics["base"]["set"]}. "Val boxes to tell" is how many labelled boxes it takes until a gap of that size lies outside the 95 % interval
(whose width falls with the square root of them); where it says "enough", the gap is no chance. "Not found" are labels
without a box at the class's threshold, on all its val lists, by size.

{table(list(columns), rows)}
{_how(metrics)}
{lines}"""


def _how(metrics: Metrics) -> str:
    """Say how the sentences are to be read, as far as there are curves."""
    said = []
    if metrics.get("learning_curve"):
        said.append(
            "By pictures: trainings of one short length on more and more different real pictures (the table above); a slope\n"
            "counts where the rise over the whole curve is more than what trainings that differ in their seed alone differ by.\n"
            "Numbers of boxes to label are extrapolations, not measurements."
        )
    if metrics.get("epoch_curve"):
        said.append("By epochs: see the curve above.")
    return "\n" + "\n".join(said) + "\n" if said else ""


Cell = Callable[[Short], Any]


def _columns(metrics: Metrics) -> dict[str, Cell]:
    """Give the columns of the table: those that were measured."""
    columns: dict[str, Cell] = {
        "class": lambda one: one.name,
        "AP50": lambda one: f"{one.now:.3f}",
        "wanted": lambda one: f"{one.wanted:.3f}",
        "short by": lambda one: f"{one.gap:.3f}",
        "val boxes": lambda one: one.n,
        "val boxes to tell": _tells,
    }
    if metrics.get("taught"):
        columns["real boxes learnt from"] = lambda one: _taught(metrics, one, "real", "boxes")
        columns["on real pictures"] = lambda one: _taught(metrics, one, "real", "pictures")
        columns["rendered boxes"] = lambda one: _taught(metrics, one, "rendered", "boxes")
    sizes = list(metrics.get("slices", {}).get("size", {}))
    if sizes:
        columns["not found"] = lambda one: sum(count for count, _ in _missed(metrics, one.name))
    for at, size in enumerate(sizes):
        columns[size.partition(" (")[0]] = partial(_missed_at, metrics, at)
    return columns


def _tells(one: Short) -> str:
    tell = one.boxes_to_tell()
    if tell is None:
        return "enough" if one.certain else "no interval"
    return _about(tell)


def _taught(metrics: Metrics, one: Short, kind: str, of: str) -> int:
    return int(metrics.get("taught", {}).get(one.name, {}).get(kind, {}).get(of, 0))


def _missed_at(metrics: Metrics, at: int, one: Short) -> str:
    missed, labelled = _missed(metrics, one.name)[at]
    return f"{missed} of {labelled}"


def _missed(metrics: Metrics, name: str) -> list[tuple[int, int]]:
    """Give (not found, labelled) by size, smallest first; nothing where no slices were measured."""
    sizes = [values.get(name) for values in metrics.get("slices", {}).get("size", {}).values()]
    return [(round(row["n"] * (1 - row["recall"])), row["n"]) if row else (0, 0) for row in sizes]


def _sentences(one: Short, metrics: Metrics, dataset: Mapping[str, Any]) -> str:
    held = (
        f"{one.wanted + BEHIND_BASE_MAX:.3f} of the base model less {BEHIND_BASE_MAX:g}, on {one.base}"
        if one.base
        else f"{one.wanted:.2f} wanted"
    )
    said = [
        f"**{one.name}** has {one.now:.3f} of the {held}.",
        _telling(one),
        _by_pictures(one, metrics, dataset),
    ]
    lacking = dataset.get("lacking", {}).get(one.name)
    said.append(f"What data would do it: {lacking}" if lacking else _first_step(one, metrics))
    return " ".join(part for part in said if part)


def _telling(one: Short) -> str:
    tell = one.boxes_to_tell()
    if tell is None:
        return ""
    return f"Its {one.n} val boxes cannot tell this from chance: about {_about(tell)} could."


def _by_pictures(one: Short, metrics: Metrics, dataset: Mapping[str, Any]) -> str:
    gain = gain_of(metrics, one.name)
    if gain is None:
        return "How it gains with more pictures was not measured (`python -m training.ablate`)."
    values = ", ".join(f"{ap50:.3f}" for _, ap50 in gain.points)
    counts = ", ".join(f"{pictures:,}" for pictures, _ in gain.points)
    chance = (
        "chance was not measured" if gain.chance is None else f"chance alone moves it by {gain.chance:.3f}"
    )
    sets = metrics["classes"].get(one.name, {}).get("sets", [])
    where = f" on {' and '.join(sets)}" if one.base and sets != [one.base] else ""
    curve = f"With {counts} different pictures it had {values}{where} ({gain.per_doubling:+.3f} per doubling; {chance})"
    if not gain.speaks:
        return (
            f"{curve}: no rise that such short trainings can show, so no number of pictures follows from it."
        )
    doublings = one.gap / gain.per_doubling
    times = 2.0 ** min(doublings, DOUBLINGS_MAX)
    now = _taught(metrics, one, "real", "boxes") or dataset.get("train", {}).get("boxes", {}).get(one.name)
    about = "about" if doublings <= DOUBLINGS_MAX else "far more than"
    boxes = f", {about} {_about(now * times)} boxes instead of {now:,}" if now else ""
    return f"{curve}: at that slope {doublings:.1f} more doublings would do it{boxes}."


def _first_step(one: Short, metrics: Metrics) -> str:
    """Say where labels are missed, where nobody described what is lacking."""
    missed = _missed(metrics, one.name)
    if not missed:
        return "What data would do it: boxes like those of its val list; twice as many would show whether they help."
    names = list(metrics["slices"]["size"])
    worst = max(range(len(missed)), key=lambda at: missed[at][0])
    return (
        f"What data would do it: boxes like those it misses most, {names[worst]} ({missed[worst][0]} of the "
        f"{sum(count for count, _ in missed)} not found)."
    )


def _about(count: float) -> str:
    """Give two significant digits.

    >>> _about(12345), _about(87)
    ('12,000', '87')
    """
    return f"{float(f'{count:.2g}'):,.0f}"
