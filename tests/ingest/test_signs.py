"""What two key frames say of the time between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detector.types import Detections
from ingest.sources.signs import (
    Looked,
    Thing,
    changed_share,
    corners,
    differing,
    signs_between,
    stands,
    things_of,
)
from ingest.types import XYXY

WH = (1600, 900)
CAR: XYXY = (200.0, 300.0, 400.0, 420.0)
OTHER: XYXY = (900.0, 500.0, 1200.0, 700.0)


def look(*things: Thing, grey: dict[XYXY, int] | None = None, others: tuple[XYXY, ...] = ()) -> Looked:
    """Give a key frame: every thing bright on dark ground, unless `grey` says otherwise."""
    thumbnail = np.full((90, 160), 40, np.uint8)
    for box in [thing.xyxy for thing in things]:
        paint(thumbnail, box, 150)
    for box, level in (grey or {}).items():
        paint(thumbnail, box, level)
    return Looked(WH, thumbnail, things, others or tuple(thing.xyxy for thing in things))


def paint(thumbnail: np.ndarray, box: XYXY, level: int) -> None:
    left, top, right, bottom = (round(side / 10) for side in box)
    thumbnail[top:bottom, left:right] = level


def shifted(box: XYXY, dx: float) -> XYXY:
    return box[0] + dx, box[1], box[2] + dx, box[3]


def test_nothing_happened() -> None:
    assert signs_between(look(Thing(CAR, "car")), look(Thing(CAR, "car"))) == signs_between(look(), look())


def test_what_is_new_came_and_what_is_gone_left() -> None:
    car, other = Thing(CAR, "car"), Thing(OTHER, "truck")
    signs = signs_between(look(car), look(other))
    assert signs.came == (other,)
    assert signs.left == (CAR,)


def test_a_box_without_a_change_of_pixels_is_the_detectors_doubt() -> None:
    bright = {CAR: 150}
    signs = signs_between(look(grey=bright), look(Thing(CAR, "car")))
    assert signs.came == ()
    signs = signs_between(look(Thing(CAR, "car")), look(grey=bright))
    assert signs.left == ()
    assert signs.hidden == (Thing(CAR, "car"),)


def test_what_moves_is_not_said_to_have_left() -> None:
    moving = Thing(CAR, "car", moving=True)
    assert signs_between(look(moving), look()).left == ()


def test_another_car_where_a_moving_one_was_came() -> None:
    moving = Thing(CAR, "car", moving=True)
    signs = signs_between(look(moving), look(Thing(CAR, "car"), grey={CAR: 220}))
    assert signs.came == (Thing(CAR, "car"),)


def test_another_car_in_the_place_of_one_that_stood_is_looked_into() -> None:
    signs = signs_between(look(Thing(CAR, "car")), look(Thing(CAR, "car"), grey={CAR: 220}))
    assert signs.came == (Thing(CAR, "car"),)
    assert signs.left == (CAR,)


def test_somebody_in_front_of_a_car_changes_little_of_it() -> None:
    person: XYXY = (250.0, 300.0, 290.0, 420.0)
    signs = signs_between(look(Thing(CAR, "car")), look(Thing(CAR, "car"), grey={person: 90}))
    assert not signs.came
    assert not signs.left


def test_what_a_bus_covers_is_taken_along() -> None:
    car = Thing(CAR, "car")
    bus: XYXY = (150.0, 250.0, 700.0, 500.0)
    signs = signs_between(look(car), look(grey={bus: 220}, others=(bus,)))
    assert signs.left == ()
    assert signs.hidden == (car,)


def test_a_doubtful_box_neither_comes_nor_keeps_a_place_from_being_known() -> None:
    doubtful = Thing(CAR, "car", sure=False)
    assert signs_between(look(), look(doubtful)).came == ()
    signs = signs_between(look(Thing(CAR, "car")), look(doubtful))
    assert signs.left == ()
    assert signs.hidden == (Thing(CAR, "car"),)


def test_a_smaller_picture_begins_anew() -> None:
    now = replace(look(Thing(CAR, "car")), wh=(800, 450))
    assert signs_between(look(Thing(CAR, "car")), now).came == now.things


@pytest.mark.parametrize(("dx", "standing"), [(0.0, True), (15.0, True), (60.0, False), (150.0, False)])
def test_a_moment_later_it_stands_or_has_moved(dx: float, *, standing: bool) -> None:
    car = Thing(CAR, "car")
    assert stands(car, look(car), look(Thing(shifted(CAR, dx), "car"))) is standing


def test_what_is_gone_a_moment_later_does_not_stand_unless_nothing_has_changed() -> None:
    car = Thing(CAR, "car")
    assert not stands(car, look(car), look())
    assert stands(car, look(car), look(grey={CAR: 150}))


def test_what_passes_is_what_moves_and_what_is_doubtful_away_from_what_stands() -> None:
    standing, moving = Thing(CAR, "car"), Thing(OTHER, "car", moving=True)
    there, elsewhere = Thing(CAR, "truck", sure=False), Thing(shifted(OTHER, 90), "car", sure=False)
    looked = look(standing, moving, there, elsewhere)
    assert looked.standing == (standing,)
    assert looked.passing == (moving, elsewhere)


def test_things_are_sure_from_their_class_s_threshold_on() -> None:
    seen = Detections(
        np.array([CAR, OTHER, CAR], np.float32),
        np.array([0.3, 0.3, 0.05], np.float32),
        np.array([0, 1, 1]),
        ("car", "stall"),
    )
    assert things_of(seen, {"car": 0.2, "stall": 0.4}) == (
        Thing(CAR, "car"),
        Thing(OTHER, "stall", sure=False),
    )


def test_shares_and_corners_stay_in_the_frame() -> None:
    changed = differing(look().thumbnail, look(Thing(CAR, "car")).thumbnail)
    assert changed_share(changed, CAR, WH) > 0.6
    assert changed_share(changed, OTHER, WH) == 0.0
    assert changed_share(changed, (2000.0, 0.0, 2100.0, 50.0), WH) == 0.0
    assert corners((-10.0, 0.0, 800.0, 950.0), WH) == ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
