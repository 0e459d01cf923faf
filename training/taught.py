"""What a run was trained on: boxes and pictures of every class, real and rendered, from its lists."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from detector.errors import Failure
from training.yolo_data import label_lines, label_path_of, parse_line

Counts = dict[str, dict[str, dict[str, int]]]
"""class -> "real" or "rendered" -> boxes, pictures."""


def taught(run: Path, names: Sequence[str], rendered: Collection[str]) -> Counts:
    """Count what the train list of a run shows; nothing where the run has no list, or its labels are gone.

    Boxes that a model completed count like others; a picture that is listed twice counts once.

    Args:
        run: folder of the run, with train.txt (lines `./images/<set>/<picture>`) and labels/.
        names: classes, index to name; indices behind them are ignored regions.
        rendered: the sets made by training/scenes.

    Raises:
        Failure: a label is at fault.
    """
    counts: Counts = {}
    for picture in _listed(run / "train.txt"):
        kind = "rendered" if picture.split("/")[2] in rendered else "real"
        shown = _classes(label_path_of(run / picture), names)
        for name in set(shown):
            row = counts.setdefault(name, {}).setdefault(kind, {"boxes": 0, "pictures": 0})
            row["boxes"] += shown.count(name)
            row["pictures"] += 1
    return {name: counts[name] for name in names if name in counts}


def _listed(path: Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: the list of train pictures cannot be read ({error}).") from error
    return list(dict.fromkeys(line.strip() for line in lines if line.count("/") > 2))


def _classes(path: Path, names: Sequence[str]) -> list[str]:
    if not path.is_file():
        return []
    every = range(2 * len(names) + 1)
    rows = (parse_line(line, f"{path}:{number}", every) for number, line in label_lines(path))
    return [names[int(row[0])] for row in rows if row[0] < len(names) and row[3] > 0 and row[4] > 0]
