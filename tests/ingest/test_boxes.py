from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.boxes import covered_share, displacement, ground_contact, grown, iou, iou_matrix

SIDE = st.floats(1, 500)
PLACE = st.floats(-100, 900)
BOX = st.tuples(PLACE, PLACE, SIDE, SIDE).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@given(BOX, BOX)
def test_iou_is_symmetric_bounded_and_the_same_in_bulk(a, b):
    assert 0 <= iou(a, b) <= 1 + 1e-9
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert iou_matrix(np.array([a]), np.array([b]))[0, 0] == pytest.approx(iou(a, b), abs=1e-9)


@given(BOX)
def test_a_box_covers_itself_and_nothing_has_no_area(box):
    assert iou(box, box) == pytest.approx(1)
    assert covered_share(box, grown(box, 0.1)) == pytest.approx(1)
    assert iou(box, (0, 0, 0, 0)) == 0
    assert covered_share((5, 5, 5, 5), box) == 0


@given(BOX, st.floats(-3, 3), st.floats(-3, 3))
def test_displacement_of_a_moved_box_is_how_far_it_moved_in_its_sizes(box, dx, dy):
    width, height = box[2] - box[0], box[3] - box[1]
    moved = (box[0] + dx * width, box[1] + dy * height, box[2] + dx * width, box[3] + dy * height)
    assert displacement(moved, box) == pytest.approx(float(np.hypot(dx, dy)), abs=1e-6)


@given(BOX, st.floats(0.2, 1), st.sampled_from([0, 1, 2, 3]))
def test_hiding_one_side_is_no_movement(box, left_over, edge):
    hidden = list(box)
    axis, other = edge % 2, (edge + 2) % 4
    size = box[axis + 2] - box[axis]
    hidden[edge] = box[other] - left_over * size if edge < 2 else box[other] + left_over * size
    assert displacement(tuple(hidden), box) == pytest.approx(0, abs=1e-6)


@given(BOX, st.floats(1.2, 3))
def test_coming_nearer_and_going_away_are_movement(box, zoom):
    nearer = grown(box, (zoom - 1) / 2)
    assert displacement(nearer, box) == pytest.approx(zoom - 1, rel=1e-6)
    assert displacement(box, nearer) == pytest.approx(1 - 1 / zoom, rel=1e-6)


@given(BOX.filter(lambda box: box[0] > 20 and box[1] > 20), st.floats(-2, 2), st.floats(-2, 2))
def test_jitter_below_the_allowance_is_none(box, dx, dy):
    moved = (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)
    assert displacement(moved, box, (2560, 2560)) == pytest.approx(0, abs=1e-9)


def test_a_car_that_leaves_the_picture_moves_though_one_edge_stays():
    at_the_edge = (540.0, 200.0, 639.5, 260.0)
    assert displacement((580, 200, 639.8, 260), at_the_edge) < 0.01
    assert displacement((580, 200, 639.8, 260), at_the_edge, (640, 360)) == pytest.approx(0.39, abs=0.01)
    assert displacement((0.5, 200, 90, 260), (0, 200, 100, 260), (640, 360)) == pytest.approx(0.09, abs=0.01)


def test_ground_contact_is_the_middle_of_the_lower_edge():
    assert ground_contact((10, 20, 30, 50)) == (20, 50)
