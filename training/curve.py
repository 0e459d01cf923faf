"""A learning curve by epochs: the checkpoint of every epoch of a training run, measured on the val lists.

`python -m training.curve RUN --data DIR [--scenes DIR ...]`

Writes RUN/epoch_curve.json, which `kerbwatch publish` takes into the card. What is in it already is kept, so
a curve that was stopped goes on, and that of a training that still runs grows; delete the file to measure
anew.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.detector import Detector
from detector.errors import Failure, WrongUse
from training.claims import ValSets, only, val_sets_of
from training.evaluation.lists import look_at_list, look_at_lists
from training.evaluation.measure import score_lists
from training.labels import Taxonomy, load_taxonomy
from training.outlook import BASE_SET, ON_BASE_SET, curve_table, outlooks
from training.stages import read_config
from training.yolo_data import read_data_set

CURVE = "epoch_curve.json"
KEYS = frozenset({"stage", "epoch", "pictures_seen", "class", "ap50", "boxes"})
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights that an epoch left.

    Args:
        path: the .pt file.
        stage: name of its stage.
        epoch: number in the file's name, from 0 in every stage.
        pictures_seen: since the run began, this epoch's among them.
    """

    path: Path
    stage: str
    epoch: int
    pictures_seen: int


def checkpoints_of(run: Path, config: Mapping[str, Any]) -> tuple[Checkpoint, ...]:
    """Find the checkpoints of a run, in the order they were made.

    Finished stages are those of history.json; the one that still runs is in none, but in the config.

    Raises:
        WrongUse: history.json is damaged.
        Failure: there are no checkpoints, or a stage has no picture list.
    """
    found, before = list[Checkpoint](), 0
    history = _history(run)
    names = dict.fromkeys([*history, *(str(stage["name"]) for stage in config["stage"] if "name" in stage)])
    for name in names:
        paths = _epochs_of(run / name / "weights")
        if not paths and name not in history:
            continue
        pictures, epochs = history.get(name) or (_listed(run / f"train-{name}.txt"), max(paths) + 1)
        found += [
            Checkpoint(path, name, epoch, before + pictures * (epoch + 1)) for epoch, path in paths.items()
        ]
        before += pictures * epochs
    if not found:
        raise Failure(f"{run}: no stage has left a weights/epochN.pt yet; there is nothing to measure.")
    return tuple(found)


