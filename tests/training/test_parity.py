"""Differences between forms of one network, on made boxes and outputs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import Failure
from training.evaluation.lists import ValList
from training.labels import load_taxonomy
from training.metrics import LabelledPicture
from training.parity import compare_boxes, compare_forms, compare_outputs, map50, openvino_infer, overlaps

TAXONOMY = load_taxonomy()
BIN, CAR = TAXONOMY.names.index("bin"), TAXONOMY.names.index("car")
Box = tuple[int, float, list[float]]
"""Class, score, corners."""


def a_list(found: list[Box], truth: list[Box]) -> ValList:
    def arrays(boxes: list[Box]):
        xyxy = np.array([box[2] for box in boxes], float).reshape(-1, 4)
        return xyxy, np.array([box[1] for box in boxes], float), np.array([box[0] for box in boxes], np.int64)

    (xyxy, score, label), (true_xyxy, _, true_label) = arrays(found), arrays(truth)
    picture = LabelledPicture((100, 100), true_xyxy, true_label, xyxy, score, label)
    return ValList("set", frozenset({"bin", "car"}), (Path("a.jpg"),), (picture,), (picture,), (90.0,))


ONE, TWO, FAR = [10.0, 10, 50, 50], [12.0, 10, 52, 50], [60.0, 60, 90, 90]


def test_the_same_boxes_differ_in_nothing() -> None:
    entry = a_list([(BIN, 0.9, ONE), (CAR, 0.4, FAR)], [])
    row = compare_boxes([entry], [entry])
    assert (row["matched"], row["lost"], row["gained"]) == (2, 0, 0)
    assert (row["iou_mean"], row["iou_min"], row["score_mean"], row["score_max"]) == (1.0, 1.0, 0.0, 0.0)


def test_moved_lost_and_gained_boxes() -> None:
    before = a_list([(BIN, 0.9, ONE), (CAR, 0.4, FAR)], [])
    after = a_list([(BIN, 0.8, TWO), (BIN, 0.5, FAR)], [])  # the car has become a bin
    row = compare_boxes([before], [after])
    assert (row["matched"], row["lost"], row["gained"]) == (1, 1, 1)
    assert row["iou_min"] == pytest.approx(0.905, abs=0.001)
    assert row["score_max"] == pytest.approx(0.1)


def test_a_score_at_the_edge_is_no_loss() -> None:
    row = compare_boxes([a_list([(BIN, 0.26, ONE)], [])], [a_list([(BIN, 0.24, ONE)], [])])
    assert (row["matched"], row["lost"], row["gained"]) == (1, 0, 0)
    row = compare_boxes([a_list([(BIN, 0.26, ONE)], [])], [a_list([(BIN, 0.1, ONE)], [])])
    assert (row["matched"], row["lost"], row["gained"]) == (0, 1, 0)


def test_one_box_is_not_the_partner_of_two() -> None:
    row = compare_boxes([a_list([(BIN, 0.9, ONE), (BIN, 0.8, TWO)], [])], [a_list([(BIN, 0.9, ONE)], [])])
    assert (row["matched"], row["lost"], row["iou_mean"]) == (1, 1, 1.0)


def test_no_boxes_at_all() -> None:
    row = compare_boxes([a_list([], [])], [a_list([], [])])
    assert (row["matched"], row["lost"], row["gained"], row["iou_min"]) == (0, 0, 0, 1.0)


def test_forms_are_compared_one_with_the_next() -> None:
    truth: list[Box] = [(BIN, 1.0, ONE), (CAR, 1.0, FAR)]
    good, poor = a_list([(BIN, 0.9, ONE), (CAR, 0.4, FAR)], truth), a_list([(BIN, 0.9, ONE)], truth)
    report = compare_forms({"checkpoint": [good], "onnx": [good], "int8": [poor]}, TAXONOMY)
    assert report["map50"] == {"checkpoint": 1.0, "onnx": 1.0, "int8": 0.5}
    assert report["classes"]["car"] == {"checkpoint": 1.0, "onnx": 1.0, "int8": 0.0}
    assert list(report["boxes"]) == ["checkpoint to onnx", "onnx to int8"]
    assert report["boxes"]["onnx to int8"]["lost"] == 1
    assert map50([poor], TAXONOMY) == pytest.approx(0.5)


def pictures(folder: Path, count: int) -> list[Path]:
    files = [folder / f"{number}.png" for number in range(count)]
    for number, file in enumerate(files):
        cv2.imwrite(str(file), np.full((48, 64, 3), 40 * number, np.uint8))
    return files


def test_raw_outputs(tmp_path: Path) -> None:
    def wanted(batch):
        assert batch.shape == (1, 3, 64, 64)  # 48 lines made up to a multiple of 32
        return np.array([[[10, 20], [10, 20], [4, 4], [4, 4], [0.9, 0.1]]], np.float32)

    def got(batch):
        return wanted(batch) + np.array([[[0.5, 9], [0, 9], [0, 0], [0, 0], [-0.02, 0.05]]], np.float32)

    parity = compare_outputs(wanted, got, pictures(tmp_path, 3), 64)
    assert (parity.pictures, parity.boxes) == (3, 3)  # the second place of each is below 0.25 in both
    assert parity.box_px_max == pytest.approx(0.5)
    assert parity.box_px_mean == pytest.approx(0.125)
    assert parity.score_mean == pytest.approx(0.02, abs=1e-6)
    assert parity.score_max == pytest.approx(0.05, abs=1e-6)
    with pytest.raises(Failure, match="no picture to compare"):
        compare_outputs(wanted, got, [], 64)


def test_a_network_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "street.onnx").write_bytes(b"no network")
    with pytest.raises(Failure, match=r"street\.onnx: cannot be read by OpenVINO"):
        openvino_infer(tmp_path / "street.onnx")


corner = st.floats(0, 50)
box = st.tuples(corner, corner, st.floats(1, 50), st.floats(1, 50)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)


@given(st.lists(box, min_size=1, max_size=5))
def test_overlap_is_a_fraction_and_one_with_itself(boxes: list[list[float]]) -> None:
    iou = overlaps(np.array(boxes), np.array(boxes))
    assert iou.min() >= 0
    assert iou.max() <= 1 + 1e-9
    np.testing.assert_allclose(iou.diagonal(), 1)
    np.testing.assert_allclose(iou, iou.T)
