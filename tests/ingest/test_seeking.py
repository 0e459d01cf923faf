"""When something came or left between two key frames, by few looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ingest.sources.seeking import Drawn, Seeking, first_where
from ingest.sources.signs import Looked, Thing
from ingest.types import XYXY

WH = (1600, 900)
PLACE: XYXY = (600.0, 300.0, 800.0, 420.0)
WALKER: XYXY = (650.0, 250.0, 700.0, 440.0)


@pytest.mark.parametrize("count", range(13))
def test_the_first_of_a_sorted_list_is_found_wherever_one_begins(count: int) -> None:
    for first in range(count + 1):
        for guess in range(-2, count + 3):
            asked: list[int] = []

            def holds(index: int, first: int = first, asked: list[int] = asked) -> bool:
                asked.append(index)
                return index >= first

            assert first_where(holds, count, guess) == first
            assert len(set(asked)) == len(asked)
            assert len(asked) <= 2 + 2 * np.log2(max(1, abs(first - min(max(guess, 0), count))) + 1)


def moved(box: XYXY, dx: float) -> XYXY:
    return box[0] + dx, box[1], box[2] + dx, box[3]


def seen(boxes: Sequence[XYXY], *, hidden: Sequence[XYXY] = (), walkers: Sequence[XYXY] = ()) -> Looked:
    """Look at a street: things bright, walkers black; hidden things are there but not found."""
    thumbnail = np.full((90, 160), 40, np.uint8)
    for box, level in [*[(one, 150) for one in (*boxes, *hidden)], *[(one, 0) for one in walkers]]:
        left, top, right, bottom = (round(side / 10) for side in box)
        thumbnail[top:bottom, max(0, left) : right] = level
    return Looked(WH, thumbnail, tuple(Thing(box, "car") for box in boxes))


def seeking(before: Looked, pictures: Sequence[Looked], now: Looked) -> Seeking:
    return Seeking(before, now, Drawn(one.thumbnail for one in pictures), lambda index: pictures[index])


COMING = [-900.0, -700.0, -500.0, -300.0, -100.0, -8.0, 0.0, 0.0, 0.0]


def test_a_thing_that_comes_to_rest_is_looked_at_where_it_does() -> None:
    pictures = [seen([moved(PLACE, dx)]) for dx in COMING]
    seek = seeking(seen([]), pictures, seen([PLACE]))
    assert seek.came(Thing(PLACE, "car")) == 5
    assert len(seek.looks) <= 3
    assert {4, 5} <= seek.looks.keys()


def test_who_walks_about_a_thing_that_came_costs_looks_and_not_time() -> None:
    """Its driver gets out: the place does not look as in the end, and yet it stands."""
    pictures = [
        seen([moved(PLACE, dx)], walkers=[moved(WALKER, 15 * at)] if dx > -50 else [])
        for at, dx in enumerate(COMING)
    ]
    seek = seeking(seen([]), pictures, seen([PLACE]))
    assert seek.came(Thing(PLACE, "car")) == 5
    assert len(seek.looks) <= 6


def test_a_thing_that_came_between_the_last_two_pictures_is_in_none() -> None:
    seek = seeking(seen([]), [seen([]), seen([])], seen([PLACE]))
    assert seek.came(Thing(PLACE, "car")) == 2


def test_what_leaves_is_looked_at_before_and_after() -> None:
    pictures = [seen([moved(PLACE, dx)]) for dx in (0, 0, 0, 10, 60, 150, 300, 500, 800)]
    seek = seeking(seen([PLACE]), pictures, seen([]))
    assert seek.left(Thing(PLACE, "car")) == 4
    assert {3, 4} <= seek.looks.keys()
    assert len(seek.looks) <= 4


def test_what_comes_after_a_thing_has_left_is_not_decoded() -> None:
    """It drives off slowly through the picture: its place goes on changing long after it is gone."""
    pictures = [seen([moved(PLACE, dx)]) for dx in (0, 60, 150, *range(160, 460, 20))]
    seek = seeking(seen([PLACE]), pictures, seen([]))
    assert seek.left(Thing(PLACE, "car")) == 1
    assert len(seek.thumbnails.got) == 3


def test_one_who_walks_past_hides_a_thing_for_a_moment_only() -> None:
    pictures = [
        seen([PLACE]),
        seen([], hidden=[PLACE], walkers=[WALKER]),
        *[seen([PLACE])] * 3,
        *[seen([moved(PLACE, dx)]) for dx in (100, 300, 600)],
    ]
    seek = seeking(seen([PLACE]), pictures, seen([]))
    assert seek.left(Thing(PLACE, "car")) == 5


def test_what_left_after_the_last_picture_is_gone_in_none() -> None:
    seek = seeking(seen([PLACE]), [seen([PLACE])] * 3, seen([]))
    assert seek.left(Thing(PLACE, "car")) == 3
    assert list(seek.looks) == [2]


def test_all_are_looked_at_once() -> None:
    seek = seeking(seen([PLACE]), [seen([PLACE])] * 3, seen([]))
    seek.left(Thing(PLACE, "car"))
    seek.all()
    assert sorted(seek.looks) == [0, 1, 2]


def test_what_is_beside_its_place_moves_off_and_what_is_not_found_does_not() -> None:
    car, pictures = Thing(PLACE, "car"), [seen([moved(PLACE, dx)]) for dx in (0, 10, 60, 150, 500, 900)]
    seek = seeking(seen([PLACE]), pictures, seen([]))
    assert seek.moves_off(car, seek.left(car))
    unfound = [seen([PLACE]), *[seen([], hidden=[PLACE], walkers=[moved(WALKER, dx)]) for dx in (0, 40, 80)]]
    seek = seeking(seen([PLACE]), unfound, seen([], hidden=[PLACE], walkers=[moved(WALKER, 120)]))
    assert not seek.moves_off(car, seek.left(car))


def test_another_that_stands_beside_a_place_is_not_what_left_it() -> None:
    car, neighbour = Thing(PLACE, "car"), moved(PLACE, 160)
    pictures = [seen([PLACE, neighbour]), seen([neighbour], hidden=[PLACE], walkers=[WALKER])] * 2
    seek = seeking(seen([PLACE, neighbour]), pictures, seen([neighbour], hidden=[PLACE], walkers=[WALKER]))
    seek.all()
    assert not seek.moves_off(car, 1)
