"""Completing labels from several views of a picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.types import Detections
from training.complete import NOTHING, Completer, Sureness, fuse, mirrored
from training.labels import load_taxonomy

TAXONOMY = load_taxonomy()
NAMES = ("person", "car", "zebra", "kite of a sort nobody knows")
IMAGE = np.zeros((100, 200, 3), np.uint8)


def found(*things):
    """Boxes of `things`: (name, score, left, top, right, bottom)."""
    xyxy = np.array([thing[2:] for thing in things], dtype=np.float32).reshape(-1, 4)
    score = np.array([thing[1] for thing in things], dtype=np.float32)
    label = np.array([NAMES.index(thing[0]) for thing in things], dtype=np.int64)
    return Detections(xyxy, score, label, NAMES)


def completer(plain, flipped, larger=None, limits=None):
    views = iter((plain, flipped))
    limits = limits or {"person": Sureness(0.5, 0.2), "car": Sureness(0.5, 0.2)}
    return Completer(
        lambda _: next(views), (lambda _: larger) if larger is not None else None, TAXONOMY, limits
    )


def test_what_every_view_sees_is_a_label_and_what_one_sees_is_ignored():
    plain = found(("person", 0.9, 20, 10, 40, 90), ("car", 0.8, 100, 20, 180, 80), ("zebra", 0.9, 0, 0, 9, 9))
    flipped = found(("person", 0.7, 160, 10, 180, 90))  # the same person, mirrored; no car
    sure, ignored = completer(plain, flipped).complete(IMAGE, frozenset())
    assert sure[:, 0].tolist() == [TAXONOMY.names.index("person")]
    assert sure[0, 1:] == pytest.approx([0.15, 0.5, 0.1, 0.8])
    assert ignored[:, 0].tolist() == [TAXONOMY.names.index("car")]  # (0.8 + 0) / 2 = 0.4


def test_a_third_view_takes_part_in_the_mean():
    person = ("person", 0.9, 20, 10, 40, 90)
    sure, ignored = completer(found(person), found(), found()).complete(IMAGE, frozenset())
    assert len(sure) == 0
    assert len(ignored) == 1


def test_classes_that_the_set_labels_are_left_to_it():
    person = found(("person", 0.9, 20, 10, 40, 90))
    assert completer(person, person).complete(IMAGE, frozenset({"person", "car"})) is NOTHING


def test_boxes_beyond_the_edge_are_cut():
    seen = found(("car", 0.9, 150, -5, 230, 60))
    flipped = found(("car", 0.9, -30, -5, 50, 60))
    sure, _ = completer(seen, flipped).complete(IMAGE, frozenset())
    middle, half = sure[:, 1:3], sure[:, 3:] / 2
    assert (middle - half >= -1e-9).all()
    assert (middle + half <= 1 + 1e-9).all()


@given(st.lists(st.tuples(st.floats(0, 150), st.floats(1, 50)), max_size=5))
def test_mirroring_twice_gives_the_boxes_back(spans):
    boxes = found(*(("car", 0.5, left, 1, left + width, 9) for left, width in spans))
    assert mirrored(mirrored(boxes, 200), 200).xyxy == pytest.approx(boxes.xyxy, abs=1e-3)


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 80), st.floats(5, 20), st.floats(0.05, 1)), max_size=4),
        min_size=1,
        max_size=3,
    )
)
def test_a_fused_score_is_never_above_the_best_view(views):
    arrays = [
        (np.array([[x, 0, x + w, 10] for x, w, _ in view]).reshape(-1, 4), np.array([s for *_, s in view]))
        for view in views
    ]
    boxes, scores = fuse(arrays)
    assert len(boxes) == len(scores) <= sum(len(view) for view in views)
    best = max((s for view in views for *_, s in view), default=0.0)
    assert all(0 < score <= best + 1e-9 for score in scores)
