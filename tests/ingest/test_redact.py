from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.types import Detections
from ingest.redact import head_of, letter_rows, plate_places, redact

NAMES = ("person", "car", "motorcycle", "dog", "bin")


def boxes(*found: tuple[str, float, tuple[float, float, float, float]]) -> Detections:
    return Detections(
        np.array([xyxy for _, _, xyxy in found], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in found], np.float32),
        np.array([NAMES.index(name) for name, _, _ in found], np.int64),
        NAMES,
    )


@pytest.fixture
def scene() -> np.ndarray:
    """Give 640x480 of noise: every pixel tells whether it was touched."""
    return np.random.default_rng(1).integers(0, 256, (480, 640, 3), dtype=np.uint8)


def detail(image: np.ndarray) -> float:
    """Give how much neighbouring pixels differ: noise about 85, a mosaic far less."""
    return float(np.abs(np.diff(image.astype(np.int16), axis=1)).mean())


def test_heads_are_hidden_and_feet_are_not(scene: np.ndarray) -> None:
    out = redact(scene, boxes(("person", 0.9, (300, 100, 360, 280))))
    assert detail(out[100:145, 300:360]) < 15
    assert np.array_equal(out[160:], scene[160:])
    assert np.array_equal(out[:, :280], scene[:, :280])


@pytest.mark.parametrize("score", [0.1, 0.15, 0.9])
def test_a_doubtful_person_is_hidden_too(scene: np.ndarray, score: float) -> None:
    out = redact(scene, boxes(("person", score, (300, 100, 360, 280))))
    assert detail(out[100:140, 300:360]) < 15


def test_a_rider_and_one_cut_off_by_the_edge_lose_more_of_the_box(scene: np.ndarray) -> None:
    riding = redact(
        scene, boxes(("person", 0.5, (300, 100, 390, 220)), ("motorcycle", 0.9, (290, 160, 400, 260)))
    )
    assert detail(riding[100:145, 300:390]) < 15
    cut = redact(scene, boxes(("person", 0.5, (300, 300, 390, 480))))
    assert detail(cut[300:385, 300:390]) < 15


def test_a_bin_is_not_taken_for_a_person(scene: np.ndarray) -> None:
    at = (300.0, 100.0, 360.0, 280.0)
    doubtful = redact(
        scene, boxes(("person", 0.15, at), ("car", 0.22, at), ("bin", 0.7, (302, 96, 362, 276)))
    )
    assert np.array_equal(doubtful, scene)
    beside = redact(scene, boxes(("person", 0.15, at), ("bin", 0.7, (350, 200, 420, 280))))
    assert detail(beside[100:140, 300:360]) < 15
    sure = redact(scene, boxes(("person", 0.4, at), ("bin", 0.7, at)))
    assert detail(sure[100:140, 300:360]) < 15


def test_the_picture_given_is_not_touched_and_dogs_keep_their_heads(scene: np.ndarray) -> None:
    before = scene.copy()
    out = redact(scene, boxes(("dog", 0.9, (100, 100, 200, 200))))
    assert np.array_equal(out, before)
    redact(scene, boxes(("person", 0.9, (300, 100, 360, 280))))
    assert np.array_equal(scene, before)


def test_what_is_hidden_cannot_be_told_apart() -> None:
    """Two heads that differ only in fine detail leave the same pixels."""
    rng = np.random.default_rng(3)
    base = np.full((200, 100, 3), 120, np.uint8)
    noise = rng.integers(-6, 7, (60, 60, 1), dtype=np.int16)
    other = base.copy()
    other[10:70, 20:80] = np.clip(other[10:70, 20:80] + noise, 0, 255).astype(np.uint8)
    person = boxes(("person", 0.9, (20, 10, 80, 190)))
    assert np.array_equal(redact(base, person)[10:60], redact(other, person)[10:60])


@given(
    st.tuples(*[st.floats(-200, 900) for _ in range(4)]),
    st.sampled_from(["person", "car", "motorcycle"]),
    st.sampled_from([(1, 1), (7, 3), (640, 480)]),
)
def test_no_box_breaks_it(xyxy: tuple[float, float, float, float], name: str, wh: tuple[int, int]) -> None:
    x0, y0, x1, y1 = xyxy
    image = np.zeros((wh[1], wh[0], 3), np.uint8)
    box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    assert redact(image, boxes((name, 0.9, box))).shape == image.shape


@given(st.floats(0, 600), st.floats(0, 440), st.floats(5, 300), st.floats(5, 300))
def test_head_lies_in_the_picture_and_holds_the_top_of_the_box(
    x: float, y: float, w: float, h: float
) -> None:
    head = head_of((x, y, x + w, y + h), (640, 480))
    assert head is not None
    assert 0 <= head[0] < head[2] <= 640
    assert 0 <= head[1] < head[3] <= 480
    assert head[1] <= y
    assert head[3] >= min(480, y + 0.28 * h) - 1


def plated_car(
    ground: tuple[int, int, int], ink: tuple[int, int, int], at: tuple[int, int] = (250, 290)
) -> np.ndarray:
    """Draw a dark car's front, 200 px wide at (200, 160), with a plate of 56x18 px."""
    image = np.full((480, 640, 3), 90, np.uint8)
    cv2.rectangle(image, (200, 160), (400, 330), (40, 40, 45), -1)
    x, y = at
    cv2.rectangle(image, (x, y), (x + 56, y + 18), ground, -1)
    cv2.putText(image, "A12345", (x + 2, y + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, 1, cv2.LINE_AA)
    return image


@pytest.mark.parametrize(
    ("ground", "ink"),
    [
        ((160, 60, 10), (255, 255, 255)),
        ((90, 170, 60), (0, 0, 0)),
        ((20, 190, 220), (0, 0, 0)),
        ((240,) * 3, (0,) * 3),
    ],
    ids=["blue", "green", "yellow", "white"],
)
@pytest.mark.parametrize("at", [(250, 290), (205, 300), (340, 250)])
def test_letters_of_a_plate_are_gone(
    ground: tuple[int, int, int], ink: tuple[int, int, int], at: tuple[int, int]
) -> None:
    image = plated_car(ground, ink, at)
    out = redact(image, boxes(("car", 0.8, (200, 160, 400, 330))))
    x, y = at
    assert detail(image[y + 3 : y + 15, x + 3 : x + 50]) > 20
    assert detail(out[y + 3 : y + 15, x + 3 : x + 50]) < 8


def test_a_high_plate_is_found_by_its_letters() -> None:
    image = plated_car((160, 60, 10), (255, 255, 255), (270, 222))
    part = image[217:330, 200:400]
    assert any(x0 < 75 and x1 > 120 and y0 < 10 and y1 > 20 for x0, y0, x1, y1 in letter_rows(part))


def test_small_vehicles_are_left_alone(scene: np.ndarray) -> None:
    assert plate_places(scene, (100, 100, 155, 140)) == []
    assert np.array_equal(redact(scene, boxes(("car", 0.9, (100, 100, 155, 140)))), scene)


def test_privacy_zone_is_black(scene: np.ndarray) -> None:
    out = redact(scene, boxes(), privacy=[[(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)]])
    assert not out[:240, :320].any()
    assert np.array_equal(out[242:, 322:], scene[242:, 322:])
