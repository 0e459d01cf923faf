"""Short trainings that differ in one thing each.

`python -m training.ablate CONFIG --base DIR --data DIR --work DIR`

Every run starts from a base model, sees the same share of the pictures for the same number of epochs, and is
measured on the same val lists. The figures are far below those of the released model, which trains longer;
only the differences between rows speak. Runs that are in the result already are not repeated.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.detector import Detector
from detector.errors import WrongUse
from training.evaluation.lists import look_at_list, look_at_lists
from training.evaluation.measure import score_lists
from training.labels import load_taxonomy
from training.stages import measured_sets, read_config, rendered_sets
from training.yolo_data import read_data_set

SIDE_PX = 640
log = logging.getLogger(__name__)


def configs_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the training config of every [[run]]: the file's own tables with the run's `set` keys changed.

    `set` maps a dotted key to a value; `stage.KEY` changes every stage, None (an empty string) removes a key.

    >>> run = {"name": "plain", "set": {"stage.distil": 0.0, "data.complete": ""}}
    >>> tables = {"data": {"complete": {}}, "stage": [{"epochs": 1}], "train": {}}
    >>> made = configs_of({"name": "a", "run": [run], **tables})
    >>> made[0]["name"], made[0]["data"], made[0]["stage"]
    ('a-plain', {}, [{'epochs': 1, 'distil': 0.0}])
    """
    made = []
    for run in document["run"]:
        config = copy.deepcopy({key: document[key] for key in ("data", "stage", "train")})
        for dotted, value in run.get("set", {}).items():
            table, _, key = dotted.partition(".")
            for target in config["stage"] if table == "stage" else [config[table]]:
                if value == "":
                    target.pop(key, None)
                else:
                    target[key] = value
        made.append({**config, "name": f"{document['name']}-{run['name'].replace(' ', '-')}"})
    return made


def ablate(config_path: Path, bases: Path, data_root: Path, work: Path, val_scenes: Path | None) -> Path:
    """Train and measure every run of the config; give the path of the result, ablations.json.

    Beside it lies learning_curve.json.

    Raises:
        WrongUse: the config is none, or has no [[run]].
    """
    document = read_config(config_path)
    if not document.get("run"):
        raise WrongUse(f"{config_path}: has no [[run]]; see training/configs/ablations.toml.")
    target = work / str(document["name"]) / "ablations.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    rows = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else []
    for run, config in zip(document["run"], configs_of(document), strict=True):
        if any(row["name"] == run["name"] for row in rows):
            continue
        rows.append(_one(run, config, bases / run.get("base", document["base"]), data_root, work, val_scenes))
        target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    curve = learning_curve(document, work)
    target.with_name("learning_curve.json").write_text(json.dumps(curve, indent=1) + "\n", encoding="utf-8")
    return target


def _one(
    run: Mapping[str, Any],
    config: dict[str, Any],
    base: Path,
    data_root: Path,
    work: Path,
    val_scenes: Path | None,
) -> dict[str, Any]:
    from training.train import run_stages

    built = run.get("built")  # a run may take the set that another one has put together
    if built:
        _link_set(work / f"{config['name'].partition('-')[0]}-{built}", work / config["name"])
    began = time.monotonic()
    weights = run_stages(config, base, None if built else data_root, work)
    seconds = time.monotonic() - began
    side = int(run.get("measured_at", SIDE_PX))
    stage = config["stage"][0]
    return {
        "name": run["name"],
        "change": run.get("change", ""),
        "base": base.name,
        "side_px": int(stage["side_px"]),
        "measured_at": side,
        "epochs": sum(int(stage["epochs"]) for stage in config["stage"]),
        "seconds": round(seconds),
        **measure(weights, config, data_root, val_scenes, side),
    }


def measure(
    weights: Path, config: Mapping[str, Any], data_root: Path, val_scenes: Path | None, side_px: int
) -> dict[str, Any]:
    """Give AP50 per class and their mean on the val lists, at a side of `side_px`."""
    from training.importers.pseudo import exported

    taxonomy = load_taxonomy()
    folders = measured_sets(config)
    with tempfile.TemporaryDirectory() as scratch:
        spec = exported(weights, Path(scratch)).model_copy(update={"side_px": side_px})
        with Detector(spec) as detector:
            lists = list(look_at_lists(detector, data_root, folders, taxonomy))
            if val_scenes:
                data = read_data_set(val_scenes / "data.yaml", "val")
                lists.append(look_at_list(val_scenes.name, data, detector, taxonomy))
    scores = score_lists(lists, taxonomy, at_work=False)
    classes = {name: {"ap50": round(score.ap50, 4), "n": score.n} for name, score in scores.items()}
    return {
        "classes": classes,
        "map50": round(sum(row["ap50"] for row in classes.values()) / len(classes), 4),
    }


def learning_curve(document: Mapping[str, Any], work: Path) -> list[dict[str, Any]]:
    """Give AP50 by number of real pictures, from the runs that the config's [learning] names.

    These runs take the same number of steps, so that only the pictures differ.
    """
    rows = json.loads((work / str(document["name"]) / "ablations.json").read_text(encoding="utf-8"))
    found = {row["name"]: row for row in rows}
    rendered = rendered_sets(document)
    points = []
    for run, config in zip(document["run"], configs_of(document), strict=True):
        if run["name"] not in document.get("learning", {}).get("runs", ()) or run["name"] not in found:
            continue
        lines = (work / config["name"] / f"train-{config['stage'][0]['name']}.txt").read_text().splitlines()
        pictures = len({line for line in lines if line.split("/")[2] not in rendered})
        points += [
            {"pictures": pictures, "class": name, "ap50": row["ap50"]}
            for name, row in found[run["name"]]["classes"].items()
        ]
    return points


def _link_set(built: Path, run: Path) -> None:
    """Let a run use the pictures, labels and lists that another one has put together."""
    run.mkdir(parents=True, exist_ok=True)
    for name in ("images", "labels"):
        if not (run / name).exists():
            (run / name).symlink_to(built / name)
    for name in ("train.txt", "val.txt", "data.yaml"):
        shutil.copyfile(built / name, run / name)


def main() -> None:
    """Parse the command line and run the ablations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base checkpoints")
    parser.add_argument("--data", type=Path, required=True, help="folder of the foreign sets")
    parser.add_argument("--work", type=Path, default=Path("runs"))
    parser.add_argument("--val-scenes", type=Path, help="rendered set whose val list counts too")
    args = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    result = ablate(args.config, args.base, args.data, args.work, args.val_scenes)
    sys.stdout.write(f"{result}\n")


if __name__ == "__main__":
    from training.torchvision_shim import install

    install()
    main()
