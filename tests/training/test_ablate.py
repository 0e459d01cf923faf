"""Ablations: which configs the runs of a file make. What trains them needs torch and minutes."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest

from detector.errors import WrongUse
from training import ablate
from training.stages import read_config

CONFIG = Path(__file__).resolve().parents[2] / "training/configs/ablations.toml"


def test_doctests() -> None:
    result = doctest.testmod(ablate)
    assert result.attempted
    assert not result.failed


def test_runs_of_the_shipped_file_differ_in_what_they_say() -> None:
    document = read_config(CONFIG)
    made = {
        run["name"]: config for run, config in zip(document["run"], ablate.configs_of(document), strict=True)
    }
    assert len({config["name"] for config in made.values()}) == len(made)
    plain, reference = made["plain labels"], made["reference"]
    assert "complete" in reference["data"]
    assert not {"complete", "boxes_added", "ignore_added"} & set(plain["data"])
    assert plain["stage"][0]["distil"] == 0
    assert "scenes" not in made["no scenes"]["stage"][0]
    assert made["side 960"]["stage"][0]["side_px"] == 960
    assert reference["stage"][0]["side_px"] == document["stage"][0]["side_px"]  # no run changes another's


def test_a_file_without_runs_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('name = "a"\n[data]\n[[stage]]\n[train]\n')
    with pytest.raises(WrongUse, match=r"has no \[\[run\]\]"):
        ablate.ablate(path, tmp_path, tmp_path, tmp_path, None)
    assert list(tmp_path.iterdir()) == [path]


def test_the_learning_curve_counts_every_real_picture_once(tmp_path: Path) -> None:
    document = read_config(CONFIG)
    names = document["learning"]["runs"]
    assert set(names) <= {run["name"] for run in document["run"]}
    rows = []
    for run, config in zip(document["run"], ablate.configs_of(document), strict=True):
        if run["name"] not in names[-2:]:
            continue
        rows.append({"name": run["name"], "classes": {"bin": {"ap50": 0.5}}})
        folder = tmp_path / config["name"]
        folder.mkdir()
        count = 3 if run["name"] == names[-1] else 2
        real = [f"./images/coco_mini/{number}.jpg" for number in range(count)]
        lines = [*real, *real, "./images/wires_train/1.jpg"]
        (folder / f"train-{config['stage'][0]['name']}.txt").write_text("\n".join(lines))
    (tmp_path / document["name"]).mkdir()
    (tmp_path / document["name"] / "ablations.json").write_text(json.dumps(rows))
    points = ablate.learning_curve(document, tmp_path)
    assert sorted(point["pictures"] for point in points) == [2, 3]
