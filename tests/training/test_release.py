"""What a version says about itself, and what the shipped ones say."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

import kerbwatch
from detector.errors import Failure
from detector.registry import resolve, weights
from detector.spec import spec_of
from training import cli
from training.labels import load_taxonomy
from training.promote import check_version
from training.release import LICENCE, model_toml

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = load_taxonomy().names


def test_model_toml_is_what_the_detector_reads(tmp_path: Path) -> None:
    (tmp_path / "street.onnx").write_bytes(b"onnx")
    text = model_toml(tmp_path, "street", 3, NAMES, dict.fromkeys(NAMES, 0.31), "street-1")
    spec = spec_of(tomllib.loads(text), tmp_path)
    assert (spec.ref, spec.labels, spec.licence, spec.precision) == ("street@3", NAMES, LICENCE, "f32")
    assert spec.score_min["bin_overflow"] == 0.31
    assert [(file.backend, file.path) for file in spec.files] == [
        ("onnx", "street.onnx"),
        ("ultralytics", "street.onnx"),
    ]


def test_model_toml_with_int8(tmp_path: Path) -> None:
    for name in ("street-int8.xml", "street-int8.bin", "street.onnx"):
        (tmp_path / name).write_bytes(name.encode())
    text = model_toml(tmp_path, "street", 3, NAMES, dict.fromkeys(NAMES, 0.31), "street-1", "int8")
    spec = spec_of(tomllib.loads(text), tmp_path)
    assert spec.precision == "int8"
    assert weights(spec, "openvino", "onnx", precision="int8").name == "street-int8.xml"
    assert weights(spec, "openvino", "onnx").name == "street.onnx"
    assert sorted(file.precision for file in spec.files) == ["f32", "f32", "int8", "int8"]


def test_data_set_card_and_counts_agree() -> None:
    described = tomllib.loads((REPOSITORY / "datasets/street-1/dataset.toml").read_text(encoding="utf-8"))
    assert described["train_pictures"] == sum(source["pictures"]["train"] for source in described["source"])
    assert described["val_pictures"] == sum(source["pictures"]["val"] for source in described["source"])
    rows = (REPOSITORY / described["added"]["file"]).read_text().splitlines()[1:]
    splits = [row.split(",")[2] for row in rows]
    assert splits.count("train") == described["added"]["train_boxes"]
    assert splits.count("val") == described["added"]["val_boxes"]
    assert (REPOSITORY / "datasets/street-1/card.md").is_file()


SHIPPED = sorted((REPOSITORY / "models/street").glob("*/model.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"street@{path.parent.name}")
def test_shipped_versions_are_whole(path: Path) -> None:
    spec = resolve(f"street@{path.parent.name}", REPOSITORY / "models")
    check_version(spec)
    assert spec.labels == NAMES[: len(spec.labels)]  # classes are only ever added at the end
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 12_000_000
    metrics = json.loads((path.parent / "metrics.json").read_text())
    assert metrics["model"] == spec.ref
    for name, row in metrics["classes"].items():
        assert row["score_min"] == pytest.approx(spec.score_min[name])
        assert row["ap50_low"] <= row["ap50"] <= row["ap50_high"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"street@{path.parent.name}")
def test_shipped_files_hold_no_path_or_date_of_the_machine(path: Path) -> None:
    for file in (*path.parent.glob("*.xml"), *path.parent.glob("*.onnx")):
        content = file.read_bytes()
        assert not re.search(rb"/(?:work|root|home|tmp)/", content), file
        assert not re.search(rb"20[23]\d-[01]\d-[0-3]\d", content), file


@pytest.mark.skipif(not SHIPPED, reason="no version of street is published in this checkout")
def test_production_is_a_shipped_version() -> None:
    check_version(resolve("street@production", REPOSITORY / "models"))


@pytest.mark.parametrize("verb", ["train", "export", "publish"])
def test_without_the_extra_one_sentence_says_what_to_install(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name="torch")

    monkeypatch.setattr(cli.importlib, "import_module", missing)
    with pytest.raises(Failure, match=r"torch is not installed.*pip install 'kerbwatch\[train\]'"):
        cli._with_torch(f"training.{verb}")


def test_export_refuses_an_odd_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert kerbwatch.main(["export", "nowhere.pt", "--side", "100"]) == 2
    assert "multiple of 32" in capsys.readouterr().err
