"""The curve of a run: which checkpoints there are, what they saw, what is kept, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detector.errors import Failure, WrongUse
from training import curve
from training.labels import load_taxonomy

CONFIG = """name = "street-9"
[data]
[[data.set]]
folder = "bins"
[[data.set]]
folder = "wires_train"
rendered = true
labelled = ["flying_wire", "bin"]
[[stage]]
name = "wide"
[[stage]]
name = "last"
[[stage]]
name = "settle"
[train]
"""
NAMES = load_taxonomy().names


def a_set(folder: Path, names: list[str], labels: list[int]) -> Path:
    """Write a data set of two val pictures with a box of every class in `labels` each."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(2):
        cv2.imwrite(str(folder / f"images/{number}.png"), np.full((48, 64, 3), 90, np.uint8))
        (folder / f"labels/{number}.txt").write_text(
            "".join(f"{label} 0.5 0.5 0.4 0.4\n" for label in labels)
        )
    (folder / "val.txt").write_text("./images/0.png\n./images/1.png\n")
    (folder / "data.yaml").write_text(f"path: .\nval: val.txt\nnames: {json.dumps(names)}\n")
    return folder


def a_run(tmp_path: Path, *, going: bool = False) -> Path:
    """Write a run of three stages; where it is `going`, the second one is not finished."""
    run = tmp_path / "run"
    for name, epochs in (("wide", 2), ("last", 1)) if going else (("wide", 2), ("last", 1), ("settle", 1)):
        (run / name / "weights").mkdir(parents=True)
        for file in ("last", "best", *(f"epoch{number}" for number in range(epochs))):
            (run / name / f"weights/{file}.pt").write_bytes(b"no weights")
    (run / "config.toml").write_text(CONFIG)
    (run / "train-last.txt").write_text("./images/bins/a.jpg\n" * 7)
    history = [
        {"name": "wide", "epochs": 2, "pictures": 100},
        {"name": "last", "epochs": 3, "pictures": 10},
        {"name": "settle", "epochs": 1, "pictures": 5},
    ]
    (run / "history.json").write_text(json.dumps(history[: 1 if going else 3]))
    return run


def seen(run: Path) -> list[tuple[str, int, int]]:
    found = curve.checkpoints_of(run, curve.read_config(run / "config.toml"))
    assert all(one.path == run / one.stage / f"weights/epoch{one.epoch}.pt" for one in found)
    return [(one.stage, one.epoch, one.pictures_seen) for one in found]


