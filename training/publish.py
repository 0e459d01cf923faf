"""Turn a trained checkpoint into a version: export, measure, choose thresholds, write the card, move it in.

Everything is made in a scratch folder beside the target and moved at the end: a version is there whole or not
at all.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from detector.detector import Detector
from detector.errors import Failure, WrongUse
from detector.registry import models_root, resolve
from training.evaluate import SCORE_MIN, Detect, look_at
from training.export import export_onnx, load_checkpoint, measure_parity, save_slim
from training.importers.street import read_added
from training.labels import CLASSES_FILE, Taxonomy, load_taxonomy
from training.metrics import (
    ClassScore,
    LabelledPicture,
    bootstrap_interval,
    operating_threshold,
    pool,
    score_classes,
)
from training.release import card, model_toml
from training.stages import read_config
from training.yolo_data import DataSet, read_data_set, xyxy_px

REPOSITORY = CLASSES_FILE.parent.parent
SIDE_PX = 640
SIZE_MAX = 12_000_000
BOOTSTRAP_ROUNDS = 1000
PARITY_PICTURES = 64
BASE_SET = "coco_mini"
STALL_SET = "in_street_vendor"
FEW_BOXES = 30
THRESHOLD_OF_FEW = 0.30
"""What a class with fewer labelled boxes than FEW_BOXES gets: chosen on them it would be noise."""
KINDRED = (("car", "bus", "truck"), ("motorcycle", "bicycle"))
"""Classes that are alike: one with few boxes gets the threshold chosen on the boxes of all its kin."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be published.

    Args:
        weights: checkpoint to publish.
        run: folder of the training run, with config.toml and history.json.
        base: checkpoint that it was fine-tuned from, to compare with.
        data_root: folder of the foreign sets, for the val lists.
        name: family, such as street.
        version: None takes the next free one.
        replace: write over a version that exists.
    """

    weights: Path
    run: Path
    base: Path
    data_root: Path
    name: str = "street"
    version: int | None = None
    replace: bool = False


@dataclass(frozen=True, slots=True)
class ValList:
    """One val list, looked at.

    Args:
        folder: name of the set.
        carried: classes that the set labels.
        files: the pictures.
        pictures: what is in them and what was found.
    """

    folder: str
    carried: frozenset[str]
    files: tuple[Path, ...]
    pictures: tuple[LabelledPicture, ...]


def publish(request: Request, root: Path | None = None) -> Path:
    """Make models/<name>/<version>; give its folder.

    Raises:
        WrongUse: the version exists already, or the run's config does not fit.
        Failure: weights or data are missing, or the version grows larger than 12 MB.
    """
    root = models_root() if root is None else root
    version = request.version if request.version is not None else next_version(root / request.name)
    target = root / request.name / str(version)
    if target.exists() and not request.replace:
        raise WrongUse(f"{target}: {request.name}@{version} is published already; a change is a new version.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".publishing-") as scratch:
        folder = Path(scratch) / "version"
        folder.mkdir()
        _fill(folder, request, version)
        size = sum(path.stat().st_size for path in folder.iterdir())
        if size > SIZE_MAX:
            raise Failure(
                f"{request.name}@{version} would be {size} bytes; at most {SIZE_MAX} are published."
            )
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)
    return target


def next_version(family: Path) -> int:
    """Give the number after the highest version in a family's folder, 1 if there is none."""
    taken = [int(path.name) for path in family.glob("*") if path.name.isdigit()]
    return max(taken, default=0) + 1


