# mypy: disable-error-code="import-untyped"
"""Fine-tune the detector: put the set together, then train the stages of a config, one after the other.

Reads top to bottom: config -> training set -> for every [[stage]]: ultralytics arguments -> weights of the
next stage. Every epoch is saved; `--resume` goes on from the last saved one. Beside the weights lie
config.toml and dataset.json.
"""

from __future__ import annotations

import csv
import json
import logging
import random
import shutil
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from ultralytics.models.yolo.detect import DetectionTrainer

from detector.errors import Failure, WrongUse
from training.importers.pseudo import BaseModelLabeller
from training.importers.street import build, read_added, recipes_of
from training.labels import CLASSES_FILE, load_taxonomy
from training.network import Bf16Model
from training.yolo_data import read_data_set

REPOSITORY = CLASSES_FILE.parent.parent
log = logging.getLogger(__name__)


class StreetTrainer(DetectionTrainer):  # type: ignore[misc]
    """ultralytics' trainer with the bf16 network and without validation between epochs.

    `kerbwatch evaluate` measures the weights afterwards, by the code that measures every published model.
    """

    bf16 = True
    stop_after = 0
    """Epochs after which to end, whatever the schedule says; 0 for none."""

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:  # noqa: FBT001, FBT002
        """Build the network; the head keeps the base's rows for classes of the same name."""
        model = super().get_model(cfg, weights, verbose)
        if self.bf16:
            model.__class__ = Bf16Model
        return model.to(memory_format=torch.channels_last)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Scale pictures to [0, 1], float32 (B, 3, H, W), channels last in memory."""
        batch = super().preprocess_batch(batch)
        batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        return batch

    def validate(self) -> tuple[dict[str, float], float]:
        """Skip: nothing is chosen by the val lists while training."""
        return {}, 0.0

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write the epoch's row; ultralytics asks whether to stop right after it."""
        super().save_metrics(metrics)
        if self.stop_after and self.epoch + 1 >= self.stop_after:
            self.stop = True

    def final_eval(self) -> None:
        """Skip: see validate."""


def train(config_path: Path, base: Path, data_root: Path | None, work: Path, *, resume: bool = False) -> Path:
    """Train every stage of the config; give the path of the last weights.

    Args:
        config_path: TOML with [data], [[stage]] and [train].
        base: checkpoint to start from, and to label people and vehicles with.
        data_root: folder of the foreign sets; None uses the set already built in `work`.
        work: scratch folder for the built set and the weights.
        resume: go on from the last saved epoch instead of starting over.

    Raises:
        WrongUse: the config is no TOML or lacks a table.
        Failure: data or base weights are missing.
    """
    config = read_config(config_path)
    torch.set_num_threads(int(config["train"].get("threads", 2)))
    run = work / str(config["name"])
    run.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(config_path, run / "config.toml")

    data_yaml = run / "data.yaml"
    if data_root is not None and not (resume and data_yaml.is_file()):
        build_set(config["data"], base, data_root, run)
    if not data_yaml.is_file():
        raise Failure(f"{data_yaml}: the training set is not built yet; give the foreign sets with --data.")

    weights = base
    for stage in config["stage"]:
        stage_yaml = list_of_stage(stage, data_yaml, work, run)
        weights = train_stage(stage, config["train"], weights, stage_yaml, run, resume=resume)
        write_history(config["stage"], run)
    return weights


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


def build_set(data: dict[str, Any], base: Path, data_root: Path, run: Path) -> None:
    """Put the training set together in `run` and write what went in to dataset.json."""
    taxonomy = load_taxonomy()
    labeller = BaseModelLabeller(
        base, taxonomy, data["pseudo_labels"], float(data["pseudo_score_min"]), int(data["pseudo_side_px"])
    )
    added = read_added(REPOSITORY / data["stalls_added"], taxonomy)
    census = build(data_root, run, recipes_of(data), taxonomy, added, labeller)
    (run / "dataset.json").write_text(json.dumps(asdict(census), indent=1) + "\n", encoding="utf-8")


def list_of_stage(stage: dict[str, Any], data_yaml: Path, work: Path, run: Path) -> Path:
    """Write the picture list of one stage and the data.yaml that names it; give the latter.

    Stage keys: `real_share` of the built list is drawn (seeded), `more` lists a set's pictures that many
    times more, `scenes` is a folder below `work` whose rendered pictures are all added.

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
    if "scenes" in stage:
        scenes = read_data_set(work / str(stage["scenes"]) / "data.yaml", "train")
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
        lines = (run / f"train-{stage['name']}.txt").read_text(encoding="utf-8").splitlines()
        rows.append(
            {
                "name": stage["name"],
                "epochs": len(epochs),
                "side_px": stage["side_px"],
                "freeze_layers": stage["freeze_layers"],
                "lr": stage["lr"],
                "pictures": len(lines),
                "synthetic": sum(not line.startswith("./") for line in lines),
                "seconds": round(float(epochs[-1]["time"])) if epochs else 0,
            }
        )
    (run / "history.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def finished_epochs(folder: Path) -> list[dict[str, str]]:
    """Give the rows of a stage's results.csv, one per finished epoch."""
    path = folder / "results.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def train_stage(
    stage: dict[str, Any], common: dict[str, Any], start: Path, data_yaml: Path, run: Path, *, resume: bool
) -> Path:
    """Train one [[stage]] from the weights `start`; give the weights it ends with."""
    folder = run / str(stage["name"])
    last = folder / "weights" / "last.pt"
    done = folder / "done"
    stop_after = int(stage.get("stop_after", stage["epochs"]))
    if resume and last.is_file() and len(finished_epochs(folder)) >= stop_after:
        done.touch()
        log.info("stage %s is done already", stage["name"])
        return last
    overrides = arguments_of(stage, common, start, data_yaml, folder)
    if resume and last.is_file():
        overrides["resume"] = str(last)
    trainer = StreetTrainer(overrides=overrides)
    trainer.stop_after = stop_after
    trainer.bf16 = bool(common.get("bf16", False))
    trainer.train()
    done.touch()
    return last


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
