from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.letterbox import PAD_VALUE, letterbox, plan

sides = st.integers(1, 20_000)
fractions = st.tuples(*[st.floats(0, 1, width=32)] * 4)


@given(sides, sides, st.sampled_from([320, 416, 640, 1280]), st.sampled_from([8, 32, 64]))
def test_the_canvas_is_the_smallest_that_holds_the_picture(width, height, side, stride):
    lies = plan(width, height, side, stride)
    inner_w, inner_h = lies.inner_wh
    canvas_w, canvas_h = lies.canvas_wh
    assert max(inner_w, inner_h) == side
    assert canvas_w % stride == canvas_h % stride == 0
    assert 0 <= canvas_w - inner_w < stride
    assert 0 <= canvas_h - inner_h < stride
    assert 0 <= lies.left <= canvas_w - inner_w
    assert 0 <= lies.top <= canvas_h - inner_h
    # The ratio is kept to the nearest pixel of the shorter side.
    assert (
        abs(min(width, height) * side / max(width, height) - min(inner_w, inner_h)) <= 0.5
        or min(inner_w, inner_h) == 1
    )


@given(sides, sides, fractions)
def test_a_box_comes_back_where_it_was(width, height, corners):
    lies = plan(width, height, 640, 32)
    xs, ys = sorted(corners[:2]), sorted(corners[2:])
    box = np.array([[xs[0] * width, ys[0] * height, xs[1] * width, ys[1] * height]], np.float32)
    again = lies.to_source(lies.to_canvas(box))
    # float32 holds a canvas coordinate to 1/16384 px; a pixel of the canvas is `scale` pixels of the picture.
    scale = max(width / lies.inner_wh[0], height / lies.inner_wh[1])
    np.testing.assert_allclose(again, box, atol=max(1e-3, scale * 1e-3))


@given(sides, sides)
def test_boxes_are_clipped_to_the_picture(width, height):
    lies = plan(width, height, 640, 32)
    wide = lies.to_source(np.array([[-1e4, -1e4, 1e5, 1e5]], np.float32))
    assert wide.tolist() == [[0, 0, width, height]]


def test_a_picture_of_the_right_size_is_taken_as_it_is():
    image = np.arange(64 * 96 * 3, dtype=np.uint8).reshape(64, 96, 3)
    canvas, lies = letterbox(image, 96, 32)
    assert canvas is image
    assert (lies.left, lies.top) == (0, 0)


def test_the_border_is_grey_and_the_picture_in_the_middle():
    canvas, lies = letterbox(np.full((360, 640, 3), 7, np.uint8), 640, 32)
    assert canvas.shape == (384, 640, 3)
    assert lies.top == 12
    assert (canvas[12:372] == 7).all()
    assert (canvas[:12] == PAD_VALUE).all()
    assert (canvas[372:] == PAD_VALUE).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 20_000), (20_000, 1), (3, 5), (4000, 17)])
def test_extreme_pictures(shape):
    canvas, lies = letterbox(np.full((*shape, 3), 200, np.uint8), 640, 32)
    assert max(canvas.shape[:2]) == 640
    assert (
        canvas[lies.top : lies.top + lies.inner_wh[1], lies.left : lies.left + lies.inner_wh[0]] == 200
    ).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((8, 8, 3), np.float32),
    ],
    ids=["grey", "with alpha", "16 bit", "float"],
)
def test_other_kinds_of_picture_are_refused(image):
    with pytest.raises(ValueError, match=r"wanted uint8 \(H, W, 3\) BGR, got"):
        letterbox(image, 640, 32)


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(ValueError, match="at least 1x1"):
        letterbox(np.zeros((0, 8, 3), np.uint8), 640, 32)
