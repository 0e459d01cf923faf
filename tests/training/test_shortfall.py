"""Every class that is short gets its gap, its curve and what data would do it; no other class does."""

from __future__ import annotations

import doctest
import tomllib
from pathlib import Path
from typing import Any

import pytest

from training import shortfall
from training.labels import load_taxonomy
from training.outlook import CONTEXT, WANTED

REPOSITORY = Path(__file__).resolve().parents[2]


def some_metrics(**changed: Any) -> dict[str, Any]:
    """Give a version that has what was wanted in every class."""
    row = {"ap50": 0.96, "ap50_low": 0.94, "ap50_high": 0.97, "n": 100, "sets": ["coco_mini"]}
    theirs = {"ap50": 0.9, "ap5095": 0.5, "n": 10}
    return {
        "classes": {name: dict(row) for name in (*WANTED, *CONTEXT)},
        "base": {
            "set": "coco_mini",
            "model": {name: dict(theirs) for name in CONTEXT},
            "base": {name: dict(theirs) for name in (*CONTEXT, "oven")},
            "difference": {name: {"low": -0.05, "high": 0.05} for name in CONTEXT},
        },
        **changed,
    }


def a_curve(name: str, *values: float) -> list[dict[str, Any]]:
    return [{"pictures": 250 * 2**number, "class": name, "ap50": ap50} for number, ap50 in enumerate(values)]


def repeats(name: str, *values: float) -> list[dict[str, Any]]:
    names = ("reference", "seed 1", "no scenes")
    return [
        {"name": run, "classes": {name: {"ap50": ap50, "n": 9}}}
        for run, ap50 in zip(names, values, strict=False)
    ]


def bullet(metrics: dict[str, Any], name: str, dataset: dict[str, Any] | None = None) -> str:
    text = shortfall.section(metrics, dataset or {})
    (line,) = [line for line in text.splitlines() if line.startswith(f"- **{name}**")]
    return line


def test_doctests() -> None:
    result = doctest.testmod(shortfall)
    assert result.attempted
    assert not result.failed


def test_a_version_that_has_it_all_has_no_section() -> None:
    assert shortfall.section(some_metrics(), {}) == ""


@pytest.mark.parametrize("name", [*WANTED, *CONTEXT])
def test_every_class_that_is_short_is_spoken_of_with_its_curve_and_what_it_needs(name: str) -> None:
    metrics = some_metrics(learning_curve=a_curve(name, 0.3, 0.4, 0.5), ablations=repeats(name, 0.5, 0.49))
    metrics["classes"][name] |= {"ap50": 0.5, "ap50_low": 0.4, "ap50_high": 0.53}
    if name in CONTEXT:
        metrics["base"]["model"][name]["ap50"] = 0.5
    assert [one.name for one in shortfall.shortfalls(metrics)] == [name]
    line = bullet(metrics, name, {"lacking": {name: "more of it."}})
    assert "With 250, 500, 1,000 different pictures it had 0.300, 0.400, 0.500" in line
    assert "(+0.100 per doubling; chance alone moves it by 0.010)" in line
    assert line.endswith("What data would do it: more of it.")


def test_people_and_vehicles_are_held_to_the_base_less_two_points_on_its_own_list() -> None:
    metrics = some_metrics()
    metrics["base"]["model"]["bus"]["ap50"] = 0.88
    assert shortfall.shortfalls(metrics) == []
    metrics["base"]["model"]["bus"]["ap50"] = 0.8799
    metrics["classes"]["bus"]["ap50"] = 0.99
    (one,) = shortfall.shortfalls(metrics)
    assert (one.name, one.now, one.wanted, one.base) == ("bus", 0.8799, 0.88, "coco_mini")
    assert "**bus** has 0.880 of the 0.900 of the base model less 0.02, on coco_mini." in bullet(
        metrics, "bus"
    )


