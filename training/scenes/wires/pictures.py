"""Write flying-wire pictures: `python -m training.scenes.wires.pictures --out DIR --data DATA --n 500`.

The result is a YOLO data set with every class of datasets/classes.toml and one list, the split's. A picture
depends on split, seed and its number alone. `made.csv` says of every picture what it was made of.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing as mp
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2

from training.labels import load_taxonomy
from training.scenes.wires.backgrounds import Split
from training.scenes.wires.paint import Box
from training.scenes.wires.scene import make


def label_lines(labels: list[tuple[str, Box]], names: tuple[str, ...], size_wh: tuple[int, int]) -> str:
    r"""YOLO text: class, middle and size as shares of the picture.

    >>> label_lines([("b", (0, 0, 50, 20))], ("a", "b"), (100, 100))
    '1 0.250000 0.100000 0.500000 0.200000\n'
    """
    w, h = size_wh
    rows = []
    for label, (x0, y0, x1, y1) in labels:
        middle = ((x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h)
        rows.append(f"{names.index(label)} " + " ".join(f"{v:.6f}" for v in middle) + "\n")
    return "".join(rows)


def write(out: Path, data: Path, split: Split, seed: int, number: int) -> tuple[str, str, str, str]:
    """Make picture `number` into images/ and labels/; return name, kind, background and bikes."""
    cv2.setNumThreads(1)
    made = make(data, split, seed, number)
    name = f"wire_{split}_{seed}_{number:05d}"
    cv2.imwrite(str(out / "images" / f"{name}.jpg"), made.picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    size = made.picture.shape[1], made.picture.shape[0]
    for folder, boxes in (("labels", made.labels), ("ignore", made.doubtful)):
        text = label_lines(boxes, load_taxonomy().names, size)
        (out / folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return name, made.kind, made.background, " ".join(made.bikes)


def write_lists(out: Path, split: Split, rows: list[tuple[str, str, str, str]]) -> None:
    """Write data.yaml, the split's list and made.csv."""
    (out / f"{split}.txt").write_text("".join(f"./images/{row[0]}.jpg\n" for row in rows), encoding="utf-8")
    listed = "".join(f"  {k}: {c}\n" for k, c in enumerate(load_taxonomy().names))
    (out / "data.yaml").write_text(f"path: .\n{split}: {split}.txt\nnames:\n{listed}", encoding="utf-8")
    with (out / "made.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("picture", "kind", "background", "bikes"), *rows])


def main() -> None:
    """Parse the command line and write the data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    for folder in ("images", "labels", "ignore"):
        (args.out / folder).mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, str, str]] = []
    task = partial(write, args.out, args.data, args.split, args.seed)
    with ProcessPoolExecutor(args.workers, mp.get_context("spawn")) as pool:
        for row in pool.map(task, range(args.n), chunksize=8):
            rows.append(row)
            sys.stderr.write(f"\r{len(rows)}/{args.n}")
    sys.stderr.write("\n")
    write_lists(args.out, args.split, rows)


if __name__ == "__main__":
    main()
