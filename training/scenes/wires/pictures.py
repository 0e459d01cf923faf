"""Write flying-wire pictures: `python -m training.scenes.wires.pictures --out DIR --data DATA --n 500`.

The result is a YOLO data set with every class of datasets/classes.toml and one list, the split's. A picture
depends on split, seed and its number alone. `made.csv` says of every picture what it was made of.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing as mp
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2

from detector.errors import Failure, WrongUse
from training.dataset.types import EVERY_CLASS
from training.labels import load_taxonomy
from training.scenes.wires.backgrounds import Split
from training.scenes.wires.paint import Box
from training.scenes.wires.scene import Made, make

Maker = Callable[[Path, Split, int, int], Made]
"""Makes picture number 4 of split 2 and seed 3 from the pictures under 1."""
Row = tuple[str, str, str, str, str]


def label_lines(labels: list[tuple[str, Box]], names: tuple[str, ...], size_wh: tuple[int, int]) -> str:
    r"""YOLO text: class (-1 for every class), middle and size as shares of the picture.

    >>> label_lines([("b", (0, 0, 50, 20))], ("a", "b"), (100, 100))
    '1 0.250000 0.100000 0.500000 0.200000\n'
    """
    w, h = size_wh
    rows = []
    for label, (x0, y0, x1, y1) in labels:
        middle = ((x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h)
        number = -1 if label == EVERY_CLASS else names.index(label)
        rows.append(f"{number} " + " ".join(f"{v:.6f}" for v in middle) + "\n")
    return "".join(rows)


def write(maker: Maker, prefix: str, out: Path, data: Path, split: Split, seed: int, number: int) -> Row:
    """Make picture `number` into images/, labels/ and ignore/; return its row of made.csv."""
    cv2.setNumThreads(1)
    made = maker(data, split, seed, number)
    name = f"{prefix}_{split}_{seed}_{number:05d}"
    cv2.imwrite(str(out / "images" / f"{name}.jpg"), made.picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    size = made.picture.shape[1], made.picture.shape[0]
    for folder, boxes in (("labels", made.labels), ("ignore", made.doubtful)):
        text = label_lines(boxes, load_taxonomy().names, size)
        (out / folder / f"{name}.txt").write_text(text, encoding="utf-8")
    contrast = " ".join(f"{grey:.1f}" for grey in made.contrast)
    return name, made.kind, made.background, " ".join(made.bikes), contrast


def write_lists(out: Path, split: Split, rows: list[Row]) -> None:
    """Write data.yaml, the split's list and made.csv."""
    (out / f"{split}.txt").write_text("".join(f"./images/{row[0]}.jpg\n" for row in rows), encoding="utf-8")
    listed = "".join(f"  {k}: {c}\n" for k, c in enumerate(load_taxonomy().names))
    (out / "data.yaml").write_text(f"path: .\n{split}: {split}.txt\nnames:\n{listed}", encoding="utf-8")
    with (out / "made.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [("picture", "kind", "background", "cut_outs", "contrast"), *rows]
        )


def run(maker: Maker, prefix: str, doc: str | None) -> None:
    """Parse the command line and write a data set of what `maker` makes."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to make; must not exist")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the labelled pictures")
    parser.add_argument("--n", type=int, default=500, help="how many pictures (500)")
    parser.add_argument("--seed", type=int, default=1, help="picks the pictures (1)")
    parser.add_argument(
        "--split", choices=("train", "val"), default="train", help="whose list to use (train)"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    args = parser.parse_args()
    try:
        _write_set(partial(write, maker, prefix), args)
    except Failure as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


def _write_set(task: Callable[[Path, Path, Split, int, int], Row], args: argparse.Namespace) -> None:
    """Write into a folder beside the wanted one and move it there when it is whole.

    Raises:
        WrongUse: the wanted folder exists, or no picture is asked for.
    """
    if args.out.exists():
        raise WrongUse(f"{args.out}: exists; name a new folder with --out.")
    if args.n < 1 or args.workers < 1:
        raise WrongUse("--n and --workers must be at least 1.")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.parent, prefix=f".{args.out.name}-") as held:
        work = Path(held) / "set"
        for folder in ("images", "labels", "ignore"):
            (work / folder).mkdir(parents=True)
        rows: list[Row] = []
        one = partial(task, work, args.data, args.split, args.seed)
        with ProcessPoolExecutor(args.workers, mp.get_context("spawn")) as pool:
            for row in pool.map(one, range(args.n), chunksize=8):
                rows.append(row)
                sys.stderr.write(f"\r{len(rows)}/{args.n}")
        sys.stderr.write("\n")
        write_lists(work, args.split, rows)
        work.rename(args.out)


if __name__ == "__main__":
    run(make, "wire", __doc__)