def test_whether_the_val_boxes_can_tell_is_said() -> None:
    metrics = some_metrics()
    metrics["base"]["model"]["bus"]["ap50"] = 0.85
    metrics["base"]["difference"]["bus"] = {"low": -0.2, "high": 0.1}  # up to 1.00, and 0.88 was wanted
    assert "Its 10 val boxes cannot tell this from chance: about 250 could." in bullet(metrics, "bus")
    metrics["base"]["difference"]["bus"]["high"] = 0.0  # 28 would do, but an interval wants more
    assert "about 30 could." in bullet(metrics, "bus")
    metrics["base"]["difference"]["bus"]["high"] = -0.021
    assert "cannot tell" not in bullet(metrics, "bus")
    assert "| bus | 0.850 | 0.880 | 0.030 | 10 | enough |" in shortfall.section(metrics, {})
    del metrics["base"]["difference"]
    assert "| bus | 0.850 | 0.880 | 0.030 | 10 | no interval |" in shortfall.section(metrics, {})


def test_a_slope_gives_boxes_to_label() -> None:
    metrics = some_metrics(
        learning_curve=a_curve("litter", 0.3, 0.35, 0.4), ablations=repeats("litter", 0.4, 0.38),
        taught={"litter": {"real": {"boxes": 1000, "pictures": 300}, "rendered": {"boxes": 7, "pictures": 5}}},
    )  # fmt: skip
    metrics["classes"]["litter"]["ap50"] = 0.45
    assert "2.0 more doublings would do it, about 4,000 boxes instead of 1,000" in bullet(metrics, "litter")
    assert "| 1000 | 300 | 7 |" in shortfall.section(metrics, {})
    metrics["classes"]["litter"]["ap50"] = 0.0
    said = bullet(metrics, "litter")
    assert "11.0 more doublings would do it, far more than 1,000,000 boxes instead of 1,000" in said


@pytest.mark.parametrize(
    ("curve", "same"),
    [((0.4, 0.39, 0.38), (0.38, 0.38)), ((0.3, 0.35, 0.4), (0.4, 0.29)), ((0.3, 0.305, 0.31), (0.3, 0.3))],
)
def test_no_number_follows_from_a_curve_that_chance_can_draw(
    curve: tuple[float, ...], same: tuple[float, ...]
) -> None:
    metrics = some_metrics(learning_curve=a_curve("litter", *curve), ablations=repeats("litter", *same, 0.9))
    metrics["classes"]["litter"]["ap50"] = 0.45
    said = bullet(metrics, "litter")
    assert "so no number of pictures follows from it" in said
    assert "doublings" not in said


def test_a_class_without_a_curve_says_so_and_where_it_misses() -> None:
    sizes = {"small": {"litter": {"n": 10, "recall": 0.1}}, "large": {"litter": {"n": 5, "recall": 0.8}}}
    metrics = some_metrics(slices={"size": sizes}, learning_curve=a_curve("litter", 0.3, 0.4))
    metrics["classes"]["litter"]["ap50"] = 0.45
    said = bullet(metrics, "litter")
    assert "How it gains with more pictures was not measured (`python -m training.ablate`)." in said
    assert said.endswith("boxes like those it misses most, small (9 of the 10 not found).")
    assert "| 10 | 9 of 10 | 1 of 5 |" in shortfall.section(metrics, {})


def test_a_curve_on_other_lists_than_the_bases_says_which() -> None:
    metrics = some_metrics(learning_curve=a_curve("motorcycle", 0.9, 0.91, 0.9))
    metrics["classes"]["motorcycle"]["sets"] = ["parked_scooters", "coco_mini"]
    metrics["base"]["model"]["motorcycle"]["ap50"] = 0.4
    said = bullet(metrics, "motorcycle")
    assert (
        "it had 0.900, 0.910, 0.900 on parked_scooters and coco_mini (+0.000 per doubling; chance was not measured)"
        in said
    )


def test_what_is_lacking_is_written_down_for_every_class_that_is_held_to_something() -> None:
    text = (REPOSITORY / "datasets/street-2/dataset.toml").read_text(encoding="utf-8")
    lacking = tomllib.loads(text)["lacking"]
    assert set(lacking) == {*WANTED, *CONTEXT}
    assert set(lacking) <= set(load_taxonomy().names)
    assert all(said.endswith(".") for said in lacking.values())
