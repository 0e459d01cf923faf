from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detector.decode import decode


def raw_of(*places):
    """(cx, cy, w, h, score, score) per place -> (6, N)."""
    return np.array(places, np.float32).T.reshape(6, -1)


LIMITS = np.array([0.3, 0.6], np.float32)


def test_each_place_gives_the_box_of_its_best_class_surest_first():
    found = decode(raw_of((10, 20, 4, 6, 0.4, 0.1), (50, 60, 10, 10, 0.2, 0.9)), LIMITS)
    assert found.xyxy.tolist() == [[45, 55, 55, 65], [8, 17, 12, 23]]
    assert found.label.tolist() == [1, 0]
    np.testing.assert_allclose(found.score, [0.9, 0.4])


def test_each_class_has_its_own_threshold_and_reaching_it_is_enough():
    places = [(0, 0, 1, 1, 0.3, 0.0), (0, 0, 1, 1, 0.0, 0.59), (0, 0, 1, 1, 0.0, 0.6), (0, 0, 1, 1, 0.29, 0)]
    assert decode(raw_of(*places), LIMITS).label.tolist() == [1, 0]


def test_equal_scores_keep_the_networks_order_and_the_limit_cuts_the_rest():
    found = decode(raw_of(*[(x, 0, 2, 2, 0.5, 0) for x in range(9)]), LIMITS, limit=4)
    assert found.xyxy[:, 0].tolist() == [-1, 0, 1, 2]


def test_not_a_number_is_no_detection():
    assert len(decode(raw_of((1, 1, 1, 1, np.nan, 0.9)), LIMITS).score) == 0


def test_a_score_a_hair_above_one_counts_as_one():
    assert decode(raw_of((1, 1, 1, 1, 1.0000001, 0)), LIMITS).score.tolist() == [1.0]


def test_nothing_found():
    found = decode(np.zeros((6, 0), np.float32), LIMITS)
    assert (found.xyxy.shape, found.score.shape, found.label.shape) == ((0, 4), (0,), (0,))


def test_output_of_another_model_is_refused():
    with pytest.raises(ValueError, match=r"wanted \(6, N\), got \(7, 3\)"):
        decode(np.zeros((7, 3), np.float32), LIMITS)


def test_every_class_gives_a_place_one_box_per_class_that_passes():
    raw = raw_of((10, 20, 4, 6, 0.4, 0.7), (50, 60, 10, 10, 0.2, 0.9), (1, 1, 2, 2, 0.1, 0.1))
    found = decode(raw, LIMITS, every_class=True)
    assert found.label.tolist() == [1, 1, 0]
    np.testing.assert_allclose(found.score, [0.9, 0.7, 0.4])
    assert found.xyxy[1].tolist() == found.xyxy[2].tolist() == [8, 17, 12, 23]


@given(
    hnp.arrays(np.float32, (7, 30), elements=st.floats(0, 1, width=32)),
    hnp.arrays(np.float32, 3, elements=st.floats(0, 1, width=32)),
)
def test_every_class_holds_all_boxes_of_the_best_class(raw, limits):
    def rows(found):
        return {(*box.tolist(), s, c) for box, s, c in zip(*found, strict=True)}

    best, every = decode(raw, limits), decode(raw, limits, every_class=True)
    assert rows(best) <= rows(every)
    assert len(every.score) == int((raw[4:] >= limits[:, None]).sum())
    assert (np.diff(every.score) <= 0).all()
