"""Class names and what other sets call the same things."""

from __future__ import annotations

import re
import tomllib

import pytest

from detector.errors import Failure, WrongUse
from training.labels import CLASSES_FILE, load_taxonomy

STREET = [
    "person",
    "bicycle",
    "motorcycle",
    "tricycle",
    "car",
    "bus",
    "truck",
    "stall",
    "litter",
    "garbage",
    "bin",
    "bin_overflow",
    "flying_wire",
]
TACO_29 = [
    "Aluminium foil", "Bottle cap", "Broken glass", "Cigarette", "Clear plastic bottle", "Crisp packet", "Cup",
    "Drink can", "Food Carton", "Food container", "Food waste", "Garbage bag", "Glass bottle", "Lid",
    "Other Carton", "Other can", "Other container", "Other plastic bottle", "Other plastic wrapper",
    "Other plastic", "Paper bag", "Paper", "Plastic bag wrapper", "Plastic film", "Pop tab",
    "Single-use carrier bag", "Straw", "Styrofoam piece", "Unlabeled litter",
]  # fmt: skip


def test_order_of_classes_is_the_order_of_the_models_output() -> None:
    assert list(load_taxonomy().names) == STREET


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        ("garbage_bin", "bin"),
        ("overflow", "bin_overflow"),
        ("thela", "stall"),
        ("rickshaw", "tricycle"),
        ("motorbike", "motorcycle"),
        ("Motor-Bike", "motorcycle"),
        ("garbage bin", "bin"),
        ("person", "person"),
        ("Cup", "litter"),  # TACO's
        ("cup", None),  # COCO's, on a table
        ("umbrella", None),
        ("traffic light", None),
    ],
)
def test_aliases(foreign: str, ours: str | None) -> None:
    assert load_taxonomy().class_of(foreign) == ours


def test_every_taco_name_is_litter() -> None:
    assert set(load_taxonomy().mapping(TACO_29, "taco")) == {"litter"}


def test_unknown_names_are_all_named() -> None:
    with pytest.raises(WrongUse, match=r"'zeppelin', 'airship'.*classes\.toml"):
        load_taxonomy().mapping(["person", "zeppelin", "airship"], "set/data.yaml")


def test_one_name_with_two_meanings_is_refused(tmp_path) -> None:
    path = tmp_path / "classes.toml"
    path.write_text('ignored = ["cart"]\n[class.stall]\naliases = ["cart"]\n')
    with pytest.raises(Failure, match="'cart' has two meanings"):
        load_taxonomy(path)


@pytest.mark.parametrize("text", [None, "[class"])
def test_a_missing_or_broken_file_is_one_sentence(tmp_path, text: str | None) -> None:
    path = tmp_path / "classes.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Failure, match=r"classes\.toml"):
        load_taxonomy(path)


def test_classes_have_a_chinese_name_and_a_colour() -> None:
    document = tomllib.loads(CLASSES_FILE.read_text(encoding="utf-8"))
    for name, entry in document["class"].items():
        assert entry["zh"], name
        assert re.fullmatch("#[0-9a-f]{6}", entry["colour"]), name


@pytest.mark.parametrize(
    ("kind", "variant", "codes"),
    [
        ("illegal_parking", "motor", {"2026": "09009", "2013": "0409", "2007": "0505"}),
        ("illegal_parking", "nonmotor", {"2026": "09010", "2013": "0410", "2007": "0506"}),
        ("illegal_parking", "fire_lane", {"2026": "09012"}),
        ("street_vending", None, {"2026": "09001", "2013": "0401", "2007": "0501"}),
        ("shop_overflow", None, {"2026": "09005", "2013": "0405", "2007": "0504"}),
        ("exposed_garbage", None, {"2026": "06010", "2013": "0110", "2007": "0102"}),
        ("road_litter", None, {"2026": "06012", "2013": "0112", "2007": "0104"}),
        ("bin_overflow", None, {"2026": "06042"}),
        ("green_belt_litter", None, {"2026": "06017", "2013": "0117", "2007": "0106"}),
        ("flying_wire", None, {"2026": "06008", "2013": "0108", "1": "fx_charging"}),
    ],
)
def test_event_codes(kind: str, variant: str | None, codes: dict[str, str]) -> None:
    rows = tomllib.loads(CLASSES_FILE.read_text(encoding="utf-8"))["event"][kind]["code"]
    assert {row["version"]: row["code"] for row in rows if row.get("variant") == variant} == codes