def test_pictures_add_up_over_the_stages_also_over_epochs_whose_checkpoints_are_gone(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert seen(run) == [("wide", 0, 100), ("wide", 1, 200), ("last", 0, 210), ("settle", 0, 235)]


def test_the_stage_that_still_runs_is_counted_by_its_list(tmp_path: Path) -> None:
    run = a_run(tmp_path, going=True)
    assert seen(run) == [("wide", 0, 100), ("wide", 1, 200), ("last", 0, 207)]
    (run / "history.json").unlink()
    (run / "train-wide.txt").write_text("./images/bins/a.jpg\n" * 4)
    assert seen(run) == [("wide", 0, 4), ("wide", 1, 8), ("last", 0, 15)]


def test_epochs_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    for number in (2, 10):
        (run / f"wide/weights/epoch{number}.pt").write_bytes(b"")
    (run / "wide/weights/epoch3-copy.pt").write_bytes(b"")
    assert [epoch for stage, epoch, _ in seen(run) if stage == "wide"] == [0, 1, 2, 10]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a measurement without a network in; give the names of what it has measured."""
    done: list[str] = []

    def measure(one: curve.Checkpoint, _: Any, scenes: list[Path], __: Any) -> Iterator[dict[str, Any]]:
        done.append(f"{one.stage} {one.epoch}")
        for name in ("bin", *(["flying_wire"] if scenes else [])):
            yield {
                "stage": one.stage, "epoch": one.epoch, "pictures_seen": one.pictures_seen, "class": name,
                "ap50": 0.5, "boxes": 2,
            }  # fmt: skip

    monkeypatch.setattr(curve, "_measured", measure)
    return done


def test_what_is_measured_is_kept_and_the_rest_follows(tmp_path: Path, measured: list[str]) -> None:
    run = a_run(tmp_path, going=True)
    a_set(tmp_path / "bins", ["bin"], [0])
    rows = curve.curve(run, tmp_path, [])
    assert measured == ["wide 0", "wide 1", "last 0"]
    assert json.loads((run / "epoch_curve.json").read_text()) == rows
    assert set(rows[0]) == {"stage", "epoch", "pictures_seen", "class", "ap50", "boxes"}
    (run / "last/weights/epoch1.pt").write_bytes(b"")
    assert [row["pictures_seen"] for row in curve.curve(run, tmp_path, [])] == [100, 200, 207, 214]
    assert measured[3:] == ["last 1"]
    assert not list(run.glob("*.new"))


def test_a_curve_without_scenes_is_measured_anew_with_them(tmp_path: Path, measured: list[str]) -> None:
    run = a_run(tmp_path)
    a_set(tmp_path / "bins", ["bin"], [0])
    scenes = [a_set(tmp_path / "wires_val", list(NAMES), [NAMES.index("flying_wire")])]
    curve.curve(run, tmp_path, [])
    rows = curve.curve(run, tmp_path, scenes)
    assert len(measured) == 8
    assert [row["class"] for row in rows] == ["bin", "flying_wire"] * 4
    curve.curve(run, tmp_path, scenes)
    assert len(measured) == 8


def test_a_kill_between_two_epochs_loses_none_that_was_measured(
    tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path)
    a_set(tmp_path / "bins", ["bin"], [0])
    real = curve._measured

    def stop(one: curve.Checkpoint, *others: Any) -> Iterator[dict[str, Any]]:
        if one.stage == "last":
            raise KeyboardInterrupt
        return real(one, *others)

    monkeypatch.setattr(curve, "_measured", stop)
    with pytest.raises(KeyboardInterrupt):
        curve.curve(run, tmp_path, [])
    assert len(curve.read_curve(run / "epoch_curve.json")) == 2


def sentence_of(capsys: pytest.CaptureFixture[str], *arguments: Path | str) -> tuple[int, str]:
    code = curve.main([str(argument) for argument in arguments])
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    return code, error


def test_every_user_error_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path)
    data = tmp_path / "data"
    code, error = sentence_of(capsys, tmp_path / "none", "--data", data)
    assert (code, "there is no such run" in error) == (2, True)
    code, error = sentence_of(capsys, tmp_path, "--data", data)
    assert (code, "config.toml: cannot be read" in error) == (2, True)
    code, error = sentence_of(capsys, run, "--data", data)
    assert (code, f"{data}/bins/data.yaml: cannot be read" in error) == (2, True)
    a_set(data / "bins", ["bin"], [0])
    (data / "bins/val.txt").write_text("")
    code, error = sentence_of(capsys, run, "--data", data)
    assert (code, "split 'val' lists no picture" in error) == (2, True)
    (data / "bins/val.txt").write_text("./images/0.png\n")
    (run / "epoch_curve.json").write_text('[{"stage": "wide"}]')
    code, error = sentence_of(capsys, run, "--data", data)
    assert (code, "wanted rows of ap50, boxes, class" in error) == (2, True)
    (run / "epoch_curve.json").write_text("{")
    code, error = sentence_of(capsys, run, "--data", data)
    assert (code, "is no learning curve" in error) == (2, True)
    for folder in ("wide", "last", "settle"):
        for path in (run / folder / "weights").glob("epoch*.pt"):
            path.unlink()
    code, error = sentence_of(capsys, run, "--data", data)
    assert (code, "no stage has left a weights/epochN.pt yet" in error) == (1, True)


def test_a_damaged_history_and_a_missing_list_are_named(tmp_path: Path) -> None:
    run = a_run(tmp_path, going=True)
    (run / "train-last.txt").unlink()
    with pytest.raises(Failure, match=r"train-last\.txt: the picture list of this stage cannot be read"):
        seen(run)
    for text in ('[{"name": "wide"}]', "{", "[3]"):
        (run / "history.json").write_text(text)
        with pytest.raises(WrongUse, match=r"history\.json: is not the history of a training run"):
            seen(run)


def test_the_command_prints_the_table_and_the_outlook(
    tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    a_set(tmp_path / "bins", ["bin"], [0])
    target = tmp_path / "elsewhere.json"
    assert curve.main([str(run), "--data", str(tmp_path), "--out", str(target)]) == 0
    out = capsys.readouterr().out
    assert "| 235 | settle 1 | 0.500 |" in out
    assert "bin has 0.500 of the 0.95 wanted and does not rise any more" in out
    assert target.is_file()
    assert not (run / "epoch_curve.json").exists()


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_a_class_of_the_bases_list_is_measured_there_alone_too(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs pip install 'kerbwatch[train]'")
    pytest.importorskip("ultralytics", reason="needs pip install 'kerbwatch[train]'")
    from training.torchvision_shim import install

    install()
    run = a_run(tmp_path)
    untrained(run, ["settle"])
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(
        config.replace("[[stage]]", '[[data.set]]\nfolder = "coco_mini"\n[[stage]]', 1)
    )
    a_set(tmp_path / "bins", ["bin", "bus"], [0, 1])
    a_set(tmp_path / "coco_mini", ["bus"], [0])
    rows = {row["class"]: row for row in curve.curve(run, tmp_path, [])}
    assert (rows["bus"]["boxes"], rows["bin"]["boxes"]) == (4, 2)
    assert 0 <= rows["bus"]["ap50_base_set"] <= 1
    assert "ap50_base_set" not in rows["bin"]


def untrained(run: Path, stages: list[str]) -> None:
    """Put untrained networks in the place of the checkpoints of some stages; remove those of the others."""
    import torch
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel("yolo11n.yaml", nc=len(NAMES), verbose=False).eval()
    model.args, model.names = {"task": "detect"}, dict(enumerate(NAMES))
    for path in run.glob("*/weights/epoch*.pt"):
        if path.parent.parent.name in stages:
            torch.save({"model": model, "train_args": {}}, path)
        else:
            path.unlink()


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_rendered_scenes_count_for_their_own_class_alone(tmp_path: Path) -> None:
    """Everything real, on untrained networks: the boxes of `bin` are those of the real list."""
    pytest.importorskip("torch", reason="needs pip install 'kerbwatch[train]'")
    pytest.importorskip("ultralytics", reason="needs pip install 'kerbwatch[train]'")
    from training.torchvision_shim import install

    install()
    run = a_run(tmp_path)
    untrained(run, ["settle"])
    a_set(tmp_path / "bins", ["bin"], [0])
    labels = [NAMES.index("bin"), NAMES.index("flying_wire")]
    scenes = [a_set(tmp_path / name, list(NAMES), labels) for name in ("wires_val", "more_val")]
    rows = curve.curve(run, tmp_path, scenes)
    assert [(row["stage"], row["pictures_seen"]) for row in rows] == [("settle", 235)] * 2
    assert {row["class"]: row["boxes"] for row in rows} == {"bin": 2, "flying_wire": 4}
    assert all(0 <= row["ap50"] <= 1 for row in rows)
