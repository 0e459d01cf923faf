from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import detector.nms
from detector.nms import PAIRS_MAX, nms


def brute_force(boxes, scores, labels, iou_max, limit):
    """The definition, one pair at a time."""
    kept = []
    for i in sorted(range(len(boxes)), key=lambda index: (-scores[index], index)):
        if all(labels[i] != labels[j] or iou(boxes[i], boxes[j]) <= iou_max for j in kept):
            kept.append(i)
    return kept[:limit]


def iou(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    joint = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / joint if joint > 0 else 0.0


# Whole numbers, so that an overlap exactly at the limit is exact in both.
side = st.integers(0, 40)
box = st.tuples(side, side, side, side).map(
    lambda s: (min(s[0], s[1]), min(s[2], s[3]), max(s[0], s[1]), max(s[2], s[3]))
)
things = st.lists(st.tuples(box, st.integers(0, 20), st.integers(0, 3)), max_size=40)


@given(things, st.sampled_from([0.1, 0.45, 0.6, 1.0]), st.sampled_from([3, 300]))
def test_it_is_the_brute_force(found, iou_max, limit):
    boxes = np.array([box for box, _, _ in found], np.float32).reshape(-1, 4)
    scores = np.array([score / 20 for _, score, _ in found], np.float32)
    labels = np.array([label for _, _, label in found], np.int64)
    wanted = brute_force(boxes.tolist(), scores.tolist(), labels.tolist(), iou_max, limit)
    assert nms(boxes, scores, labels, iou_max, limit).tolist() == wanted


@given(things, st.sampled_from([0.1, 0.45, 0.6, 1.0]), st.sampled_from([3, 300]))
def test_many_boxes_take_another_way_to_the_same_end(found, iou_max, limit):
    boxes = np.array([box for box, _, _ in found], np.float32).reshape(-1, 4)
    scores = np.array([score / 20 for _, score, _ in found], np.float32)
    labels = np.array([label for _, _, label in found], np.int64)
    few = nms(boxes, scores, labels, iou_max, limit)
    with mock.patch.object(detector.nms, "PAIRS_MAX", 0):
        assert nms(boxes, scores, labels, iou_max, limit).tolist() == few.tolist()


def test_on_both_sides_of_the_border_between_the_two_ways():
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 600, (PAIRS_MAX + 1, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.uniform(5, 120, corners.shape)], axis=1).astype(np.float32)
    scores, labels = rng.random(len(boxes), np.float32), rng.integers(0, 3, len(boxes))
    for count in (PAIRS_MAX, PAIRS_MAX + 1):
        kept = nms(boxes[:count], scores[:count], labels[:count], 0.3)
        wanted = brute_force(
            boxes[:count].tolist(), scores[:count].tolist(), labels[:count].tolist(), 0.3, 300
        )
        assert kept.tolist() == wanted
        assert len(kept) < count


def test_classes_do_not_suppress_each_other_however_large_the_boxes():
    boxes = np.array([[-50, -50, 5000, 4000]] * 3, np.float32)
    kept = nms(boxes, np.array([0.5, 0.9, 0.7], np.float32), np.array([0, 79, 0]), 0.5)
    assert kept.tolist() == [1, 2]


def test_equal_scores_keep_their_order():
    boxes = np.array([[0, 0, 10, 10], [100, 0, 110, 10], [0, 0, 10, 10]], np.float32)
    assert nms(boxes, np.full(3, 0.5, np.float32), np.zeros(3, np.int64), 0.5).tolist() == [0, 1]


def test_none_gives_none():
    kept = nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5)
    assert kept.shape == (0,)
