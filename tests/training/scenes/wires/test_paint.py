"""Strokes, hiding, boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.scenes.wires.paint import Canvas, area, at_least, box_of, softened, stroke

SHAPE = (60, 80)


def square(x0, y0, x1, y1):
    return area(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float), SHAPE)


@pytest.mark.parametrize("width", [1.0, 2.0, 3.5])
def test_a_stroke_covers_its_width(width) -> None:
    patch = stroke(np.array([[10.0, 30], [70, 30]]), width, SHAPE)
    column = patch.cover[:, 30]
    assert column.sum() == pytest.approx(width, abs=0.3)
    assert 0 <= patch.cover.min() <= patch.cover.max() <= 1


def test_a_stroke_outside_is_empty() -> None:
    assert stroke(np.array([[-50.0, -50], [-20, -30]]), 2.0, SHAPE).cover.size == 0


def test_what_is_painted_later_hides_a_wire() -> None:
    canvas = Canvas(np.full((*SHAPE, 3), 100, np.uint8))
    track = canvas.paint_wire(stroke(np.array([[10.0, 30], [70, 30]]), 3.0, SHAPE), (0, 0, 0))
    whole = box_of(canvas.tracked[track], 0.25)
    canvas.paint(square(40, 20, 80, 40), (200, 200, 200))
    left = box_of(canvas.tracked[track], 0.25)
    assert whole is not None
    assert left is not None
    assert whole[2] > 68
    assert left[2] <= 41
    seen, bare = canvas.pictures()
    changed = np.abs(seen.astype(int) - bare).max(2) > 0
    assert changed[30, 20]
    assert not changed[:, 42:].any()


def test_shadows_do_not_hide() -> None:
    canvas = Canvas(np.full((*SHAPE, 3), 100, np.uint8))
    track = canvas.paint_wire(stroke(np.array([[10.0, 30], [70, 30]]), 3.0, SHAPE), (0, 0, 0))
    before = canvas.tracked[track].copy()
    canvas.shade(softened(square(0, 0, 80, 60), 2.0, SHAPE), 0.5)
    assert (canvas.tracked[track] == before).all()
    assert canvas.pictures()[1].mean() < 60


@given(
    x=st.floats(0, 70), y=st.floats(0, 50), w=st.floats(0.5, 40), h=st.floats(0.5, 40), side=st.floats(1, 20)
)
def test_a_box_grows_to_its_least_side_inside_the_picture(x, y, w, h, side) -> None:
    box = (x, y, min(x + w, 80), min(y + h, 60))
    grown = at_least(box, side, SHAPE)
    assert grown[2] - grown[0] >= side - 1e-6
    assert grown[3] - grown[1] >= side - 1e-6
    assert grown[0] >= -1e-9
    assert grown[1] >= -1e-9
    assert grown[2] <= 80 + 1e-6
    assert grown[3] <= 60 + 1e-6
    assert grown[0] <= box[0] + 1e-6
    assert grown[2] >= box[2] - 1e-6
