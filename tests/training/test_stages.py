"""Training configs, picture lists of stages, history."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from detector.errors import WrongUse
from training.labels import load_taxonomy
from training.stages import (
    arguments_of,
    finished_epochs,
    is_done,
    last_whole,
    list_of_stage,
    mark_done,
    measured_sets,
    read_config,
    taken,
    write_history,
)

CONFIG = Path(__file__).resolve().parents[2] / "training/configs/street-2.toml"
NAMES = load_taxonomy().names


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "street-1"
    folder.mkdir()
    lines = [f"./images/cn/{i}.jpg" for i in range(10)] + ["./images/coco/1.jpg", "./images/coco/1.jpg"]
    lines += [f"./images/wires/{i}.jpg" for i in (1, 2)]
    (folder / "train.txt").write_text("".join(line + "\n" for line in lines))
    document = {"train": "train.txt", "val": "val.txt", "names": dict(enumerate(NAMES))}
    (folder / "data.yaml").write_text(yaml.safe_dump(document))
    return folder


WIRES = ("wires",)


def listed(data_yaml: Path) -> list[str]:
    return (data_yaml.parent / yaml.safe_load(data_yaml.read_text())["train"]).read_text().split()


def test_a_stage_lists_every_real_picture_by_default_and_rendered_ones_when_named(run: Path) -> None:
    everything = (run / "train.txt").read_text().split()
    found = listed(list_of_stage({"name": "wide"}, run / "data.yaml", WIRES))
    assert sorted(found) == sorted(line for line in everything if "/wires/" not in line)
    found = listed(list_of_stage({"name": "full", "scenes": ["wires"]}, run / "data.yaml", WIRES))
    assert sorted(found) == sorted(everything)


def test_a_share_more_of_one_set_and_scenes(run: Path) -> None:
    stage = {"name": "last", "real_share": 0.5, "more": {"coco": 3}, "scenes": ["wires"], "scenes_repeat": 2}
    found = listed(list_of_stage(stage, run / "data.yaml", WIRES))
    assert len(found) == 6 + 3 + 4
    assert sum(line.endswith("wires/1.jpg") for line in found) == 2
    assert found == listed(list_of_stage(stage, run / "data.yaml", WIRES))  # drawn the same again


def test_scenes_that_are_not_in_the_built_set(run: Path) -> None:
    with pytest.raises(WrongUse, match="stage last wants stalls, which is not in the built set"):
        list_of_stage({"name": "last", "scenes": ["stalls"]}, run / "data.yaml", WIRES)


def test_history_tells_only_of_finished_stages(run: Path) -> None:
    stages: list[dict[str, Any]] = [
        {"name": name, "side_px": 640, "freeze_layers": 10, "lr": 1e-4} for name in ("a", "b")
    ]
    for stage in stages:
        list_of_stage({**stage, "scenes": ["wires"]}, run / "data.yaml", WIRES)
        (run / stage["name"]).mkdir()
        (run / stage["name"] / "results.csv").write_text("epoch,time,loss\n1,60.2,3\n2,121.9,2\n")
    mark_done(run / "a", run / "data-a.yaml", WIRES)
    write_history(stages, run, 0.5)
    rows = json.loads((run / "history.json").read_text())
    assert rows == [
        {
            "name": "a", "epochs": 2, "side_px": 640, "freeze_layers": 10, "lr": 1e-4,
            "pictures": 14, "synthetic": 2, "average_with": "", "blend_start": 0.0, "blend_base": 0.0, "blend_with": {}, "distil": 0.5, "seconds": 122,
        }
    ]  # fmt: skip


def test_a_stage_is_done_when_its_epochs_are_and_it_says_so(run: Path) -> None:
    stage = {"name": "a", "epochs": 8, "stop_after": 2}
    list_of_stage(stage, run / "data.yaml", WIRES)
    (run / "a").mkdir()
    (run / "a" / "results.csv").write_text("epoch,time\n1,60\n2,120\n")
    assert not is_done(stage, run / "a")
    mark_done(run / "a", run / "data-a.yaml", WIRES)
    assert is_done(stage, run / "a")
    assert not is_done({**stage, "stop_after": 3}, run / "a")


def test_no_epoch_is_finished_before_the_first(tmp_path: Path) -> None:
    assert finished_epochs(tmp_path) == []


def test_the_shipped_config_is_complete() -> None:
    config = read_config(CONFIG)
    for stage in config["stage"]:
        arguments = arguments_of(
            stage, config["train"], Path("base.pt"), Path("data.yaml"), Path("run/stage")
        )
        assert arguments["imgsz"] % 32 == 0
        assert arguments["val"] is False  # val lists are for `kerbwatch evaluate`
        assert arguments["project"] == str(Path("run").absolute())  # ultralytics moves others
        assert arguments["device"] == "cpu"
        common = {**config["train"], "device": "cuda:1"}
        there = arguments_of(stage, common, Path("base.pt"), Path("data.yaml"), Path("run/stage"))
        assert there == {**arguments, "device": "cuda:1"}


@pytest.mark.parametrize(("text", "said"), [("a = ", "no TOML"), ("name = 'x'", "lacks data, stage, train")])
def test_a_config_that_makes_no_sense(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(WrongUse, match=said):
        read_config(tmp_path / "c.toml")


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot be read"):
        read_config(tmp_path / "c.toml")


def test_a_version_is_measured_on_sets_with_a_val_list_alone() -> None:
    sets = [{"folder": "a"}, {"folder": "b", "rendered": True}, {"folder": "c", "train_only": True}]
    assert measured_sets({"data": {"set": sets}}) == ("a",)


def test_an_epoch_that_was_trained_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("epoch,time\n1,5\n2,9\n2,4\n3,8\n")
    assert finished_epochs(tmp_path) == [
        {"epoch": "1", "time": "5"}, {"epoch": "2", "time": "4"}, {"epoch": "3", "time": "8"},
    ]  # fmt: skip


def test_half_an_epoch_is_made_whole_from_the_last(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "last.pt", "w") as file:
        file.writestr("data", "x" * 100)
    data = (tmp_path / "last.pt").read_bytes()
    (tmp_path / "epoch3.pt").write_bytes(data[:50])
    assert last_whole(tmp_path) == tmp_path / "last.pt"
    assert (tmp_path / "epoch3.pt").read_bytes() == data


def test_half_a_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    assert last_whole(tmp_path) is None
    for number, name in enumerate(("epoch2.pt", "epoch10.pt", "last.pt")):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("data", "x" * 100)
        os.utime(tmp_path / name, (number, number))
    assert last_whole(tmp_path) == tmp_path / "last.pt"
    for name, left in (("last.pt", "epoch10.pt"), ("epoch10.pt", "epoch2.pt"), ("epoch2.pt", None)):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        assert last_whole(tmp_path) == (tmp_path / left if left else None)


@pytest.mark.parametrize("epoch", [0, 6, "3", 2.0])
def test_an_epoch_that_a_stage_does_not_have_is_refused(epoch: object) -> None:
    with pytest.raises(WrongUse, match=r"stage hold: take_epoch is .*; wanted a number from 1 to 5"):
        taken({"name": "hold", "epochs": 5, "take_epoch": epoch})
    with pytest.raises(WrongUse, match="from 1 to 2"):
        taken({"name": "hold", "epochs": 5, "stop_after": 2, "take_epoch": epoch})
