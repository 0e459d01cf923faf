"""Fine-tune the detector: put the set together, then train the stages of a config, one after the other.

Reads top to bottom: config -> training set -> for every [[stage]]: ultralytics arguments -> weights of the
next stage. Every epoch is saved; `--resume` goes on from the last saved one. Beside the weights lie
config.toml and dataset.json.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import DetectionModel

from detector.errors import Failure
from training.blend import blend
from training.complete import NOTHING
from training.export import as_checkpoint
from training.importers.pseudo import Labeller
from training.importers.street import Added, Complete, build, read_added, read_pictures, recipes_of
from training.labels import CLASSES_FILE, load_taxonomy
from training.network import Bf16Model, Teacher, device_of
from training.stages import (
    arguments_of,
    is_done,
    last_whole,
    list_of_stage,
    mark_done,
    read_config,
    rendered_sets,
    taken,
    write_history,
)
from training.teachers import published, teachers_of

REPOSITORY = CLASSES_FILE.parent.parent
log = logging.getLogger(__name__)


class StreetTrainer(DetectionTrainer):  # type: ignore[misc]
    """ultralytics' trainer with this project's network and loss, and without validation between epochs.

    `kerbwatch evaluate` measures the weights afterwards, by the code that measures every published model.
    """

    bf16 = True
    stop_after = 0
    """Epochs after which to end, whatever the schedule says; 0 for none."""
    distil = 0.0
    """Weight of each teacher in the loss."""
    teachers: Sequence[Teacher] = ()
    class_weight: Mapping[str, float] = {}
    """Weight of a class in the classification loss, where it is not 1."""
    threads = 2

    @property
    def classes(self) -> int:
        """How many classes there are; the names after them in data.yaml are ignored regions."""
        return int(self.data.get("classes", self.data["nc"]))

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:  # noqa: FBT001, FBT002
        """Build the network; the head keeps the base's rows for classes of the same name."""
        torch.set_num_threads(self.threads)  # ultralytics has just set it to the number of cores less one
        model = DetectionModel(cfg, nc=self.classes, ch=self.data["channels"], verbose=verbose)
        model.names = self._names
        if weights:
            model.load(weights)
        model.__class__ = Bf16Model
        model.bf16, model.distil, model.class_weight = self.bf16, self.distil, dict(self.class_weight)
        return model.to(memory_format=torch.channels_last)

    def set_model_attributes(self) -> None:
        """Tell the model its classes, without the ignored regions, and its hyperparameters."""
        self.model.nc, self.model.names, self.model.args = self.classes, self._names, self.args

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Scale pictures to [0, 1], float32 (B, 3, H, W), channels last in memory; ask the teachers."""
        batch = super().preprocess_batch(batch)
        batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        return {**batch, "teachers": [teacher.look(batch["img"]) for teacher in self.teachers]}

    @property
    def _names(self) -> dict[int, str]:
        return {index: self.data["names"][index] for index in range(self.classes)}

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


def train(
    config_path: Path,
    base: Path,
    data_root: Path | None,
    work: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
    device: str | None = None,
) -> Path:
    """Train every stage of the config; give the path of the last weights.

    Args:
        config_path: TOML with [data], [[stage]] and [train].
        base: checkpoint (.pt, or the ONNX file of a version) that completes labels and teaches, and to start
            from where `start` is not given.
        data_root: folder of the foreign sets; None uses the set already built in `work`.
        work: scratch folder for the built set and the weights.
        start: checkpoint or ONNX file to start from, such as an earlier version of our own.
        resume: go on from the last saved epoch instead of starting over.
        device: auto, cpu or cuda:N; None takes what [train] says, else auto.

    Raises:
        WrongUse: the config is no TOML or lacks a table, or there is no such device.
        Failure: data or base weights are missing, or the GPU asked for.
    """
    config = read_config(config_path)
    if device is not None:
        config["train"]["device"] = device
    run = work / str(config["name"])
    run.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(config_path, run / "config.toml")
    return run_stages(config, base, data_root, work, start=start, resume=resume)


def run_stages(
    config: dict[str, Any],
    base: Path,
    data_root: Path | None,
    work: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
) -> Path:
    """Do what `train` does with a config that is read already."""
    config["train"]["device"] = device_of(str(config["train"].get("device", "auto")))
    run = work / str(config["name"])
    run.mkdir(parents=True, exist_ok=True)
    base = as_checkpoint(base, run / "base-of-onnx.pt")
    start = as_checkpoint(start, run / "start-of-onnx.pt") if start else None
    for stage in config["stage"]:  # what is wrong in the last one is said now, not after hours
        taken(stage)
        if "teachers" in stage:
            teachers_of(base, stage["teachers"], run)
    data_yaml = run / "data.yaml"
    if data_root is not None and not (resume and data_yaml.is_file()):
        build_set(config["data"], base, data_root, work, run)
    if not data_yaml.is_file():
        raise Failure(f"{data_yaml}: the training set is not built yet; give the foreign sets with --data.")

    weights, rendered = start or base, rendered_sets(config)
    if start:
        start = _averaged(start, config["train"].get("start_average", {}), run)
        weights = start
    if start and "start_blend" in config["train"]:
        weights = run / "start.pt"
        blend(start, base, float(config["train"]["start_blend"]), weights)
    for stage in config["stage"]:
        folder = run / str(stage["name"])
        if resume and is_done(stage, folder):
            log.info("stage %s is done already", stage["name"])
        else:
            stage_yaml = list_of_stage(stage, data_yaml, rendered)
            train_stage(stage, config["train"], weights, stage_yaml, folder, teacher=base, resume=resume)
            mark_done(folder, stage_yaml, rendered)
        weights = _blends(stage, folder / "weights" / taken(stage), run, start, base)
        write_history(config["stage"], run, float(config["train"].get("distil", 0.0)))
    return weights


def _averaged(start: Path, shares: Mapping[str, float], run: Path) -> Path:
    """Average what training starts from with other published versions, `shares` of the sum each."""
    return _weighted(start, shares, run, run / "start-averaged.pt") if shares else start


def _blended_with(tuned: Path, shares: Mapping[str, float], run: Path) -> Path:
    """Average a stage's weights with other stages' and published versions', `shares` of the sum each."""
    return _weighted(tuned, shares, run, tuned.with_name("blended-with.pt"))


