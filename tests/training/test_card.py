"""The card says what the figures say, and nothing that they do not."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from training.card import card, rendered_only
from training.card_file import main
from training.labels import load_taxonomy

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = load_taxonomy().names


def some_metrics(**changed: Any) -> dict[str, Any]:
    row = {
        "ap50": 0.5, "ap50_low": 0.4, "ap50_high": 0.6, "ap5095": 0.3, "score_min": 0.3, "basis": "precision",
        "precision": 0.8, "precision_low": 0.7, "precision_high": 0.9, "recall": 0.4, "recall_low": 0.3,
        "recall_high": 0.5, "n": 9, "pictures": 33, "sets": ["in_street_vendor"],
    }  # fmt: skip
    plain = {"ap50": 0.7, "ap5095": 0.5, "n": 12}
    return {
        "model": "street@2", "dataset": "street-2", "date": "2026-11-25", "machine": "a chip, 2 cores",
        "side_px": 640, "parameters": 2_600_000, "precision": "f32", "bootstrap_rounds": 1000, "rendered_set": None,
        "classes": {**dict.fromkeys(NAMES, row), "bin": {**row, "ap50": 0.95, "n": 300}},
        "base": {
            "set": "coco_mini", "weights": "base.pt", "sha256": "0" * 64,
            "model": {"person": plain, "car": {**plain, "ap50": 0.6}}, "base": {"person": plain, "car": plain},
        },
        "stages": [
            {"name": "wide", "epochs": 3, "side_px": 480, "freeze_layers": 5, "lr": 6e-4, "pictures": 4717},
        ],
        **changed,
    }  # fmt: skip


def dataset(**changed: Any) -> dict[str, Any]:
    text = (REPOSITORY / "datasets/street-1/dataset.toml").read_text(encoding="utf-8")
    return {**tomllib.loads(text), **changed}


def test_it_names_licence_use_sources_and_weaknesses() -> None:
    text = card(some_metrics(), dataset(weaknesses=["Night: only a little."]))
    assert "\nLicence: AGPL-3.0-or-later\n" in text
    assert "not for automatic penalties" in text
    for source in dataset()["source"]:
        assert source["licence"] in text
        assert source["url"] in text
    assert "person (0.50)" in text
    assert "bin (0.95)" not in text
    assert "stall (9)" in text
    assert "- Night: only a little." in text
    assert "nan" not in text
    assert "None" not in text


def test_differences_to_the_base_are_shown_and_a_loss_is_a_weakness() -> None:
    text = card(some_metrics(), dataset())
    assert "| car | 0.600 | 0.700 | -0.100 |" in text
    assert "by more than 2 points: car (-10.0 points)." in text
    same = some_metrics()
    same["base"]["model"]["car"]["ap50"] = 0.69
    assert "less well than by the base model" not in card(same, dataset())


@pytest.mark.parametrize(
    "heading",
    [
        "Slices",
        "What a score means",
        "Parity of its forms",
        "What each part brings",
        "More pictures",
        "Learning curve by epochs",
        "rendered",
        "Labels completed",
    ],
)
def test_what_was_not_measured_has_no_section(heading: str) -> None:
    assert heading not in card(some_metrics(), dataset())


def with_wires(**changed: Any) -> dict[str, Any]:
    metrics = some_metrics(rendered_set="wires_val", **changed)
    metrics["classes"]["flying_wire"] = {**metrics["classes"]["bin"], "ap50": 0.83, "sets": ["wires_val"]}
    counts = {"flying_wire": {"boxes": 1, "pictures": 1}}
    metrics["look_alikes"] = {"overhead lines, val": {"pictures": 15, "classes": counts}}
    return metrics


def test_a_class_of_rendered_pictures_is_said_to_be_one() -> None:
    metrics = with_wires()
    assert rendered_only(metrics) == ["flying_wire"]
    text = card(metrics, dataset())
    assert "## Measured on rendered pictures only: flying_wire" in text
    assert "| overhead lines, val | 15 | flying_wire | 1 | 1 |" in text
    assert "no public picture set exists" in text
    assert "is not detected" not in text


def a_form_report(*, published: bool, drop: float) -> dict[str, Any]:
    boxes = {
        "pictures": 577, "score_min": 0.25, "matched": 900, "lost": 11, "gained": 12, "iou_mean": 0.97, "iou_min": 0.5,
        "score_mean": 0.01, "score_max": 0.2,
    }  # fmt: skip
    return {
        "forms": {
            "map50": {"onnx": 0.71, "int8": 0.705},
            "classes": {"bin": {"onnx": 0.94, "int8": 0.93}},
            "boxes": {"onnx to int8": boxes},
        },
        "int8": {
            "nncf": "3.4.0", "drop_max": 0.01, "published": published,
            "calibration": {"pictures": 300, "sets": {"a": 150, "b": 150}, "seed": 0, "sha256": "0" * 64},
            "tried": [{"kept": ["decoding"], "drop_map50": 0.03}, {"kept": ["decoding", "attention"], "drop_map50": drop}],
        },
        "parity": {
            "pictures": 64, "boxes": 500, "score_min": 0.25, "box_px_mean": 0.0, "box_px_max": 0.0, "score_max": 0.0,
            "score_mean": 0.0,
        },
    }  # fmt: skip


def test_int8_says_what_it_costs() -> None:
    text = card(some_metrics(precision="int8", **a_form_report(published=True, drop=0.005)), dataset())
    assert "| bin | 0.940 | 0.930 |" in text
    assert "in floating point stay: decoding, attention; mAP50 falls by 0.50 points" in text
    assert "lose over a point" not in text
    assert "300 pictures of the train lists (150 a, 150 b)" in text
    assert "`street-int8.xml` and `.bin` are for the backend openvino and are what it takes" in text


def test_classes_that_lose_by_int8_are_named() -> None:
    report = a_form_report(published=True, drop=0.005)
    report["int8"]["losers"] = {"car": 0.034}
    text = card(some_metrics(precision="f32", **report), dataset())
    assert "that lose over a point by it: car 3.4." in text
    assert "are for the backend openvino but are not what it takes" in text


def test_int8_that_costs_too_much_is_not_published_and_said_so() -> None:
    text = card(some_metrics(**a_form_report(published=False, drop=0.02)), dataset())
    assert "no attempt stayed within 1 point of mAP50 (best 2.00), so none is published" in text
    assert "street-int8.xml" not in text


def test_ablations_and_learning_curve_become_tables() -> None:
    runs = [
        {"name": "plain", "change": "", "side_px": 512, "epochs": 2, "classes": {"bin": {"ap50": 0.9, "n": 3}}, "map50": 0.9},
        {"name": "scenes", "change": "with scenes", "side_px": 512, "epochs": 2, "classes": {"car": {"ap50": 0.4, "n": 3}}, "map50": 0.4, "note": "few"},
    ]  # fmt: skip
    curve = [
        {"pictures": 1000, "class": "litter", "ap50": 0.4},
        {"pictures": 500, "class": "litter", "ap50": 0.3},
    ]
    text = card(some_metrics(ablations=runs, learning_curve=curve), dataset())
    assert "| plain |  | 512 | 2 | 0.900 | 0.900 |  |  |" in text
    assert "| scenes | with scenes | 512 | 2 | 0.400 |  | 0.400 | few |" in text
    assert text.index("| 500 | 0.300 |") < text.index("| 1000 | 0.400 |")


def test_the_curve_by_epochs_says_what_is_short_and_that_it_is_not_measured_again() -> None:
    rows = [
        {
            "stage": "wide",
            "epoch": epoch,
            "pictures_seen": 1000 * 2**epoch,
            "class": name,
            "ap50": ap50,
            "boxes": 9,
        }
        for epoch in range(4)
        for name, ap50 in (("litter", 0.35 + 0.05 * epoch), ("bin", 0.94), ("person", 0.7))
    ]
    metrics = some_metrics(epoch_curve=rows, start={"start": "street@1"})
    text = card(metrics, dataset())
    section = text[text.index("## Learning curve by epochs") :].partition("\n## ")[0]
    assert "| pictures seen | after epoch | bin | litter | person |" in section
    assert "| 8,000 | wide 4 | 0.940 | 0.500 | 0.700 |" in section
    assert "since this training began (with street@1, which had seen others)" in " ".join(section.split())
    assert "`make bench-model` does not measure these figures again" in section
    assert "- litter has 0.500 of the 0.55 wanted and rises by 0.050 per doubling" in section
    assert "1.0 more doublings would do it, about 16,000 pictures seen (an extrapolation" in section
    assert "- bin has" not in section  # 0.95 is what was wanted, and the version has it
    assert "- stall has 0.500 of the 0.60 wanted; too few epochs were measured" in section
    assert "- car has 0.600 of the 0.680 wanted; too few epochs were measured" in section
    metrics["classes"] = {"bin": metrics["classes"]["bin"]}
    metrics["base"]["model"]["car"]["ap50"] = 0.7
    assert "No class is short of what was wanted." in card(metrics, dataset())


def test_what_is_short_is_followed_by_what_data_would_mend_it() -> None:
    text = card(some_metrics(), dataset(lacking={"litter": "litter from above."}))
    section = text[text.index("## What is short, and what data would mend it") :].partition("\n## ")[0]
    assert "| litter | 0.500 | 0.550 | 0.050 | 9 |" in section
    assert "- **litter** has 0.500 of the 0.55 wanted." in section
    assert "What data would do it: litter from above." in section
    assert "- **car** has 0.600 of the 0.700 of the base model less 0.02, on coco_mini." in section
    assert "- **bin**" not in section


def test_completed_labels_stand_beside_the_given_ones() -> None:
    done = {"stall": {"added": 3, "ignored": 6, "ap50": 0.6, "ap5095": 0.3, "n": 12}}
    text = card(some_metrics(completed=done), dataset())
    assert "| stall | 0.500 | 9 | 0.600 | 12 | 3 | 6 |" in text


def test_a_card_is_written_again_from_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(some_metrics(dataset="street-1")))
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/card.md\n"
    assert (tmp_path / "card.md").read_text() == card(some_metrics(dataset="street-1"), dataset())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "metrics.json: cannot be read or written (No such file or directory)."),
        ("{", "metrics.json: is damaged, so there is no card"),
        ("{}", "metrics.json: is damaged, so there is no card (KeyError('dataset'))."),
        ('{"dataset": "none"}', "datasets/none/dataset.toml: cannot be read"),
        ('{"dataset": "street-1"}', "is damaged, so there is no card (KeyError('model'))."),
    ],
)
def test_a_version_without_whole_figures_keeps_its_card(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "card.md").write_text("as it was")
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    assert main([str(tmp_path)]) == 1
    assert said in capsys.readouterr().err
    assert (tmp_path / "card.md").read_text() == "as it was"
