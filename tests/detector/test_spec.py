from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from detector.errors import Failure, WrongUse
from detector.spec import SCORE_MIN_DEFAULT, read_spec, spec_of

GOOD = """
name = "street"
version = 1
decoder = "yolo_dfl_free"
side_px = 640
stride_px = 32
labels = ["person", "car", "bin"]
iou_max = 0.6
licence = "AGPL-3.0-or-later"
dataset = "street-1"
[score_min]
person = 0.4
[[file]]
backend = "onnx"
path = "street.onnx"
sha256 = "A64"
[[file]]
backend = "ultralytics"
path = "street.pt"
sha256 = "B64"
""".replace("A64", "a" * 64).replace("B64", "b" * 64)


def spec_from(text: str, tmp_path: Path):
    (tmp_path / "model.toml").write_text(text, encoding="utf-8")
    return read_spec(tmp_path)


def test_a_good_file(tmp_path):
    spec = spec_from(GOOD, tmp_path)
    assert spec.ref == "street@1"
    assert spec.labels == ("person", "car", "bin")
    assert spec.score_min == {"person": 0.4, "car": SCORE_MIN_DEFAULT, "bin": SCORE_MIN_DEFAULT}
    assert [file.path for file in spec.files_of("ultralytics")] == ["street.pt"]
    assert spec.files_of("openvino") == ()
    assert spec.folder == tmp_path


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("iou_max = 0.6", "iou_max = 0.6\niou_maximum = 0.6", "unknown key 'iou_maximum'"),
        ("[score_min]", "[score_mn]", "unknown key 'score_mn'"),
        ('backend = "onnx"', 'backend = "onnx"\nurl = "x"', "unknown key 'file.0.url'"),
        ("iou_max = 0.6\n", "", "the key 'iou_max' is missing"),
        ("[[file]]", "[[files]]", "file"),
        ("version = 1", 'version = "1"', "version: "),
        ("version = 1", "version = -1", "version: "),
        ("version = 1", "version = true", "version: "),
        ("version = 1", 'version = 1\nprecision = "bf16"', "precision: "),
        ("version = 1", 'version = 1\nprecision = "int8"', "is int8, but no file of the backend openvino is"),
        ("side_px = 640", "side_px = 650", "650 is not a multiple of stride_px 32"),
        ('labels = ["person", "car", "bin"]', "labels = []", "labels"),
        ('labels = ["person", "car", "bin"]', 'labels = ["person", "person"]', "named twice"),
        ("person = 0.4", "persn = 0.4", "'persn' is not among the labels"),
        ("person = 0.4", "person = 1.4", "score_min.person"),
        ("person = 0.4", 'person = "0.4"', "score_min.person"),
        ("iou_max = 0.6", "iou_max = 0", "iou_max"),
        ('"yolo_dfl_free"', '"detr"', "decoder"),
        ('backend = "onnx"', 'backend = "tensorflow"', "file.0.backend"),
        ("a" * 64, "a" * 63, "file.0.sha256"),
        ("street.onnx", "../../etc/passwd", "must stay inside the model's folder"),
        ("street.onnx", "/etc/passwd", "must stay inside the model's folder"),
        (
            '"onnx"\npath = "street.onnx"',
            '"openvino"\npath = "street.xml"',
            "street.xml needs its street.bin",
        ),
        ("version = 1", "version = 1\nfolder = '/'", "unknown key 'folder'"),
        ("version = 1", "version =", "not valid TOML"),
    ],
)
def test_one_sentence_for_each_mistake(old, new, says, tmp_path):
    assert old in GOOD
    with pytest.raises(WrongUse) as caught:
        spec_from(GOOD.replace(old, new), tmp_path)
    message = str(caught.value)
    assert says in message
    assert message.startswith(str(tmp_path / "model.toml"))
    assert "\n" not in message


def test_a_missing_file_names_itself(tmp_path):
    with pytest.raises(Failure, match=r"model\.toml does not exist"):
        read_spec(tmp_path)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "model.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WrongUse, match="not valid TOML"):
        read_spec(tmp_path)


def test_a_spec_cannot_be_changed(tmp_path):
    spec = spec_of(tomllib.loads(GOOD), tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        spec.iou_max = 0.1
