"""What more epochs would bring: the slope, the sentence, the section of the card."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from training import outlook
from training.labels import load_taxonomy


def test_doctests() -> None:
    result = doctest.testmod(outlook)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("seed", range(8))
def test_the_slope_is_numpys_least_squares_the_slower_of_the_later_half_and_of_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    seen = np.cumsum(random.integers(1000, 9000, 11))
    ap50 = random.uniform(0.2, 0.9, 11)
    rise = outlook.rise_of(list(zip(seen.tolist(), ap50.tolist(), strict=True))[::-1])
    slopes = [np.polyfit(np.log2(seen[-count:]), ap50[-count:], 1)[0] for count in (6, 11)]
    assert rise is not None
    assert (rise.last, rise.epochs) == (6, 11)
    assert rise.per_doubling == pytest.approx(min(slopes), abs=1e-6)


def test_what_the_first_epochs_learnt_does_not_count() -> None:
    points = [(1000 * number, 0.1 if number < 4 else 0.5) for number in range(1, 8)]
    assert outlook.rise_of(points) == outlook.Rise(0.0, 4, 7)


def test_climbing_out_of_the_dip_that_a_stage_begins_with_is_no_rise() -> None:
    dip = [(1000, 0.41), (2000, 0.41), (3000, 0.38), (4000, 0.42), (5000, 0.42), (6000, 0.42)]
    rise = outlook.rise_of(dip)
    assert rise is not None
    assert rise.per_doubling < outlook.RISE_MIN
    assert "needs other data" in outlook.outlook("litter", 0.42, dip)


def rising(per_doubling: float) -> list[tuple[int, float]]:
    return [(1000 * 2**number, 0.3 + per_doubling * number) for number in range(4)]


def test_a_slope_gives_doublings_and_pictures() -> None:
    said = outlook.outlook("litter", 0.45, rising(0.05))
    assert said.startswith("litter has 0.450 of the 0.55 wanted and rises by 0.050 per doubling of the")
    assert "(over all 4 epochs)" in said
    assert "2.0 more doublings would do it, about 32,000 pictures seen (an extrapolation, not" in said


def test_absurdly_many_pictures_are_not_stated_as_a_number_to_reach() -> None:
    said = outlook.outlook("flying_wire", 0.3, rising(0.02))
    assert "25.0 more doublings would do it, far more than 8,200,000 pictures seen" in said


def test_a_longer_run_says_which_epochs_its_slope_is_of() -> None:
    points = [(1000 * 2**number, 0.1 + 0.05 * number) for number in range(6)]
    assert "(the slower of its last 4 epochs and of all 6)" in outlook.outlook("litter", 0.35, points)


@pytest.mark.parametrize("slope", [-0.03, 0.0, 0.01])
def test_what_does_not_rise_needs_other_data(slope: float) -> None:
    assert outlook.outlook("bin", 0.9, rising(slope)).endswith(
        "does not rise any more with epochs: it needs other data."
    )
    assert "extrapolation" in outlook.outlook("bin", 0.9, rising(0.0101))


def test_three_epochs_say_nothing() -> None:
    said = outlook.outlook("bin", 0.9, rising(0.05)[:3])
    assert (
        said
        == "bin has 0.900 of the 0.95 wanted; too few epochs were measured to say whether it still rises (3, and 4 are needed)."
    )


def test_only_classes_that_are_short_of_what_was_wanted_are_spoken_of() -> None:
    rows = [
        {"stage": "a", "epoch": 0, "pictures_seen": 10, "class": name, "ap50": 0.5, "boxes": 9}
        for name in outlook.SHOWN
    ]
    now = {**outlook.WANTED, "person": 0.1, "car": 0.1}
    assert outlook.outlooks(rows, now) == []
    said = outlook.outlooks(rows, {**now, "stall": 0.5999, "litter": 0.2})
    assert [sentence.split()[0] for sentence in said] == ["litter", "stall"]
    assert outlook.outlooks(rows, {"truck": 0.0}) == []


def test_people_and_vehicles_are_held_to_the_base_on_its_own_list() -> None:
    rows = [
        {
            "stage": "a", "epoch": epoch, "pictures_seen": 1000 * 2**epoch, "class": name, "ap50": 0.9, "boxes": 9,
            **({"ap50_base_set": 0.3 + 0.02 * epoch} if name == "bus" else {}),
        }
        for epoch in range(4)
        for name in ("bus", "motorcycle")
    ]  # fmt: skip
    (bus, motorcycle) = outlook.outlooks(rows, {}, {"bus": (0.36, 0.4), "motorcycle": (0.36, 0.4)})
    assert bus.startswith("bus has 0.360 of the 0.400 wanted and rises by 0.020 per doubling")
    assert "2.0 more doublings would do it" in bus
    assert motorcycle.startswith("motorcycle has 0.360 of the 0.400 wanted; too few epochs were measured")
    assert outlook.outlooks(rows, {}, {"bus": (0.4, 0.4)}) == []


def test_the_table_has_a_line_an_epoch_in_the_order_they_were_made() -> None:
    rows = [
        {"stage": "settle", "epoch": 0, "pictures_seen": 30_000, "class": "bin", "ap50": 0.9, "boxes": 9},
        {"stage": "wide", "epoch": 1, "pictures_seen": 20_000, "class": "bin", "ap50": 0.8, "boxes": 9},
        {"stage": "wide", "epoch": 1, "pictures_seen": 20_000, "class": "stall", "ap50": 0.6, "boxes": 9},
        {"stage": "wide", "epoch": 1, "pictures_seen": 20_000, "class": "tricycle", "ap50": 0.1, "boxes": 9},
        {
            "stage": "wide",
            "epoch": 1,
            "pictures_seen": 20_000,
            "class": "truck",
            "ap50": 0.1,
            "boxes": 9,
            "ap50_base_set": 0.3,
        },
    ]
    assert outlook.curve_table(rows).splitlines() == [
        "| pictures seen | after epoch | bin | stall | truck |",
        "|---|---|---|---|---|",
        "| 20,000 | wide 2 | 0.800 | 0.600 | 0.300 |",
        "| 30,000 | settle 1 | 0.900 |  |  |",
    ]


def test_every_class_of_the_tables_is_one_of_ours() -> None:
    assert set(outlook.SHOWN) <= set(load_taxonomy().names)
