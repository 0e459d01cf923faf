"""Turn a trained checkpoint into a version: export, quantise, measure, choose thresholds, write the card.

Everything is made in a scratch folder beside the target and moved at the end: a version is there whole or not
at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from detector.detector import Detector
from detector.errors import Failure, WrongUse
from detector.registry import models_root, resolve
from detector.spec import ModelSpec, Stored
from training.card_file import DATASETS, write_card
from training.claims import (
    ValSets,
    count_alarms,
    look_alike_files,
    same_places_of,
    score_completed,
    val_sets_of,
)
from training.dataset.manifest import read_manifest
from training.evaluation.intervals import ap_difference
from training.evaluation.lists import ValList, look_at_lists
from training.evaluation.measure import BOOTSTRAP_ROUNDS, measure_model, score_lists, score_min_of
from training.evaluation.thresholds import FEW_BOXES
from training.export import export_onnx, load_checkpoint, measure_parity, save_slim
from training.labels import CLASSES_FILE, Taxonomy, load_taxonomy
from training.metrics import draws
from training.outlook import BASE_SET
from training.parity import compare_forms, map50
from training.quantise import DROP_MAX, draw_calibration, quantise_within
from training.release import INT8_FILES, model_toml
from training.stages import read_config, rendered_sets
from training.taught import taught

REPOSITORY = CLASSES_FILE.parent.parent
SIDE_PX = 640
SIZE_MAX = 12_000_000
PARITY_PICTURES = 64
CLASS_DROP_MAX = 0.01
"""Of AP50: what INT8 may cost a class with FEW_BOXES boxes and more and still be what runs by default."""
SCORE_MIN_UNSCORED = 0.25
"""Threshold of a class that no val list labels."""
STARTS = ("start", "start_average", "start_blend")
REPORTS = {
    "ablations": "ablations.json",
    "learning_curve": "learning_curve.json",
    "epoch_curve": "epoch_curve.json",
}
"""Files of a run that go into metrics.json and the card as they are, where they are there."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be published.

    Args:
        weights: checkpoint to publish.
        run: folder of the training run, with config.toml and history.json; ablations.json,
            learning_curve.json and epoch_curve.json go into the card where they are there.
        base: checkpoint that it was fine-tuned from, to compare with.
        data_root: folder of the foreign sets, for the val lists and for calibration.
        scenes: a rendered set whose val list counts for the classes that no real set labels.
        name: family, such as street.
        version: None takes the next free one.
        precision: what runs where nobody asks for another; None takes INT8 where no class with enough boxes
            loses more than CLASS_DROP_MAX by it.
        replace: write over a version that exists.
        size_max: bytes that a version may have; they end up in git.
    """

    weights: Path
    run: Path
    base: Path
    data_root: Path
    scenes: Path | None = None
    name: str = "street"
    version: int | None = None
    precision: Stored | None = None
    replace: bool = False
    size_max: int = SIZE_MAX


def publish(request: Request, root: Path | None = None) -> Path:
    """Make models/<name>/<version>; give its folder.

    Raises:
        WrongUse: the version exists already, or the run's config does not fit.
        Failure: weights or data are missing, or the version grows larger than `size_max`.
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
        if size > request.size_max:
            raise Failure(
                f"{request.name}@{version} would be {size} bytes; at most {request.size_max} are published "
                "(--size-max)."
            )
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)
    return target


def next_version(family: Path) -> int:
    """Give the number after the highest version in a family's folder, 1 if there is none."""
    taken = [int(path.name) for path in family.glob("*") if path.name.isdigit()]
    return max(taken, default=0) + 1


@dataclass(frozen=True, slots=True)
class Draft:
    """A version in the making: its folder, and what its model.toml says.

    Args:
        folder: where its files are.
        name: family.
        version: number.
        labels: class names, index to name.
        dataset: what it was trained on.
    """

    folder: Path
    name: str
    version: int
    labels: tuple[str, ...]
    dataset: str

    def spec(self, score_min: Mapping[str, float], precision: Stored = "f32") -> ModelSpec:
        """Write model.toml for the files that are there; give it as the detector reads it."""
        complete = {**dict.fromkeys(self.labels, SCORE_MIN_UNSCORED), **score_min}
        text = model_toml(
            self.folder, self.name, self.version, self.labels, complete, self.dataset, precision
        )
        (self.folder / "model.toml").write_text(text, encoding="utf-8")
        return resolve(f"{self.folder}/")


