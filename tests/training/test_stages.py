"""Training configs, picture lists of stages, history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from detector.errors import Failure, WrongUse
from training.labels import load_taxonomy
from training.stages import (
    arguments_of,
    finished_epochs,
    is_done,
    list_of_stage,
    mark_done,
    read_config,
    write_history,
)

CONFIG = Path(__file__).resolve().parents[2] / "training/configs/street-1.toml"
NAMES = load_taxonomy().names


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "street-1"
    folder.mkdir()
    lines = [f"./images/cn/{i}.jpg" for i in range(10)] + ["./images/coco/1.jpg", "./images/coco/1.jpg"]
    (folder / "train.txt").write_text("".join(line + "\n" for line in lines))
    document = {"train": "train.txt", "val": "val.txt", "names": dict(enumerate(NAMES))}
    (folder / "data.yaml").write_text(yaml.safe_dump(document))
    return folder


def scenes(work: Path, names: tuple[str, ...]) -> None:
    folder = work / "scenes"
    (folder / "images").mkdir(parents=True)
    (folder / "train.txt").write_text("./images/s1.jpg\n./images/s2.jpg\n")
    (folder / "data.yaml").write_text(yaml.safe_dump({"train": "train.txt", "names": list(names)}))


def listed(data_yaml: Path) -> list[str]:
    return (data_yaml.parent / yaml.safe_load(data_yaml.read_text())["train"]).read_text().split()


def test_a_stage_lists_everything_by_default(run: Path) -> None:
    found = listed(list_of_stage({"name": "wide"}, run / "data.yaml", run.parent, run))
    assert sorted(found) == sorted((run / "train.txt").read_text().split())


def test_a_share_more_of_one_set_and_scenes(run: Path) -> None:
    scenes(run.parent, NAMES)
    stage = {"name": "last", "real_share": 0.5, "more": {"coco": 3}, "scenes": ["scenes"], "scenes_repeat": 2}
    found = listed(list_of_stage(stage, run / "data.yaml", run.parent, run))
    assert len(found) == 6 + 3 + 4
    assert sum(line.endswith("s1.jpg") for line in found) == 2
    assert found == listed(list_of_stage(stage, run / "data.yaml", run.parent, run))  # drawn the same again


def test_scenes_with_other_classes_are_refused(run: Path) -> None:
    scenes(run.parent, ("car", "person"))
    with pytest.raises(Failure, match="its classes are not those"):
        list_of_stage({"name": "last", "scenes": ["scenes"]}, run / "data.yaml", run.parent, run)


def test_scenes_that_are_not_there(run: Path) -> None:
    with pytest.raises(WrongUse, match="cannot be read"):
        list_of_stage({"name": "last", "scenes": ["scenes"]}, run / "data.yaml", run.parent, run)


def test_history_tells_only_of_finished_stages(run: Path) -> None:
    stages: list[dict[str, Any]] = [
        {"name": name, "side_px": 640, "freeze_layers": 10, "lr": 1e-4} for name in ("a", "b")
    ]
    for stage in stages:
        list_of_stage(stage, run / "data.yaml", run.parent, run)
        (run / stage["name"]).mkdir()
        (run / stage["name"] / "results.csv").write_text("epoch,time,loss\n1,60.2,3\n2,121.9,2\n")
    mark_done(run / "a", run / "data-a.yaml")
    write_history(stages, run)
    rows = json.loads((run / "history.json").read_text())
    assert rows == [
        {
            "name": "a", "epochs": 2, "side_px": 640, "freeze_layers": 10, "lr": 1e-4,
            "pictures": 12, "synthetic": 0, "average_with": "", "blend_base": 0.0, "seconds": 122,
        }
    ]  # fmt: skip


def test_a_stage_is_done_when_its_epochs_are_and_it_says_so(run: Path) -> None:
    stage = {"name": "a", "epochs": 8, "stop_after": 2}
    list_of_stage(stage, run / "data.yaml", run.parent, run)
    (run / "a").mkdir()
    (run / "a" / "results.csv").write_text("epoch,time\n1,60\n2,120\n")
    assert not is_done(stage, run / "a")
    mark_done(run / "a", run / "data-a.yaml")
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
        assert arguments["project"] == "run"


@pytest.mark.parametrize(("text", "said"), [("a = ", "no TOML"), ("name = 'x'", "lacks data, stage, train")])
def test_a_config_that_makes_no_sense(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(WrongUse, match=said):
        read_config(tmp_path / "c.toml")


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot be read"):
        read_config(tmp_path / "c.toml")
