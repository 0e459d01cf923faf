from __future__ import annotations

import doctest

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.verdicts import regions, rows
from training.verdicts.regions import around, overlap

SIZE_PX = (12, 9)
relaxed = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def boxes_in(size_px, low=0):
    def sides(length):
        pair = st.tuples(st.integers(low, length), st.integers(low, length))
        return pair.filter(lambda two: two[0] != two[1]).map(sorted)

    return st.tuples(sides(size_px[0]), sides(size_px[1])).map(
        lambda xy: tuple(float(side) for side in (xy[0][0], xy[1][0], xy[0][1], xy[1][1]))
    )


@pytest.mark.parametrize("module", [regions, rows])
def test_examples_are_true(module):
    assert doctest.testmod(module).failed == 0


@relaxed
@given(st.lists(boxes_in(SIZE_PX), max_size=5))
def test_no_region_reaches_into_what_was_judged(judged):
    assert not any(overlap(region, box) for region in around(judged, SIZE_PX) for box in judged)


@relaxed
@given(st.lists(boxes_in(SIZE_PX), max_size=5))
def test_every_pixel_is_judged_or_ignored(judged):
    def inside(x, y, box):
        return box[0] <= x < box[2] and box[1] <= y < box[3]

    free = around(judged, SIZE_PX)
    for x in range(SIZE_PX[0]):
        for y in range(SIZE_PX[1]):
            is_judged = any(inside(x, y, box) for box in judged)
            assert is_judged != any(inside(x, y, region) for region in free)


@relaxed
@given(st.lists(boxes_in(SIZE_PX), max_size=5), boxes_in(SIZE_PX))
def test_a_detection_beside_everything_judged_lies_in_one_region(judged, detection):
    def holds(region):
        return (
            region[0] <= detection[0]
            and region[1] <= detection[1]
            and region[2] >= detection[2]
            and region[3] >= detection[3]
        )

    beside = not any(overlap(detection, box) for box in judged)
    assert any(holds(region) for region in around(judged, SIZE_PX)) == beside


@relaxed
@given(st.lists(boxes_in(SIZE_PX), max_size=4), st.randoms())
def test_the_order_of_the_boxes_does_not_matter(judged, random):
    other = list(judged)
    random.shuffle(other)
    assert around(judged, SIZE_PX) == around(other, SIZE_PX)


def test_a_picture_that_is_judged_all_over_ignores_nothing():
    assert around([(0.0, 0.0, 12.0, 9.0)], SIZE_PX) == ()