def _fill(folder: Path, request: Request, version: int) -> None:
    config = read_config(request.run / "config.toml")
    _check_parts(request, str(config.get("dataset", config["name"])))
    shutil.copyfile(request.run / "config.toml", folder / "config.toml")
    taxonomy = load_taxonomy()
    sets = val_sets_of(config, request.data_root, request.scenes)

    slim = folder.with_name("street.pt")  # exported from, compared with, not published
    labels, parameters = _write_weights(request.weights, slim, folder)
    draft = Draft(folder, request.name, version, labels, str(config.get("dataset", config["name"])))
    spec = draft.spec({})
    forms = {
        "checkpoint": sets.look(spec, taxonomy, "ultralytics"),
        "onnx": sets.look(spec, taxonomy),
    }
    quantised, of_int8 = _quantise(draft, sets, forms["onnx"], taxonomy)
    if of_int8 is not None:
        forms["int8"] = of_int8
    precision = _default_precision(request.precision, forms, quantised, taxonomy)
    lists = forms["int8"] if precision == "int8" else forms["onnx"]

    parts = measure_model(lists, taxonomy, same_places=same_places_of(config))
    spec = draft.spec(score_min_of(parts), precision)
    metrics = {
        "model": spec.ref,
        "dataset": draft.dataset,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "side_px": SIDE_PX,
        "parameters": parameters,
        "precision": precision,
        "bootstrap_rounds": BOOTSTRAP_ROUNDS,
        "rendered_set": request.scenes.name if request.scenes else None,
        **parts,
        "base": _compare_with_base(request.base, lists, taxonomy, request.data_root),
        "completed": _completed(lists, taxonomy, config),
        "look_alikes": _look_alikes(spec, sets, config, draft.dataset),
        "start": {
            key: config["train"][key]
            for key in ("start", "start_average", "start_blend")
            if key in config["train"]
        },
        "stages": json.loads((request.run / "history.json").read_text(encoding="utf-8")),
        "taught": taught(request.run, taxonomy.names, rendered_sets(config)),
        "parity": asdict(_parity(slim, folder, lists)),
        "forms": compare_forms(forms, taxonomy),
        "int8": quantised,
        **_reports(request.run),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    write_card(folder)


def _check_parts(request: Request, dataset: str) -> None:
    """Say what is missing before anything is measured.

    Raises:
        Failure: weights, base, the run's history or the description of its data set are not there.
    """
    described = DATASETS / dataset / "dataset.toml"
    wanted = {
        request.weights: "train first or give another path",
        request.base: "give the checkpoint that training began from with --base",
        request.run / "history.json": "`kerbwatch train` writes it when a stage ends",
        described: "describe the set as datasets/street-2 does, or name one with `dataset` in the config",
    }
    for path, what in wanted.items():
        if not path.is_file():
            raise Failure(f"{path}: is not there; {what}.")
    read_manifest(described)


def _write_weights(weights: Path, slim: Path, folder: Path) -> tuple[tuple[str, ...], int]:
    """Write `slim` and, from exactly that file, street.onnx; give class names and number of parameters."""
    model = load_checkpoint(weights).model
    save_slim(model, slim, SIDE_PX)
    export_onnx(slim, folder / "street.onnx", SIDE_PX)
    labels = tuple(str(name) for name in model.names.values())
    return labels, int(sum(parameter.numel() for parameter in model.parameters()))


def _quantise(
    draft: Draft, sets: ValSets, wanted: Sequence[ValList], taxonomy: Taxonomy
) -> tuple[dict[str, Any], tuple[ValList, ...] | None]:
    """Write the INT8 files where they are good enough; give what metrics.json says, and their val lists."""
    calibration = draw_calibration(sets.data_root, sets.folders)
    reference, looked = map50(wanted, taxonomy), list[tuple[ValList, ...]]()

    def drop_of(xml: Path) -> float:
        trial = Draft(xml.parent, draft.name, draft.version, draft.labels, draft.dataset)
        looked.append(sets.look(trial.spec({}, "int8"), taxonomy))
        return reference - map50(looked[-1], taxonomy)

    target = draft.folder / INT8_FILES[0]
    tried = quantise_within(draft.folder / "street.onnx", target, calibration.files, drop_of)
    report = {
        "nncf": version_of("nncf"),
        "openvino": version_of("openvino"),
        "drop_max": DROP_MAX,
        "calibration": calibration.as_json(),
        "tried": [{"kept": list(one.kept), "drop_map50": round(one.drop_map50, 4)} for one in tried],
        "published": target.is_file(),
    }
    return report, looked[-1] if target.is_file() else None


def _default_precision(
    asked: Stored | None, forms: Mapping[str, Sequence[ValList]], report: dict[str, Any], taxonomy: Taxonomy
) -> Stored:
    """Say what runs where nobody asks; note in `report` which classes lose too much by INT8.

    Raises:
        Failure: INT8 is asked for and no attempt was good enough.
    """
    if "int8" not in forms:
        if asked == "int8":
            raise Failure(
                "INT8 costs more mAP50 than is accepted, in every attempt; publish --precision f32."
            )
        return "f32"
    exact, coarse = (score_lists(forms[form], taxonomy, at_work=False) for form in ("onnx", "int8"))
    losses = {name: round(score.ap50 - coarse[name].ap50, 4) for name, score in exact.items()}
    report["losers"] = {
        name: loss for name, loss in losses.items() if loss > CLASS_DROP_MAX and exact[name].n >= FEW_BOXES
    }
    return asked or ("f32" if report["losers"] else "int8")


def _compare_with_base(
    base: Path, lists: Sequence[ValList], taxonomy: Taxonomy, data_root: Path
) -> dict[str, Any]:
    """Measure the base model on the set that labels people and vehicles, exported the same way."""
    with tempfile.TemporaryDirectory() as scratch:
        labels, _ = _write_weights(base, Path(scratch) / "base.pt", Path(scratch))
        draft = Draft(Path(scratch), "base", 0, labels, "coco")
        with Detector(draft.spec({})) as detector:
            theirs = look_at_lists(detector, data_root, [BASE_SET], taxonomy)
    ours = [entry for entry in lists if entry.folder == BASE_SET]
    return {
        "set": BASE_SET,
        "weights": base.name,
        "sha256": hashlib.sha256(base.read_bytes()).hexdigest(),
        "model": _plain_scores(ours, taxonomy),
        "base": _plain_scores(theirs, taxonomy),
        "difference": _differences(ours, theirs, taxonomy),
    }


def _differences(
    ours: Sequence[ValList], theirs: Sequence[ValList], taxonomy: Taxonomy
) -> dict[str, dict[str, float]]:
    """Give the 95 % interval of AP50 less the base's, class by class, both on the same draws of pictures."""
    of_model, of_base = (score_lists(lists, taxonomy, at_work=False) for lists in (ours, theirs))
    found = {}
    for name in (name for name in of_model if name in of_base):
        one, other = of_model[name].matches, of_base[name].matches
        low, high = ap_difference(one, other, draws(len(one.labelled), BOOTSTRAP_ROUNDS))
        found[name] = {"low": round(low, 4), "high": round(high, 4)}
    return found


def _plain_scores(lists: Sequence[ValList], taxonomy: Taxonomy) -> dict[str, dict[str, Any]]:
    return {
        name: {"ap50": round(score.ap50, 4), "ap5095": round(score.ap5095, 4), "n": score.n}
        for name, score in score_lists(lists, taxonomy, at_work=False).items()
    }


def _completed(lists: Sequence[ValList], taxonomy: Taxonomy, config: Mapping[str, Any]) -> dict[str, Any]:
    """Score classes that this project labelled further once more; nothing where the config names no file."""
    data = config["data"]
    boxes = data.get("boxes_added", data.get("stalls_added"))
    if boxes is None:
        return {}
    ignored = REPOSITORY / data["ignore_added"] if "ignore_added" in data else None
    return score_completed(lists, taxonomy, REPOSITORY / boxes, ignored)


def _look_alikes(spec: ModelSpec, sets: ValSets, config: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """Count false alarms of rendered classes in real pictures: those with overhead lines, and all of val."""
    labels = sets.rendered & set(spec.labels)
    if not labels:
        return {}
    listed = REPOSITORY / "datasets" / dataset / "overhead_lines.csv"
    with Detector(spec) as detector:
        return {
            name: count_alarms(detector, files, labels)
            for name, files in look_alike_files(config, listed, sets).items()
        }


def _parity(slim: Path, folder: Path, lists: Sequence[ValList]) -> Any:
    files = [file for entry in lists for file in entry.files]
    step = max(len(files) // PARITY_PICTURES, 1)
    return measure_parity(slim, folder / "street.onnx", files[::step], SIDE_PX)


def _reports(run: Path) -> dict[str, Any]:
    return {
        key: json.loads((run / name).read_text(encoding="utf-8"))
        for key, name in REPORTS.items()
        if (run / name).is_file()
    }


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
