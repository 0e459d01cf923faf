from __future__ import annotations

import numpy as np
import pytest

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
