"""Whether the figures of a model's card come out again, from the committed weights and the pictures at hand.

A figure reproduces when it is within TOLERANCE of the one stated, or within one box of its class: on another
processor a box at a limit may fall on the other side. Counts of labels must be equal, counts of found boxes
within FOUND_TOLERANCE. What cannot be measured here is named, with the reason.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.detector import Detector
from detector.errors import Failure
from detector.spec import ModelSpec
from training.claims import count_alarms, look_alike_files, only, same_places_of, score_completed, val_sets_of
from training.evaluation.lists import BEST_CLASS, EVERY_CLASS, ValList, look_at_list, look_at_lists
from training.evaluation.measure import BOOTSTRAP_ROUNDS, measure_model, score_lists
from training.evaluation.thresholds import choose
from training.labels import CLASSES_FILE, Taxonomy
from training.yolo_data import read_data_set

TOLERANCE = 0.002
FOUND_TOLERANCE = 2
THRESHOLD_TOLERANCE = 0.01
REPOSITORY = CLASSES_FILE.parent.parent
ELSEWHERE = {
    "base.base": "needs the base checkpoint, which is not committed, and the extra [train]",
    "base.difference": "needs the base checkpoint, which is not committed, and the extra [train]",
    "taught": "counts of the training set, which is not committed",
    "parity": "needs the extra [train]; `kerbwatch export --pictures` measures it",
    "forms": "needs the extra [train]; `kerbwatch publish` measures it",
    "int8": "needs the extra [train]; `kerbwatch publish` measures it",
    "stages": "the history of a training run",
    "ablations": "figures of other training runs",
    "learning_curve": "figures of other training runs",
    "epoch_curve": "figures of single epochs, whose checkpoints are not committed",
}
"""Parts of metrics.json that are no figures of these weights on these pictures, and why."""


@dataclass(slots=True)
class Outcome:
    """What came out.

    Args:
        same: names of the figures that reproduce.
        different: (name, stated, found) of those that do not.
        skipped: (name, reason) of those that could not be measured.
        furthest: largest difference among fractions that reproduce.
    """

    same: list[str] = field(default_factory=list)
    different: list[tuple[str, Any, Any]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    furthest: float = 0.0

    def compare(
        self, name: str, stated: Any, found: Any, tolerance: float = TOLERANCE, counts: int = 0
    ) -> None:
        """Compare two figures or two trees of them; keys that only one side has are a difference."""
        for leaf, one, other in leaves(name, stated, found):
            if agree(one, other, tolerance, counts):
                self.same.append(leaf)
                if isinstance(one, float):
                    self.furthest = max(self.furthest, abs(one - other))
            else:
                self.different.append((leaf, one, other))


def leaves(name: str, stated: Any, found: Any) -> Iterator[tuple[str, Any, Any]]:
    """Give the figures of two trees beside each other.

    >>> list(leaves("a", {"b": [1, 2]}, {"b": [1, 3]}))
    [('a.b.0', 1, 1), ('a.b.1', 2, 3)]
    """
    if isinstance(stated, dict) and isinstance(found, dict):
        for key in dict.fromkeys((*stated, *found)):
            yield from leaves(f"{name}.{key}", stated.get(key), found.get(key))
    elif isinstance(stated, list) and isinstance(found, list) and len(stated) == len(found):
        for number, (one, other) in enumerate(zip(stated, found, strict=True)):
            yield from leaves(f"{name}.{number}", one, other)
    else:
        yield name, stated, found


def agree(stated: Any, found: Any, tolerance: float, counts: int = 0) -> bool:
    """Say whether two figures are the same: fractions within `tolerance`, integers within `counts`.

    >>> agree(0.5, 0.501, 0.002), agree(7, 8, 0.002), agree(7, 8, 0.002, 1), agree(0.5, None, 0.002)
    (True, False, True, False)
    """
    if isinstance(stated, int | float) and isinstance(found, int | float):
        whole = isinstance(stated, int) and isinstance(found, int)
        return abs(stated - found) <= (counts if whole else tolerance + 1e-9)
    return bool(stated == found)


def reproduce(spec: ModelSpec, taxonomy: Taxonomy, data_root: Path, scenes: Path | None = None) -> Outcome:
    """Measure a published version again and compare with its metrics.json.

    Args:
        spec: the version.
        taxonomy: the project's classes.
        data_root: folder of the foreign sets; sets that are not there are skipped.
        scenes: the rendered set whose val list counts, or None.

    Raises:
        Failure: the version has no metrics.json or config.toml, or a picture is broken.
    """
    metrics, config = _documents(spec)
    outcome = Outcome()
    outcome.skipped += [(name, why) for name, why in ELSEWHERE.items() if _has(metrics, name)]
    for name, row in metrics["classes"].items():
        outcome.compare(f"score_min.{name}", row["score_min"], spec.score_min.get(name), 0.0)
    wanted = _sets_of(metrics, config, data_root)
    here = [name for name in wanted if (data_root / name / "data.yaml").is_file()]
    with Detector(spec, precision=metrics.get("precision", "f32")) as detector:
        lists = _look(detector, metrics, config, data_root, here, scenes, taxonomy)
        if lists:
            _compare_parts(outcome, metrics, config, lists, taxonomy)
        _compare_look_alikes(outcome, metrics, config, detector, data_root)
    missing = [name for name in wanted if name not in {entry.folder for entry in lists}]
    outcome.skipped += [(f"figures on {name}", _why(name, metrics, data_root)) for name in missing]
    return outcome


def _documents(spec: ModelSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        metrics = json.loads((spec.folder / "metrics.json").read_text(encoding="utf-8"))
        config = tomllib.loads((spec.folder / "config.toml").read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"{spec.ref} states no figures: {error.filename} cannot be read.") from error
    except ValueError as error:
        raise Failure(f"{spec.folder}: metrics.json or config.toml is damaged: {error}.") from error
    return metrics, config


def _sets_of(metrics: Mapping[str, Any], config: Mapping[str, Any], data_root: Path) -> list[str]:
    """Give the sets of the figures, in the order they were measured in: draws depend on it."""
    stated = dict.fromkeys(name for row in metrics["classes"].values() for name in row["sets"])
    ordered = dict.fromkeys((*val_sets_of(config, data_root, None).folders, *stated))
    return [name for name in ordered if name in stated]


def _has(metrics: Mapping[str, Any], name: str) -> bool:
    first, _, second = name.partition(".")
    return bool(metrics.get(first)) and (not second or second in metrics[first])


def _why(name: str, metrics: Mapping[str, Any], data_root: Path) -> str:
    if name == metrics.get("rendered_set"):
        return "rendered pictures, not committed; give their folder with --scenes"
    return f"no such set in {data_root}"


def _look(
    detector: Detector,
    metrics: Mapping[str, Any],
    config: Mapping[str, Any],
    data_root: Path,
    here: Sequence[str],
    scenes: Path | None,
    taxonomy: Taxonomy,
) -> tuple[ValList, ...]:
    every_class = metrics.get("decoding", BEST_CLASS) == EVERY_CLASS
    lists = look_at_lists(detector, data_root, here, taxonomy, every_class=every_class)
    if scenes is None or not metrics.get("rendered_set"):
        return lists
    data = read_data_set(scenes / "data.yaml", "val")
    made = look_at_list(metrics["rendered_set"], data, detector, taxonomy, every_class=every_class)
    return (*lists, only(made, val_sets_of(config, data_root, scenes).rendered, taxonomy))


def _compare_parts(
    outcome: Outcome,
    metrics: Mapping[str, Any],
    config: Mapping[str, Any],
    lists: Sequence[ValList],
    taxonomy: Taxonomy,
) -> None:
    limits = {name: row["score_min"] for name, row in metrics["classes"].items()}
    looked = {entry.folder for entry in lists}
    rounds = metrics.get("bootstrap_rounds", BOOTSTRAP_ROUNDS)
    parts = measure_model(lists, taxonomy, limits, rounds, same_places_of(config))
    whole = [name for name, row in metrics["classes"].items() if looked.issuperset(row["sets"])]
    for name in whole:
        stated = metrics["classes"][name]
        found = {key: parts["classes"][name][key] for key in stated if key != "basis"}
        stated = {key: value for key, value in stated.items() if key != "basis"}
        outcome.compare(f"classes.{name}", stated, found, _tolerance(stated["n"]))
        for kind, values in metrics.get("slices", {}).items():
            for value, rows in values.items():
                if name in rows:
                    again = parts["slices"][kind][value].get(name)
                    outcome.compare(
                        f"slices.{kind}.{value}.{name}", rows[name], again, _tolerance(rows[name]["n"])
                    )
        _compare_calibration(outcome, name, metrics, parts)
        _compare_points(outcome, name, metrics, parts)
    if len(whole) == len(metrics["classes"]):
        _compare_calibration(outcome, "all", metrics, parts)
        _compare_thresholds(outcome, metrics, lists, taxonomy)
    for index, name in enumerate(metrics.get("confusion", {}).get("labels", ())):
        if name in whole:
            stated, found = (of["confusion"]["rows"][index] for of in (metrics, parts))
            outcome.compare(f"confusion.{name}", stated, found, counts=FOUND_TOLERANCE)
    _compare_base(outcome, metrics, lists, taxonomy)
    _compare_completed(outcome, metrics, config, lists, taxonomy)


def _compare_thresholds(
    outcome: Outcome, metrics: Mapping[str, Any], lists: Sequence[ValList], taxonomy: Taxonomy
) -> None:
    """Choose the thresholds again; a version without `precision_min` chose them in another way."""
    if metrics.get("precision_min") is None:
        return
    scores = score_lists(lists, taxonomy, at_work=True)
    for name, row in metrics["classes"].items():
        chosen = choose(name, scores, metrics["precision_min"]).score_min
        outcome.compare(f"threshold.{name}", row["score_min"], chosen, THRESHOLD_TOLERANCE)


def _compare_calibration(
    outcome: Outcome, name: str, metrics: Mapping[str, Any], parts: Mapping[str, Any]
) -> None:
    if name in metrics.get("calibration", {}):
        stated, found = (
            {key: of["calibration"][name][key] for key in ("ece", "n")} for of in (metrics, parts)
        )
        outcome.compare(f"calibration.{name}", stated, found, _tolerance(stated["n"]), FOUND_TOLERANCE)


def _compare_points(
    outcome: Outcome, name: str, metrics: Mapping[str, Any], parts: Mapping[str, Any]
) -> None:
    if name in metrics.get("operating_points", {}):
        stated, found = (of["operating_points"][name] for of in (metrics, parts))
        tolerance = max(_tolerance(metrics["classes"][name]["n"]), THRESHOLD_TOLERANCE)
        outcome.compare(f"operating_points.{name}", stated, found, tolerance, FOUND_TOLERANCE)


def _compare_base(
    outcome: Outcome, metrics: Mapping[str, Any], lists: Sequence[ValList], taxonomy: Taxonomy
) -> None:
    base = metrics.get("base", {})
    of_set = [entry for entry in lists if entry.folder == base.get("set")]
    scores = score_lists(of_set, taxonomy, at_work=False)
    for name, row in base.get("model", {}).items() if of_set else ():
        found = {"ap50": scores[name].ap50, "ap5095": scores[name].ap5095, "n": scores[name].n}
        outcome.compare(f"base.model.{name}", row, found, _tolerance(row["n"]))


def _compare_completed(
    outcome: Outcome,
    metrics: Mapping[str, Any],
    config: Mapping[str, Any],
    lists: Sequence[ValList],
    taxonomy: Taxonomy,
) -> None:
    stated = dict(metrics.get("completed", {}))
    if "stalls_completed" in metrics:  # as street@1 wrote it
        old = metrics["stalls_completed"]
        stated = {"stall": {key: old[key] for key in ("added", "ap50", "ap5095", "n")}}
    data = config["data"]
    boxes = REPOSITORY / data.get("boxes_added", data.get("stalls_added", ""))
    if not stated or not boxes.is_file():
        return
    ignored = REPOSITORY / data["ignore_added"] if "ignore_added" in data else None
    found = score_completed(lists, taxonomy, boxes, ignored)
    for name, row in stated.items():
        if name in found:
            again = {key: found[name].get(key) for key in row}
            outcome.compare(f"completed.{name}", row, again, _tolerance(row["n"]))


def _compare_look_alikes(
    outcome: Outcome,
    metrics: Mapping[str, Any],
    config: Mapping[str, Any],
    detector: Detector,
    data_root: Path,
) -> None:
    stated = metrics.get("look_alikes", {})
    if not stated:
        return
    listed = REPOSITORY / "datasets" / metrics["dataset"] / "overhead_lines.csv"
    try:
        files = look_alike_files(config, listed, val_sets_of(config, data_root, None))
    except Failure as failure:
        outcome.skipped.append(("look_alikes", str(failure)))
        return
    for name, row in stated.items():
        if name in files:
            found = count_alarms(detector, files[name], row["classes"])
            outcome.compare(f"look_alikes.{name}", row, found, counts=FOUND_TOLERANCE)


def _tolerance(boxes: int) -> float:
    return max(TOLERANCE, 1 / max(boxes, 1))
