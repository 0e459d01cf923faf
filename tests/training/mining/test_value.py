from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.types import Detections
from training.mining import choose, value
from training.mining.value import disagreement, entropy, look, mirrored, uncertainty

relaxed = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
LIMITS = {"car": 0.4, "litter": 0.3}


@pytest.mark.parametrize("module", [value, choose])
def test_examples_are_true(module):
    assert doctest.testmod(module).failed == 0


def test_a_box_at_its_threshold_is_the_most_doubtful(detections):
    place = (0, 0, 10, 10)
    at, sure = detections(("car", 0.4, place)), detections(("car", 0.95, place))
    assert uncertainty(at, LIMITS) == pytest.approx(1 / 3, abs=1e-6)
    assert uncertainty(at, LIMITS) > uncertainty(sure, LIMITS) > 0
    assert uncertainty(detections(), LIMITS) == 0
    assert uncertainty(detections(*[("car", 0.4, place)] * 5), LIMITS) == pytest.approx(1, abs=1e-6)


@relaxed
@given(st.floats(0, 1), st.floats(0.01, 0.99))
def test_entropy_is_highest_at_the_threshold(score, threshold):
    bits = entropy(np.array([score, threshold]), np.array([threshold, threshold]))
    assert 0 <= bits[0] <= 1 + 1e-9
    assert bits[1] == pytest.approx(1)


def boxes_of(rows):
    return Detections(
        np.array([(x, y, x + w, y + h) for _, _, (x, y, w, h) in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([label for label, _, _ in rows], np.int64),
        ("car", "litter"),
    )


row = st.tuples(
    st.integers(0, 1), st.integers(1, 99).map(lambda score: score / 100), st.tuples(*[st.integers(1, 30)] * 4)
)


@relaxed
@given(st.lists(row, max_size=5), st.lists(row, max_size=5))
def test_disagreement_is_a_share_and_nobody_disagrees_with_himself(one, other):
    assert -1e-6 <= disagreement(boxes_of(one), boxes_of(other)) <= 1
    assert disagreement(boxes_of(one), boxes_of([])) in {0.0, 1.0}


def test_what_two_opinions_share(detections):
    car, near, far = (0, 0, 20, 20), (1, 0, 21, 20), (40, 40, 60, 60)
    assert disagreement(detections(("car", 0.8, car)), detections(("car", 0.8, near))) == pytest.approx(0)
    assert disagreement(detections(("car", 0.8, car)), detections(("car", 0.4, near))) == pytest.approx(1 / 3)
    assert disagreement(detections(("car", 0.8, car)), detections(("litter", 0.8, car))) == 1
    assert disagreement(detections(("car", 0.8, car)), detections(("car", 0.8, far))) == 1
    assert disagreement(detections(("car", 0.05, car)), detections()) == 0


@relaxed
@given(st.lists(row, max_size=5))
def test_mirroring_twice_is_nothing(rows):
    found = boxes_of(rows)
    assert np.allclose(mirrored(mirrored(found, 64), 64).xyxy, found.xyxy)


def test_a_look_tells_streets_apart_and_bears_compression(noise):
    one, other = look(noise(1)), look(noise(2))
    brighter = look(np.clip(noise(1).astype(int) + 6, 0, 255).astype(np.uint8))
    assert np.linalg.norm(one) == pytest.approx(1)
    assert np.linalg.norm(one - brighter) < np.linalg.norm(one - other) / 3
    assert np.isfinite(look(np.zeros((5, 7, 3), np.uint8))).all()
