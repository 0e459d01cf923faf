from __future__ import annotations

import cv2
import numpy as np

from detector.draw import draw, encode_jpeg, palette
from detector.types import Detections


def found(*boxes):
    return Detections(np.array(boxes, np.float32), np.full(len(boxes), 0.5), np.zeros(len(boxes)), ("car",))


def test_the_box_is_drawn_in_its_colour_and_the_picture_is_left_alone():
    image = np.zeros((200, 300, 3), np.uint8)
    image.setflags(write=False)
    drawn = draw(image, found((50, 60, 150, 160)), {"car": (10, 200, 30)})
    assert drawn[160, 100].tolist() == [10, 200, 30]
    assert drawn[100, 50].tolist() == [10, 200, 30]
    assert drawn[100, 100].tolist() == [0, 0, 0]
    assert not image.any()


def test_a_name_at_the_edge_stays_inside():
    image = np.zeros((100, 100, 3), np.uint8)
    drawn = draw(image, found((90, 0, 100, 100), (0, 95, 5, 100)), {})
    assert drawn[:12, 40:].any()


def test_colours_are_distinct_and_stable():
    names = [f"class {k}" for k in range(80)]
    colours = palette(names)
    assert len(set(colours.values())) == 80
    assert palette(names) == colours


def test_nothing_found_changes_nothing():
    image = np.full((10, 10, 3), 77, np.uint8)
    assert (draw(image, Detections.empty(("car",)), {}) == image).all()


def test_the_jpeg_is_one():
    data = np.frombuffer(encode_jpeg(np.full((10, 12, 3), 77, np.uint8)), np.uint8)
    assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (10, 12, 3)
