"""Whether a thing moves, from two pictures that are hardly apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ingest.gate import shrunk
from ingest.sources.motion import Moment, Plane, moves, steady, still
from ingest.sources.signs import Looked, Thing

WH = (1280, 720)
BOX = (500.0, 300.0, 660.0, 420.0)
FAR = (900.0, 300.0, 1060.0, 420.0)


def a_texture(w: int, h: int, seed: int) -> Plane:
    """Blotches of a few pixels, as of a car or a wall."""
    noise = np.random.default_rng(seed).normal(0, 1, (h, w)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.asarray(np.clip(128 + 45 * smooth / smooth.std(), 0, 255), np.uint8)


def a_street(
    *, shift: tuple[int, int] = (0, 0), shake: int = 0, boxes: tuple[tuple[float, ...], ...] = (BOX,)
) -> Plane:
    """A wall with a thing in each box, `shift` beside its place; all of it `shake` to the right."""
    picture = a_texture(WH[0] + 64, WH[1], 1)
    for number, box in enumerate(boxes):
        left, top, right, bottom = (int(side) for side in box)
        x, y = left + shift[0], top + shift[1]
        picture[y : y + bottom - top, x : x + right - left] = a_texture(
            right - left, bottom - top, 10 + number
        )
    return np.ascontiguousarray(np.roll(picture, shake, axis=1)[:, : WH[0]])


def a_moment(*boxes: tuple[float, float, float, float]) -> Moment:
    picture = a_street(boxes=boxes)
    things = tuple(Thing(box, "car") for box in boxes)
    return Moment(Looked(WH, shrunk(picture), things, boxes), things, picture)


@pytest.mark.parametrize("shift", [(4, 0), (-3, 1), (0, 6), (20, -4)])
def test_a_thing_a_few_pixels_on_moves(shift: tuple[int, int]) -> None:
    assert moves(a_street(), a_street(shift=shift), BOX)


def test_noise_and_another_exposure_do_not_move() -> None:
    rng = np.random.default_rng(3)
    earlier = a_street()
    noisy = np.asarray(np.clip(earlier + rng.normal(0, 12, earlier.shape), 0, 255), np.uint8)
    brighter = np.asarray(np.clip(earlier * 1.15 + 10, 0, 255), np.uint8)
    assert not moves(earlier, noisy, BOX)
    assert not moves(earlier, brighter, BOX)
    assert not still(earlier, noisy, BOX)
    assert still(earlier, earlier.copy(), BOX)


def test_who_walks_before_a_standing_thing_does_not_make_it_move() -> None:
    walker = (560.0, 310.0, 596.0, 420.0)
    earlier, later = a_street(boxes=(BOX, walker)), a_street()
    left, top, right, bottom = (int(side) for side in walker)
    later[top:bottom, left + 5 : right + 5] = earlier[top:bottom, left:right]
    assert not moves(earlier, later, BOX)


def test_another_thing_in_its_place_is_not_the_thing_elsewhere() -> None:
    assert not moves(a_street(), a_street(boxes=(FAR, BOX)), BOX)


def test_what_is_too_small_or_beside_the_picture_is_not_judged() -> None:
    for box in ((10.0, 10.0, 16.0, 60.0), (2000.0, 10.0, 2100.0, 60.0)):
        assert not moves(a_street(), a_street(shift=(4, 0)), box)
        assert not still(a_street(), a_street(), box)


def test_a_shaken_camera_moves_nothing() -> None:
    earlier, shaken = a_street(), a_street(shake=3)
    assert moves(earlier, shaken, BOX)
    assert not steady(earlier, shaken, [BOX])
    assert steady(earlier, a_street(shift=(4, 0)), [BOX])
    moment = a_moment(BOX)
    assert not moment.over(shaken, 0.08)
    assert moment.doubtful


def test_where_boxes_fill_the_picture_nobody_knows_about_the_camera() -> None:
    assert not steady(a_street(), a_street(), [(0.0, 0.0, 1280.0, 700.0)])


def test_a_moment_is_over_when_all_that_came_is_known() -> None:
    moment = a_moment(BOX, FAR)
    both = a_street(boxes=(BOX, FAR))
    gone = a_street(boxes=(BOX, FAR), shift=(5, 0))
    one = both.copy()
    one[300:420, 500:660] = gone[300:420, 500:660]
    assert not moment.over(one, 0.04)  # so early nothing is asked
    assert len(moment.doubtful) == 2
    assert not moment.over(one, 0.08)  # one moves, the other may be about to
    assert [thing.xyxy for thing in moment.moving] == [BOX]
    assert moment.over(one, 0.2)  # and the other has kept still
    assert [thing.xyxy for thing in moment.moving] == [BOX]


def test_a_place_that_looks_otherwise_has_been_left_though_nothing_fits() -> None:
    moment = a_moment(BOX)
    empty = np.full((WH[1], WH[0]), 20, np.uint8)
    assert not moment.over(empty, 0.08)
    assert moment.over(empty, 0.2)
    assert len(moment.moving) == 1


def test_what_flickers_stays_in_doubt() -> None:
    moment = a_moment(BOX)
    rng = np.random.default_rng(5)
    noisy = np.asarray(np.clip(a_street() + rng.normal(0, 10, (WH[1], WH[0])), 0, 255), np.uint8)
    assert not moment.over(noisy, 0.2)
    assert not moment.over(noisy, 0.4)
    assert not moment.moving
