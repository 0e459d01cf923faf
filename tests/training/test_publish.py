"""A version is published whole or not at all. Skipped without the extra [train]."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("ultralytics", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("onnx", reason="needs pip install 'kerbwatch[train]'")

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True, scope="module")
def prepared() -> None:
    from training.torchvision_shim import install

    install()


def a_request(tmp_path: Path, **changes):
    from training.publish import Request

    plain = {"weights": tmp_path, "run": tmp_path, "base": tmp_path, "data_root": tmp_path}
    return Request(**{**plain, **changes})


def test_versions_count_up(tmp_path: Path) -> None:
    from training.publish import next_version

    assert next_version(tmp_path / "street") == 1
    for name in ("1", "3", ".publishing-x"):
        (tmp_path / "street" / name).mkdir(parents=True)
    assert next_version(tmp_path / "street") == 4


def test_a_version_is_not_written_over_by_accident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.errors import WrongUse
    from training import publish

    monkeypatch.setattr(publish, "_fill", lambda folder, *_: (folder / "card.md").write_text("new"))
    (tmp_path / "street/1").mkdir(parents=True)
    (tmp_path / "street/1/card.md").write_text("old")
    with pytest.raises(WrongUse, match="street@1 is published already"):
        publish.publish(a_request(tmp_path, version=1), tmp_path)
    assert (tmp_path / "street/1/card.md").read_text() == "old"
    assert publish.publish(a_request(tmp_path, version=1, replace=True), tmp_path) == tmp_path / "street/1"
    assert (tmp_path / "street/1/card.md").read_text() == "new"
    assert publish.publish(a_request(tmp_path), tmp_path).name == "2"


@pytest.mark.parametrize("why", ["broken", "large"])
def test_what_goes_wrong_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    from detector.errors import Failure
    from training import publish

    def fill(folder: Path, *_: object) -> None:
        (folder / "street.onnx").write_bytes(b"0" * 12_000_001)
        if why == "broken":
            raise Failure("no pictures")

    monkeypatch.setattr(publish, "_fill", fill)
    with pytest.raises(Failure, match=r"no pictures|at most 12000000"):
        publish.publish(a_request(tmp_path), tmp_path)
    assert list((tmp_path / "street").iterdir()) == []


def test_what_is_missing_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    from detector.errors import Failure
    from training import publish

    (tmp_path / "config.toml").write_text('name = "none-such"\n[data]\n[[stage]]\n[train]\n')
    request = a_request(tmp_path, weights=tmp_path / "ours.pt", base=tmp_path / "base.pt")
    for missing in ("ours.pt", "base.pt", "history.json", "datasets/none-such/dataset.toml"):
        with pytest.raises(Failure, match=f"{missing}: is not there; "):
            publish.publish(request, tmp_path / "models")
        if "/" not in missing:
            (tmp_path / missing).write_text("[]")
    assert not list((tmp_path / "models/street").iterdir())


@pytest.mark.parametrize(
    ("found", "asked", "precision", "losers"),
    [
        (40, None, "int8", {}),
        (39, None, "f32", {"bin": 0.0297}),
        (39, "int8", "int8", {"bin": 0.0297}),
        (40, "f32", "f32", {}),
    ],
)
def test_int8_runs_by_default_where_no_class_loses_by_it(found, asked, precision, losers) -> None:
    from training.evaluation.lists import ValList
    from training.labels import load_taxonomy
    from training.metrics import LabelledPicture
    from training.publish import _default_precision

    taxonomy = load_taxonomy()
    label, box = taxonomy.names.index("bin"), np.array([[10.0, 10, 50, 50]])

    def looked(hits: int) -> list[ValList]:
        pictures = tuple(
            LabelledPicture(
                (100, 100), box, np.array([label]), box[: int(number < hits)],
                np.full(int(number < hits), 0.9), np.full(int(number < hits), label),
            )
            for number in range(40)
        )  # fmt: skip
        return [ValList("bins", frozenset({"bin"}), (), pictures, pictures, ())]

    report: dict[str, object] = {}
    forms = {"onnx": looked(40), "int8": looked(found)}
    assert _default_precision(asked, forms, report, taxonomy) == precision
    assert report["losers"] == losers


def test_int8_asked_for_and_not_to_be_had() -> None:
    from detector.errors import Failure
    from training.labels import load_taxonomy
    from training.publish import _default_precision

    with pytest.raises(Failure, match="publish --precision f32"):
        _default_precision("int8", {"onnx": []}, {}, load_taxonomy())
    assert _default_precision(None, {"onnx": []}, {}, load_taxonomy()) == "f32"


def a_set(root: Path, name: str, names: list[str], label: int) -> None:
    """Write a data set of one train and two val pictures with one box each."""
    random = np.random.default_rng(len(name))
    for split, count in (("train", 1), ("val", 2)):
        files = [f"{split}{number}" for number in range(count)]
        for file in files:
            for folder in ("images", "labels"):
                (root / name / folder).mkdir(parents=True, exist_ok=True)
            picture = random.integers(0, 255, (48, 64, 3), np.uint8)
            cv2.imwrite(str(root / name / "images" / f"{file}.png"), picture)
            (root / name / "labels" / f"{file}.txt").write_text(f"{label} 0.5 0.5 0.4 0.4\n")
        (root / name / f"{split}.txt").write_text("".join(f"./images/{file}.png\n" for file in files))
    lists = "train: train.txt\nval: val.txt\n"
    (root / name / "data.yaml").write_text(f"path: .\n{lists}names: {json.dumps(names)}\n")


def a_checkpoint(path: Path, names: tuple[str, ...]) -> Path:
    import torch
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel("yolo11n.yaml", nc=len(names), verbose=False).eval()
    model.args, model.names = {"task": "detect"}, dict(enumerate(names))
    torch.save({"model": model, "train_args": {}}, path)
    return path


@pytest.mark.slow
def test_a_version_from_checkpoint_to_card(tmp_path: Path) -> None:
    """Everything real, on an untrained network and pictures of noise: what comes out is whole and loads."""
    pytest.importorskip("nncf", reason="needs pip install 'kerbwatch[train]'")
    from detector.detector import Detector
    from detector.registry import resolve
    from training import publish
    from training.labels import load_taxonomy
    from training.promote import check_version, promote

    names = load_taxonomy().names
    data, run = tmp_path / "data", tmp_path / "run"
    a_set(data, "coco_mini", ["person", "car"], 1)
    a_set(data, "cn_garbage_bins", ["garbage", "bin"], 1)
    a_set(tmp_path, "wires_val", list(names), names.index("flying_wire"))
    run.mkdir()
    (run / "config.toml").write_text(
        'name = "street-1"\n[train]\n[[stage]]\n[data]\n[[data.set]]\nfolder = "coco_mini"\n'
        '[[data.set]]\nfolder = "cn_garbage_bins"\n'
        '[[data.set]]\nfolder = "wires_train"\nrendered = true\nlabelled = ["flying_wire"]\n'
    )
    stage = {"name": "all", "epochs": 1, "side_px": 64, "freeze_layers": 0, "lr": 0.1, "pictures": 2}
    (run / "history.json").write_text(json.dumps([stage]))
    (run / "labels/wires_train").mkdir(parents=True)
    (run / "labels/wires_train/a.txt").write_text(f"{names.index('bin')} 0.5 0.5 0.2 0.2\n")
    (run / "train.txt").write_text("./images/wires_train/a.jpg\n")
    curve = [{"pictures": 10, "class": "litter", "ap50": 0.25}]
    (run / "learning_curve.json").write_text(json.dumps(curve))
    epochs = [{"stage": "all", "epoch": 0, "pictures_seen": 2, "class": "bin", "ap50": 0.125, "boxes": 2}]
    (run / "epoch_curve.json").write_text(json.dumps(epochs))
    request = a_request(
        tmp_path,
        weights=a_checkpoint(tmp_path / "ours.pt", names),
        base=a_checkpoint(tmp_path / "base.pt", ("person", "car", "dog")),
        run=run,
        data_root=data,
        scenes=tmp_path / "wires_val",
    )

    folder = publish.publish(request, tmp_path / "models")

    spec = resolve("street@1", tmp_path / "models")
    check_version(spec)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["classes"]) == {"car", "bin", "flying_wire"}  # those with a labelled box
    assert metrics["classes"]["flying_wire"]["sets"] == ["wires_val"]
    assert metrics["precision"] == spec.precision == "int8"
    assert metrics["int8"]["losers"] == {}
    assert set(metrics["forms"]["map50"]) == {"checkpoint", "onnx", "int8"}
    assert metrics["taught"] == {"bin": {"rendered": {"boxes": 1, "pictures": 1}}}
    (apart,) = metrics["base"]["difference"].values()
    measured = [metrics["base"][side]["car"]["ap50"] for side in ("model", "base")]
    assert apart["low"] <= measured[0] - measured[1] <= apart["high"]
    assert metrics["parity"]["score_max"] < 1e-3
    assert metrics["int8"]["calibration"]["sets"] == {"cn_garbage_bins": 1, "coco_mini": 1}
    assert metrics["look_alikes"]["every real val picture"]["pictures"] == 4
    text = (folder / "card.md").read_text()
    assert "rendered pictures only: flying_wire" in text
    assert "| 10 | 0.250 |" in text
    assert "| 2 | all 1 | 0.125 |" in text
    assert "- **flying_wire** has " in text
    assert metrics["epoch_curve"] == epochs
    assert str(tmp_path) not in text + json.dumps(metrics)
    assert {path.suffix for path in folder.iterdir()} == {".md", ".toml", ".json", ".onnx", ".xml", ".bin"}
    assert [file.path for file in spec.files_of("ultralytics")] == ["street.onnx"]
    with Detector(spec) as detector:
        detector.detect(np.zeros((48, 64, 3), np.uint8))
    promote("street@1", root=tmp_path / "models")
