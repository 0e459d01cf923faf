"""What a version says about itself, and what the shipped ones say."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import kerbwatch
from detector.errors import Failure
from detector.registry import resolve
from detector.spec import spec_of
from training import cli
from training.labels import load_taxonomy
from training.promote import check_version
from training.release import LICENCE, card, model_toml

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = load_taxonomy().names


def some_metrics() -> dict[str, Any]:
    row = {
        "ap50": 0.5, "ap50_low": 0.4, "ap50_high": 0.6, "ap5095": 0.3, "score_min": 0.3,
        "precision": 0.8, "recall": 0.4, "n": 9, "pictures": 33, "sets": ["in_street_vendor"],
    }  # fmt: skip
    plain = {"ap50": 0.7, "ap5095": 0.5, "n": 12}
    return {
        "model": "street@1", "dataset": "street-1", "date": "2026-11-23", "machine": "a chip, 2 cores",
        "parameters": 2_600_000, "bootstrap_rounds": 1000, "classes": dict.fromkeys(NAMES, row),
        "base": {
            "set": "coco_mini", "weights": "base.pt", "sha256": "0" * 64,
            "model": {"person": plain}, "base": {"person": plain},
        },
        "stalls_completed": {"set": "in_street_vendor", "added": 3, "ap50": 0.4, "ap5095": 0.2, "n": 12},
        "stages": [
            {"name": "wide", "epochs": 3, "side_px": 480, "freeze_layers": 5, "lr": 6e-4, "pictures": 4717},
            {
                "name": "full", "epochs": 2, "side_px": 640, "freeze_layers": 10, "lr": 1e-4, "pictures": 5000,
                "synthetic": 300,
            },
        ],
        "parity": {
            "pictures": 64, "boxes": 500, "score_min": 0.25, "box_px_mean": 0.0, "box_px_max": 0.0, "score_max": 0.0,
        },
    }  # fmt: skip


def dataset() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "datasets/street-1/dataset.toml").read_text(encoding="utf-8"))


def test_model_toml_is_what_the_detector_reads(tmp_path: Path) -> None:
    for name in ("street.onnx", "street.pt"):
        (tmp_path / name).write_bytes(name.encode())
    text = model_toml(tmp_path, "street", 3, NAMES, dict.fromkeys(NAMES, 0.31), "street-1")
    spec = spec_of(tomllib.loads(text), tmp_path)
    assert (spec.ref, spec.labels, spec.licence) == ("street@3", NAMES, LICENCE)
    assert spec.score_min["bin_overflow"] == 0.31
    assert [file.backend for file in spec.files] == ["onnx", "ultralytics"]


def test_card_names_licence_sources_and_weaknesses() -> None:
    text = card(some_metrics(), dataset())
    assert "\nLicence: AGPL-3.0-or-later\n" in text
    for source in dataset()["source"]:
        assert source["licence"] in text
    assert "AP50 below 0.6: person" in text
    assert "stall (9)" in text
    assert "300 of them rendered" in text
    assert "Flying-wire charging is not detected" in text
    assert "nan" not in text


def test_data_set_card_and_counts_agree() -> None:
    described = dataset()
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
