"""kerbwatch evaluate, with a detector that is told what to see."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import kerbwatch
from detector.errors import Failure, WrongUse
from detector.types import Detections, Image
from training.evaluate import Evaluation, evaluate, table
from training.labels import load_taxonomy
from training.yolo_data import read_data_set

NAMES = ("person", "stall", "bin", "bin_overflow")
SIZE = (320, 240)


def a_set(root: Path, labels: list[str], names: str = "[thela, garbage_bin, pothole]") -> Path:
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for number, text in enumerate(labels):
        cv2.imwrite(str(root / f"images/{number}.png"), np.full((SIZE[1], SIZE[0], 3), number, np.uint8))
        (root / f"labels/{number}.txt").write_text(text)
    (root / "data.yaml").write_text(f"val: images\nnames: {names}\n")
    return root / "data.yaml"


def sees(*boxes: tuple[str, float, tuple[float, float, float, float]]) -> Callable[[Image], Detections]:
    """Find the same boxes in every picture."""
    xyxy = np.array([box for _, _, box in boxes]).reshape(-1, 4)
    score = np.array([score for _, score, _ in boxes])
    label = np.array([NAMES.index(name) for name, _, _ in boxes], dtype=np.int64)
    return lambda _: Detections(xyxy, score, label, NAMES)


def run(yaml_path: Path, detect: Callable[[Image], Detections], **score_min: float) -> Evaluation:
    return evaluate(read_data_set(yaml_path), load_taxonomy(), detect, "street@7", score_min)


def test_foreign_names_are_mapped_and_only_carried_classes_scored(tmp_path: Path) -> None:
    yaml_path = a_set(tmp_path, ["0 0.5 0.5 0.5 0.5\n2 0.1 0.1 0.1 0.1\n", "1 0.25 0.25 0.5 0.5\n"])
    detect = sees(
        ("stall", 0.9, (80, 60, 240, 180)),
        ("bin", 0.8, (0, 0, 160, 120)),
        ("person", 0.99, (0, 0, 50, 50)),  # the set does not label people: neither right nor wrong
    )
    result = run(yaml_path, detect, stall=0.5, bin=0.85).as_json()
    assert result["model"] == "street@7"
    assert result["images"] == 2
    assert list(result["classes"]) == ["stall", "bin"]
    assert result["classes"]["stall"] == {
        "ap50": 1.0,
        "ap5095": 1.0,
        "precision": 0.5,
        "recall": 1.0,
        "n": 1,
    } | {
        "ap50": result["classes"]["stall"]["ap50"],
        "ap5095": result["classes"]["stall"]["ap5095"],
    }
    assert result["classes"]["bin"]["recall"] == 0.0  # its threshold is above the score
    assert result["map50"] == pytest.approx(np.mean([row["ap50"] for row in result["classes"].values()]))


def test_a_box_in_an_ignored_region_does_not_count(tmp_path: Path) -> None:
    yaml_path = a_set(tmp_path, ["0 0.5 0.5 0.5 0.5\n"], names="[thela, garbage_bin, animal]")
    detect = sees(
        ("stall", 0.9, (80, 60, 240, 180)),
        ("stall", 0.95, (0, 0, 60, 60)),
        ("stall", 0.97, (260, 0, 320, 60)),
    )
    assert run(yaml_path, detect).as_json()["classes"]["stall"]["precision"] == pytest.approx(1 / 3, abs=1e-5)
    (tmp_path / "ignore").mkdir()
    corner, other = "0.1 0.1 0.2 0.25", "0.9 0.1 0.2 0.25"
    for text, precision in ((f"0 {corner}", 1 / 2), (f"-1 {corner}\n0 {other}", 1), (f"2 {corner}", 1 / 3)):
        (tmp_path / "ignore" / "0.txt").write_text(text)
        row = run(yaml_path, detect).as_json()["classes"]["stall"]
        assert (row["precision"], row["recall"], row["n"]) == pytest.approx((precision, 1.0, 1), abs=1e-5)


def test_two_foreign_names_of_one_class_are_counted_together(tmp_path: Path) -> None:
    yaml_path = a_set(tmp_path, ["0 0.2 0.2 0.1 0.1\n1 0.8 0.8 0.1 0.1\n"], names="[Cigarette, Drink can]")
    assert run(yaml_path, sees()).as_json()["classes"]["litter"]["n"] == 2


def test_boxes_of_a_class_the_model_lacks_count_as_missed(tmp_path: Path) -> None:
    yaml_path = a_set(tmp_path, ["0 0.5 0.5 0.5 0.5\n"], names="[rickshaw]")
    assert run(yaml_path, sees()).as_json()["classes"]["tricycle"]["ap50"] == 0.0


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("[thela, zeppelin]", "unknown class 'zeppelin'"),
        ("[pothole, umbrella]", "every class of it is ignored"),
    ],
)
def test_names_that_cannot_be_scored(tmp_path: Path, names: str, said: str) -> None:
    with pytest.raises(WrongUse, match=said):
        run(a_set(tmp_path, ["0 0.5 0.5 0.5 0.5\n"], names=names), sees())


def test_labels_without_a_scored_box(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no box of a class that is scored"):
        run(a_set(tmp_path, ["2 0.5 0.5 0.1 0.1\n"]), sees())


def test_a_broken_picture_is_one_sentence(tmp_path: Path) -> None:
    yaml_path = a_set(tmp_path, ["0 0.5 0.5 0.5 0.5\n"])
    (tmp_path / "images/0.png").write_bytes(b"not a picture")
    with pytest.raises(Failure, match=r"0\.png is not a picture"):
        run(yaml_path, sees())


@pytest.mark.parametrize(("suffix", "kind"), [("jpg", "JPEG"), ("png", "PNG")])
def test_half_a_picture_is_not_measured_on(tmp_path: Path, suffix: str, kind: str) -> None:
    yaml_path = a_set(tmp_path, ["0 0.5 0.5 0.5 0.5\n"])
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    data = cv2.imencode(f".{suffix}", noise)[1].tobytes()
    (tmp_path / "images/0.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(Failure, match=rf"0\.png is a {kind} picture that is cut short or damaged"):
        run(yaml_path, sees())


def test_a_listed_picture_that_is_not_there(tmp_path: Path) -> None:
    yaml_path = a_set(tmp_path, ["0 0.5 0.5 0.5 0.5\n"])
    (tmp_path / "val.txt").write_text("images/0.png\nimages/gone.png\n")
    yaml_path.write_text("val: val.txt\nnames: [thela]\n")
    with pytest.raises(Failure, match=r"gone\.png.*not there"):
        run(yaml_path, sees())


def test_table_has_a_line_per_class(tmp_path: Path) -> None:
    text = table(run(a_set(tmp_path, ["0 0.5 0.5 0.5 0.5\n"]), sees()).as_json())
    assert "stall" in text
    assert text.splitlines()[-1].startswith("mean")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["nowhere.yaml"], 2, "nowhere.yaml: cannot be read"),
        (["nowhere.yaml", "--model", "no@such"], 2, "nowhere.yaml"),
    ],
)
def test_command_line_errors(
    args: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kerbwatch.main(["evaluate", *args]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_evaluate_loads_no_torch() -> None:
    code = (
        "import sys, training.cli, training.evaluate, training.promote, training.release;"
        "print([m for m in ('torch', 'ultralytics', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "in_street_vendor" / "data.yaml"
SHIPPED = Path(__file__).resolve().parents[2] / "models" / "street" / "1" / "model.toml"


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_file(), reason="needs the labelled pictures in ../shared/data")
@pytest.mark.skipif(not SHIPPED.is_file(), reason="street@1 is not published in this checkout")
def test_shipped_model_equals_its_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert kerbwatch.main(["evaluate", str(SHARED), "--model", "street@1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    metrics = json.loads((SHIPPED.parent / "metrics.json").read_text())
    for name in ("stall", "tricycle"):
        assert result["classes"][name]["ap50"] == pytest.approx(metrics["classes"][name]["ap50"], abs=0.001)
        assert result["classes"][name]["recall"] == pytest.approx(
            metrics["classes"][name]["recall"], abs=0.001
        )
