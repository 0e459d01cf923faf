"""The stages of a training config: their picture lists, ultralytics' arguments for them, what they did.

Needs no torch.
"""

from __future__ import annotations

import csv
import json
import random
import tomllib
from pathlib import Path
from typing import Any

import yaml

from detector.errors import Failure, WrongUse
from training.yolo_data import read_data_set


def read_config(path: Path) -> dict[str, Any]:
    """Read a training config.

    Raises:
        WrongUse: it is missing, no TOML, or lacks name, [data], [[stage]] or [train].
    """
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUse(f"{path}: cannot be read ({error.strerror}); give a training config.") from error
    except tomllib.TOMLDecodeError as error:
        raise WrongUse(f"{path}: is no TOML: {error}.") from error
    missing = [key for key in ("name", "data", "stage", "train") if key not in config]
    if missing:
        raise WrongUse(f"{path}: lacks {', '.join(missing)}; see training/configs for an example.")
    return config


def list_of_stage(stage: dict[str, Any], data_yaml: Path, work: Path, run: Path) -> Path:
    """Write the picture list of one stage and the data.yaml that names it; give the latter.

    Stage keys: `real_share` of the built list is drawn (seeded), `more` lists a set's pictures that many
    times more, `scenes` are folders below `work` whose rendered pictures are all added.

    Raises:
        Failure: the rendered scenes have other classes.
        WrongUse: the rendered scenes are not there.
    """
    document = yaml.safe_load(data_yaml.read_text(encoding="utf-8"))
    built = (run / "train.txt").read_text(encoding="utf-8").splitlines()
    share = round(len(built) * float(stage.get("real_share", 1.0)))
    lines = random.Random(0).sample(built, share)  # noqa: S311 - a draw, not a secret
    for folder, times in stage.get("more", {}).items():
        lines += sorted({line for line in built if line.startswith(f"./images/{folder}/")}) * int(times)
    for folder in stage.get("scenes", []):
        scenes = read_data_set(work / str(folder) / "data.yaml", "train")
        if scenes.names != tuple(document["names"].values()):
            raise Failure(f"{scenes.yaml_path}: its classes are not those of {data_yaml}; render them again.")
        lines += [str(path.resolve()) for path in scenes.pictures] * int(stage.get("scenes_repeat", 1))
    name = f"train-{stage['name']}.txt"
    (run / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    target = run / f"data-{stage['name']}.yaml"
    target.write_text(yaml.safe_dump({**document, "train": name}, sort_keys=False), encoding="utf-8")
    return target


def write_history(stages: list[dict[str, Any]], run: Path) -> None:
    """Write history.json: what each finished stage did, for the model card."""
    rows = []
    for stage in stages:
        folder = run / str(stage["name"])
        if not (folder / "done").is_file():
            continue
        epochs = finished_epochs(folder)
        rows.append(
            {
                "name": stage["name"],
                "epochs": len(epochs),
                "side_px": stage["side_px"],
                "freeze_layers": stage["freeze_layers"],
                "lr": stage["lr"],
                **json.loads((folder / "done").read_text(encoding="utf-8")),
                "average_with": stage.get("average_with", ""),
                "blend_base": stage.get("blend_base", 0.0),
                "seconds": round(_seconds([float(epoch["time"]) for epoch in epochs])),
            }
        )
    (run / "history.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def mark_done(folder: Path, data_yaml: Path) -> None:
    """Write a stage's `done`: how many pictures it was trained on, and how many of them were rendered.

    Counted when it ends: the folders of scenes may have changed by the time somebody asks.
    """
    name = yaml.safe_load(data_yaml.read_text(encoding="utf-8"))["train"]
    lines = (data_yaml.parent / name).read_text(encoding="utf-8").splitlines()
    counts = {"pictures": len(lines), "synthetic": sum(not line.startswith("./") for line in lines)}
    (folder / "done").write_text(json.dumps(counts) + "\n", encoding="utf-8")


def is_done(stage: dict[str, Any], folder: Path) -> bool:
    """Tell whether a stage has been trained to its end."""
    wanted = int(stage.get("stop_after", stage["epochs"]))
    return (folder / "done").is_file() and len(finished_epochs(folder)) >= wanted


def _seconds(clock: list[float]) -> float:
    """Add up a clock that starts anew whenever a run is resumed.

    >>> _seconds([60.0, 120.0, 55.0, 110.0])
    230.0
    """
    return sum(
        now if now < before else now - before for before, now in zip([0.0, *clock], clock, strict=False)
    )


def finished_epochs(folder: Path) -> list[dict[str, str]]:
    """Give the rows of a stage's results.csv, one per finished epoch."""
    path = folder / "results.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def arguments_of(
    stage: dict[str, Any], common: dict[str, Any], start: Path, data_yaml: Path, folder: Path
) -> dict[str, Any]:
    """Translate a stage of our config into ultralytics' arguments."""
    hue, saturation, value = common["hsv"]
    return {
        "model": str(start),
        "data": str(data_yaml),
        "project": str(folder.parent),
        "name": folder.name,
        "exist_ok": True,
        "device": "cpu",
        "amp": False,  # bf16 is done by the network itself
        "val": False,
        "plots": False,
        "save_period": 1,
        "epochs": int(stage["epochs"]),
        "imgsz": int(stage["side_px"]),
        "freeze": int(stage["freeze_layers"]),
        "optimizer": "AdamW",
        "lr0": float(stage["lr"]),
        "lrf": float(stage["lr_end"]),
        "cos_lr": True,
        "warmup_epochs": float(stage["warmup_epochs"]),
        "warmup_bias_lr": float(stage["lr"]),
        "mosaic": float(stage["mosaic"]),
        "close_mosaic": int(stage["close_mosaic"]),
        "scale": float(stage["scale"]),
        "batch": int(common["batch"]),
        "nbs": int(common["batch"]),
        "seed": int(common["seed"]),
        "cache": common["cache"],
        "hsv_h": float(hue),
        "hsv_s": float(saturation),
        "hsv_v": float(value),
        "translate": float(common["translate"]),
        "fliplr": float(common["fliplr"]),
        "deterministic": True,
    }