def _weighted(first: Path, shares: Mapping[str, float], run: Path, target: Path) -> Path:
    so_far = 1.0 - sum(shares.values())
    for name, share in shares.items():
        so_far += share
        blend(first, _weights_of(name, run), share / so_far, target)
        first = target
    return target


def _weights_of(name: str, run: Path) -> Path:
    """Give the last weights of a stage, or those of a published version ("street@1")."""
    if "@" not in name:
        return run / name / "weights" / "last.pt"
    return published(name, run)


def _blends(stage: Mapping[str, Any], weights: Path, run: Path, start: Path | None, base: Path) -> Path:
    """Average a stage's weights with what the config says; give the result."""
    if "average_with" in stage:
        tuned, weights = weights, weights.with_name("averaged.pt")
        blend(tuned, run / stage["average_with"] / "weights" / "last.pt", 0.5, weights)
    if start and "blend_start" in stage:
        tuned, weights = weights, weights.with_name("with-start.pt")
        blend(tuned, start, float(stage["blend_start"]), weights)
    if "blend_base" in stage:
        tuned, weights = weights, weights.with_name("blended.pt")
        blend(tuned, base, float(stage["blend_base"]), weights)
    if "blend_with" in stage:
        weights = _blended_with(weights, stage["blend_with"], run)
    return weights


def build_set(data: dict[str, Any], base: Path, data_root: Path, work: Path, run: Path) -> None:
    """Put the training set together in `run` and write what went in to dataset.json."""
    taxonomy = load_taxonomy()
    added = Added(
        read_added(REPOSITORY / data["boxes_added"], taxonomy) if "boxes_added" in data else {},
        read_added(REPOSITORY / data["ignore_added"], taxonomy) if "ignore_added" in data else {},
        read_pictures(REPOSITORY / data["held_out"]) if "held_out" in data else frozenset(),
    )
    with ExitStack() as stack:
        complete: Complete = lambda picture, labelled: NOTHING  # noqa: ARG005, E731
        if "complete" in data:
            complete = stack.enter_context(Labeller(base, taxonomy, data["complete"], work))
        census = build(data_root, work, run, recipes_of(data), taxonomy, added, complete)
    (run / "dataset.json").write_text(json.dumps(census.as_json(), indent=1) + "\n", encoding="utf-8")


def train_stage(
    stage: dict[str, Any],
    common: dict[str, Any],
    start: Path,
    data_yaml: Path,
    folder: Path,
    *,
    teacher: Path,
    resume: bool,
) -> None:
    """Train one [[stage]] from the weights `start`; it ends with `folder`/weights/last.pt."""
    overrides = arguments_of(stage, common, start, data_yaml, folder)
    last = last_whole(folder / "weights") if resume else None
    if last:
        overrides["resume"] = str(last)
    trainer = StreetTrainer(overrides=overrides)
    trainer.stop_after = int(stage.get("stop_after", 0))
    trainer.threads = int(common.get("threads", 2))
    trainer.bf16 = bool(common.get("bf16", False))
    trainer.distil = float(stage.get("distil", common.get("distil", 0.0)))
    trainer.class_weight = stage.get("class_weight", {})
    if trainer.distil:
        trainer.teachers = teachers_of(teacher, stage.get("teachers", {}), folder.parent)
    trainer.train()