def _history(run: Path) -> dict[str, tuple[int, int]]:
    """Give the finished stages: name -> pictures of its list, epochs."""
    path = run / "history.json"
    if not path.is_file():
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {str(row["name"]): (int(row["pictures"]), int(row["epochs"])) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WrongUse(f"{path}: is not the history of a training run ({error!r}).") from error


def _epochs_of(folder: Path) -> dict[int, Path]:
    matches = ((re.fullmatch(r"epoch(\d+)\.pt", path.name), path) for path in folder.glob("epoch*.pt"))
    return dict(sorted((int(match[1]), path) for match, path in matches if match))


def _listed(path: Path) -> int:
    try:
        return len(path.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise Failure(f"{path}: the picture list of this stage cannot be read ({error.strerror}).") from error


def read_curve(path: Path) -> list[Row]:
    """Read epoch_curve.json; no rows where it is not there.

    Raises:
        WrongUse: it is damaged.
    """
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongUse(f"{path}: is no learning curve ({error}); delete it to measure anew.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= KEYS for row in rows):
        raise WrongUse(f"{path}: wanted rows of {', '.join(sorted(KEYS))}; delete it to measure anew.")
    return rows


def write_curve(path: Path, rows: Sequence[Row]) -> None:
    """Write epoch_curve.json, whole or not at all.

    Raises:
        Failure: the disk refuses it.
    """
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(json.dumps(list(rows), indent=1) + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise Failure(f"{path}: cannot be written ({error.strerror}).") from error


def curve(run: Path, data_root: Path, scenes: Sequence[Path], target: Path | None = None) -> list[Row]:
    """Measure every checkpoint of a run that is not measured yet; give all rows, in the order of the run.

    Args:
        run: folder of a training run, with config.toml.
        data_root: folder of the foreign sets.
        scenes: rendered sets; their val lists count for the classes that no real set labels, alone.
        target: file of the rows; None is epoch_curve.json in `run`.

    Raises:
        WrongUse: there is no such run, or a set has no val list.
        Failure: there are no checkpoints, or one cannot be loaded.
    """
    if not run.is_dir():
        raise WrongUse(f"{run}: there is no such run; give the folder of a training run, with config.toml.")
    config = read_config(run / "config.toml")
    found = checkpoints_of(run, config)
    sets = val_sets_of(config, data_root, None)
    taxonomy = load_taxonomy()
    _check_lists(sets, scenes, taxonomy)
    target = target or run / CURVE
    rows = read_curve(target)
    needed = sets.rendered if scenes else frozenset()
    for one in found:
        theirs = [row for row in rows if (row["stage"], row["epoch"]) == (one.stage, one.epoch)]
        if theirs and needed <= {row["class"] for row in theirs}:
            continue
        measured = list(_measured(one, sets, scenes, taxonomy))
        rows = sorted(
            [*(row for row in rows if row not in theirs), *measured], key=lambda row: row["pictures_seen"]
        )
        write_curve(target, rows)
    return rows


def _check_lists(sets: ValSets, scenes: Sequence[Path], taxonomy: Taxonomy) -> None:
    """Refuse sets without a val list before the first checkpoint is exported."""
    carried = False
    for folder in (*(sets.data_root / name for name in sets.folders), *scenes):
        path = folder / "data.yaml"
        carried |= any(taxonomy.mapping(read_data_set(path, "val").names, str(path)))
    if not carried:
        raise WrongUse(f"{sets.data_root}: no set of the run has a val list that labels one of our classes.")


def _measured(one: Checkpoint, sets: ValSets, scenes: Sequence[Path], taxonomy: Taxonomy) -> Iterator[Row]:
    importlib.import_module("training.torchvision_shim").install()
    from training.importers.pseudo import exported

    with (
        tempfile.TemporaryDirectory() as scratch,
        Detector(exported(one.path, Path(scratch)), precision="bf16") as detector,
    ):
        lists = list(look_at_lists(detector, sets.data_root, sets.folders, taxonomy))
        for folder in scenes:
            data = read_data_set(folder / "data.yaml", "val")
            made = look_at_list(folder.name, data, detector, taxonomy)
            lists.append(only(made, sets.rendered, taxonomy))
    of_base = [entry for entry in lists if entry.folder == BASE_SET]
    alone = score_lists(of_base, taxonomy, at_work=False) if of_base else {}
    for name, score in score_lists(lists, taxonomy, at_work=False).items():
        row = {
            "stage": one.stage,
            "epoch": one.epoch,
            "pictures_seen": one.pictures_seen,
            "class": name,
            "ap50": round(score.ap50, 4),
            "boxes": score.n,
        }
        yield row | ({ON_BASE_SET: round(alone[name].ap50, 4)} if name in alone else {})


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print the table; give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a training run")
    parser.add_argument("--data", type=Path, required=True, help="folder of the foreign sets")
    parser.add_argument(
        "--scenes", type=Path, nargs="+", default=[], help="rendered sets for classes that no real set labels"
    )
    parser.add_argument("--out", type=Path, help=f"file of the figures (default: RUN/{CURVE})")
    args = parser.parse_args(argv)
    try:
        rows = curve(args.run, args.data, args.scenes, args.out)
    except ImportError as error:
        name = (error.name or str(error)).partition(".")[0]
        sys.stderr.write(f"{name} is not installed; this needs: pip install 'kerbwatch[train]'.\n")
        return Failure.exit_code
    except Failure as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    last = {row["class"]: row["ap50"] for row in rows}
    sys.stdout.write("\n".join([curve_table(rows), "", *outlooks(rows, last)]) + "\n")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("YOLO_VERBOSE", "false")  # ultralytics would talk into the table
    sys.exit(main())