def _fill(folder: Path, request: Request, version: int) -> None:
    config = read_config(request.run / "config.toml")
    shutil.copyfile(request.run / "config.toml", folder / "config.toml")
    taxonomy = load_taxonomy()
    dataset_name = str(config["name"])
    parameters = _write_weights(request.weights, folder)
    labels = taxonomy.names

    def write_spec(score_min: Mapping[str, float]) -> None:
        text = model_toml(folder, request.name, version, labels, score_min, dataset_name)
        (folder / "model.toml").write_text(text, encoding="utf-8")

    write_spec(dict.fromkeys(labels, 0.25))
    folders = [entry["folder"] for entry in config["data"]["set"]]
    lists = look_at_lists(folder, request.data_root, folders, taxonomy)
    classes = score_by_class(lists, taxonomy)
    score_min = {name: row["score_min"] for name, row in classes.items()}
    write_spec({**dict.fromkeys(labels, 0.25), **score_min})

    metrics = {
        "model": f"{request.name}@{version}",
        "dataset": dataset_name,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "side_px": SIDE_PX,
        "parameters": parameters,
        "bootstrap_rounds": BOOTSTRAP_ROUNDS,
        "classes": classes,
        "base": _compare_with_base(request.base, lists, taxonomy, request.data_root),
        "stalls_completed": _complete_stalls(lists, taxonomy, REPOSITORY / config["data"]["stalls_added"]),
        "stages": json.loads((request.run / "history.json").read_text(encoding="utf-8")),
        "parity": asdict(_parity(folder, lists)),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    described = REPOSITORY / "datasets" / dataset_name / "dataset.toml"
    dataset = tomllib.loads(described.read_text(encoding="utf-8"))
    (folder / "card.md").write_text(card(metrics, dataset), encoding="utf-8")


def _write_weights(weights: Path, folder: Path) -> int:
    """Write street.pt and, from exactly that file, street.onnx; give the number of parameters."""
    model = load_checkpoint(weights).model
    save_slim(model, folder / "street.pt", SIDE_PX)
    export_onnx(folder / "street.pt", folder / "street.onnx", SIDE_PX)
    return int(sum(parameter.numel() for parameter in model.parameters()))


def look_at_lists(
    folder: Path, data_root: Path, sets: Iterable[str], taxonomy: Taxonomy, score_min: float = SCORE_MIN
) -> tuple[ValList, ...]:
    """Run the model in `folder` over the val list of every set that labels one of our classes."""
    found = []
    with Detector(resolve(f"{folder}/")) as detector:
        for name in sets:
            data = read_data_set(data_root / name / "data.yaml", "val")
            if any(taxonomy.mapping(data.names, name)):
                found.append(
                    _look_at_list(name, data, taxonomy, lambda image: detector.detect(image, score_min))
                )
    return tuple(found)


def _look_at_list(name: str, data: DataSet, taxonomy: Taxonomy, detect: Detect) -> ValList:
    carried = taxonomy.mapping(data.names, str(data.yaml_path))
    pictures = tuple(look_at(picture, carried, taxonomy, detect) for picture in data.pictures)
    return ValList(name, frozenset(entry for entry in carried if entry), data.pictures, pictures)


def score_by_class(lists: Sequence[ValList], taxonomy: Taxonomy) -> dict[str, dict[str, Any]]:
    """Score each class on all val lists that label it; add its threshold and the bootstrap interval."""
    scores, sets = {}, {}
    for index, name in enumerate(taxonomy.names):
        carrying = [entry for entry in lists if name in entry.carried]
        pictures = [picture for entry in carrying for picture in entry.pictures]
        score = score_classes(pictures, {index: name}).get(name) if pictures else None
        if score is not None:
            scores[name], sets[name] = score, [entry.folder for entry in carrying]
    return {name: _row(score, threshold_of(name, scores), sets[name]) for name, score in scores.items()}


def threshold_of(name: str, scores: Mapping[str, ClassScore]) -> float:
    """Choose the threshold of a class, on its own boxes or, if they are few, on those of its kin."""
    kin = [name]
    if scores[name].n < FEW_BOXES:
        kin = [other for group in KINDRED if name in group for other in group if other in scores]
    if sum(scores[other].n for other in kin) < FEW_BOXES:
        return THRESHOLD_OF_FEW
    pooled = pool([scores[other].matches for other in kin])
    return math.floor(operating_threshold(pooled) * 100) / 100


def _row(score: ClassScore, threshold: float, sets: list[str]) -> dict[str, Any]:
    precision, recall = score.precision_recall(threshold)
    low, high = bootstrap_interval(score.matches, BOOTSTRAP_ROUNDS)
    return {
        "ap50": round(score.ap50, 4),
        "ap50_low": round(low, 4),
        "ap50_high": round(high, 4),
        "ap5095": round(score.ap5095, 4),
        "score_min": threshold,
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "n": score.n,
        "pictures": len(score.matches.labelled),
        "sets": sets,
    }


def _compare_with_base(
    base: Path, lists: Sequence[ValList], taxonomy: Taxonomy, data_root: Path
) -> dict[str, Any]:
    """Measure the base model on the set that labels people and vehicles, exported the same way."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_weights(base, folder)
        labels = tuple(load_checkpoint(base).model.names.values())
        text = model_toml(folder, "base", 0, labels, dict.fromkeys(labels, 0.25), "coco")
        (folder / "model.toml").write_text(text, encoding="utf-8")
        theirs = look_at_lists(folder, data_root, [BASE_SET], taxonomy)
    ours = [entry for entry in lists if entry.folder == BASE_SET]
    return {
        "set": BASE_SET,
        "weights": base.name,
        "sha256": hashlib.sha256(base.read_bytes()).hexdigest(),
        "model": _plain_scores(ours, taxonomy),
        "base": _plain_scores(theirs, taxonomy),
    }


def _plain_scores(lists: Sequence[ValList], taxonomy: Taxonomy) -> dict[str, dict[str, Any]]:
    pictures = [picture for entry in lists for picture in entry.pictures]
    names = {index: name for index, name in enumerate(taxonomy.names) if name in lists[0].carried}
    return {
        name: {"ap50": round(score.ap50, 4), "ap5095": round(score.ap5095, 4), "n": score.n}
        for name, score in score_classes(pictures, names).items()
    }


def _complete_stalls(lists: Sequence[ValList], taxonomy: Taxonomy, added_file: Path) -> dict[str, Any]:
    """Score stalls once more with the boxes that we added to the val list."""
    added = read_added(added_file, taxonomy)
    vendors = next(entry for entry in lists if entry.folder == STALL_SET)
    pictures, count = [], 0
    for file, picture in zip(vendors.files, vendors.pictures, strict=True):
        boxes = added.get((STALL_SET, file.name), np.zeros((0, 5)))
        count += len(boxes)
        pictures.append(_with_boxes(picture, boxes))
    stall = taxonomy.names.index("stall")
    score = score_classes(pictures, {stall: "stall"})["stall"]
    return {
        "set": STALL_SET,
        "added": count,
        "ap50": round(score.ap50, 4),
        "ap5095": round(score.ap5095, 4),
        "n": score.n,
    }


def _with_boxes(picture: LabelledPicture, boxes: Any) -> LabelledPicture:
    return LabelledPicture(
        size_px=picture.size_px,
        truth_xyxy=np.concatenate([picture.truth_xyxy, xyxy_px(boxes[:, 1:], *picture.size_px)]),
        truth_class=np.concatenate([picture.truth_class, boxes[:, 0].astype(np.int64)]),
        found_xyxy=picture.found_xyxy,
        found_score=picture.found_score,
        found_class=picture.found_class,
    )


def _parity(folder: Path, lists: Sequence[ValList]) -> Any:
    files = [file for entry in lists for file in entry.files]
    step = max(len(files) // PARITY_PICTURES, 1)
    return measure_parity(folder / "street.pt", folder / "street.onnx", files[::step], SIDE_PX)


def machine() -> str:
    """Describe the machine in a few words: processor and cores."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model
        )
    return f"{model}, {os.cpu_count()} cores"
