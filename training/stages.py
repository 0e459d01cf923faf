"""The stages of a training config: their picture lists, ultralytics' arguments for them, what they did.

Needs no torch.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from detector.errors import WrongUse


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


def list_of_stage(stage: dict[str, Any], data_yaml: Path, rendered: Sequence[str]) -> Path:
    """Write the picture list of one stage and the data.yaml that names it; give the latter.

    Stage keys: `real_share` of the real pictures is drawn (seeded), `more` lists a set's pictures that many
    times more, `scenes` are the rendered sets of the built set that this stage sees, `scenes_repeat` times;
    `scenes_share` of them is drawn.

    Raises:
        WrongUse: a set that the stage names is not in the built set.
    """
    run = data_yaml.parent
    document = yaml.safe_load(data_yaml.read_text(encoding="utf-8"))
    built = (run / "train.txt").read_text(encoding="utf-8").splitlines()
    of: dict[str, list[str]] = {}
    for line in built:
        of.setdefault(line.split("/")[2], []).append(line)
    wanted = [*stage.get("scenes", []), *stage.get("more", {})]
    if missing := [name for name in wanted if name not in of]:
        raise WrongUse(
            f"{data_yaml}: stage {stage['name']} wants {missing[0]}, which is not in the built set."
        )
    real = [line for line in built if line.split("/")[2] not in rendered]
    share = round(len(real) * float(stage.get("real_share", 1.0)))
    lines = random.Random(0).sample(real, share)  # noqa: S311 - a draw, not a secret
    for folder, times in stage.get("more", {}).items():
        lines += sorted(set(of[folder])) * int(times)
    for folder in stage.get("scenes", []):
        drawn = round(len(of[folder]) * float(stage.get("scenes_share", 1.0)))
        lines += random.Random(0).sample(of[folder], drawn) * int(stage.get("scenes_repeat", 1))  # noqa: S311
    name = f"train-{stage['name']}.txt"
    (run / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    target = run / f"data-{stage['name']}.yaml"
    target.write_text(yaml.safe_dump({**document, "train": name}, sort_keys=False), encoding="utf-8")
    return target


def rendered_sets(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the folders of the sets that were rendered, not photographed."""
    return tuple(str(entry["folder"]) for entry in config["data"]["set"] if entry.get("rendered"))


def measured_sets(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the folders of the sets that a version is measured on: neither rendered nor for training alone."""
    sets = config["data"]["set"]
    return tuple(str(one["folder"]) for one in sets if not one.get("rendered") and not one.get("train_only"))


def write_history(stages: list[dict[str, Any]], run: Path, distil: float = 0.0) -> None:
    """Write history.json: what each finished stage did, for the model card.

    `distil` is the teacher's weight in stages that give none of their own.
    """
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
                "blend_start": stage.get("blend_start", 0.0),
                "blend_base": stage.get("blend_base", 0.0),
                "blend_with": stage.get("blend_with", {}),
                **({"take_epoch": stage["take_epoch"]} if "take_epoch" in stage else {}),
                "distil": stage.get("distil", distil),
                "seconds": round(_seconds([float(epoch["time"]) for epoch in epochs])),
            }
        )
    (run / "history.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def mark_done(folder: Path, data_yaml: Path, rendered: Sequence[str]) -> None:
    """Write a stage's `done`: how many pictures it was trained on, and how many of them were rendered.

    Counted when it ends: the list may have changed by the time somebody asks.
    """
    name = yaml.safe_load(data_yaml.read_text(encoding="utf-8"))["train"]
    lines = (data_yaml.parent / name).read_text(encoding="utf-8").splitlines()
    counts = {"pictures": len(lines), "synthetic": sum(line.split("/")[2] in rendered for line in lines)}
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
    """Give the rows of a stage's results.csv, one per finished epoch.

    An epoch whose weights were not saved when the training was killed is there twice; its second row counts.
    """
    path = folder / "results.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return list({row["epoch"]: row for row in csv.DictReader(file)}.values())


def last_whole(weights: Path) -> Path | None:
    """Give the last checkpoint of a stage that was written to its end; None where there is none.

    ultralytics writes last.pt over the one before and then the same as epochN.pt: who kills it meanwhile
    leaves half a file. Half an epochN.pt is written again from last.pt; where that is the half one, there is
    no epochN.pt yet.
    """
    last = weights / "last.pt"
    halves = [path for path in weights.glob("epoch*.pt") if not zipfile.is_zipfile(path)]
    if zipfile.is_zipfile(last):
        for half in halves:
            shutil.copyfile(last, half)
        return last
    whole = [path for path in weights.glob("epoch*.pt") if path not in halves]
    return max(whole, key=lambda path: path.stat().st_mtime_ns, default=None)


def taken(stage: Mapping[str, Any]) -> str:
    """Name the file of the epoch whose weights a stage gives on: that of `take_epoch`, from 1, or its last.

    >>> taken({"name": "hold", "epochs": 5, "take_epoch": 3}), taken({"name": "hold", "epochs": 5})
    ('epoch2.pt', 'last.pt')

    Raises:
        WrongUse: the stage has no such epoch.
    """
    if "take_epoch" not in stage:
        return "last.pt"
    epoch, last = stage["take_epoch"], int(stage.get("stop_after", stage["epochs"]))
    if not isinstance(epoch, int) or not 1 <= epoch <= last:
        raise WrongUse(f"stage {stage['name']}: take_epoch is {epoch!r}; wanted a number from 1 to {last}.")
    return f"epoch{epoch - 1}.pt"


def arguments_of(
    stage: dict[str, Any], common: dict[str, Any], start: Path, data_yaml: Path, folder: Path
) -> dict[str, Any]:
    """Translate a stage of our config into ultralytics' arguments."""
    hue, saturation, value = common["hsv"]
    return {
        "model": str(start),
        "data": str(data_yaml),
        "project": str(folder.parent.absolute()),  # ultralytics puts others under runs/detect
        "name": folder.name,
        "exist_ok": True,
        "device": str(common.get("device", "cpu")),
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
