"""Write a YOLO data set of rendered streets: `python -m training.scenes.pictures --out DIR --n 350 --seed 7`.

Every picture has its own street, weather, camera and layout. A picture depends on the seed and its number
alone.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from training.scenes.compose import CLASSES, Lens, Picture, Sensor, Truth, compose, draw_thing, floor_of
from training.scenes.layout import any_camera, any_layout, any_street
from training.scenes.light import any_light
from training.scenes.street import render_street

WIDTH, HEIGHT = 832, 480
MIN_VISIBLE = 0.3
MIN_SIDE_PX = {"litter": 7.0, "garbage": 12.0}


def picture(seed: int, number: int, width: int = WIDTH, height: int = HEIGHT) -> tuple[Picture, list[Truth]]:
    """Render one random street: 8-bit BGR (H, W, 3) and its labelled boxes."""
    rng = np.random.default_rng([seed, number])
    camera, street, light = any_camera(rng, width, height), any_street(rng), any_light(rng)
    things = any_layout(rng, street)
    backdrop = render_street(street, camera, light, scale=1)  # the lens blurs what this leaves ragged
    drawn = [d for d in (draw_thing(t, camera, light) for t in things) if d is not None]
    linear, truth = compose(floor_of(backdrop, drawn))
    cast = rng.normal(1, 0.04, 3)
    lens = Lens(
        float(rng.uniform(0.4, 0.9)),
        float(rng.uniform(0.003, 0.02)),
        float(rng.uniform(0, 0.4)),
        (float(cast[0]), 1.0, float(cast[2])),
        float(rng.uniform(0.95, 1.3)),
    )
    image = Sensor(lens, light.exposure, (width, height), number).expose(linear, 0)
    truth = [t for t in truth if kept(t)]
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        truth = [
            Truth(t.label, t.name, (width - t.xyxy[2], t.xyxy[1], width - t.xyxy[0], t.xyxy[3]), t.visible)
            for t in truth
        ]
    return image, truth


def kept(truth: Truth) -> bool:
    """Say whether a detector could be asked to find this object."""
    x0, y0, x1, y1 = truth.xyxy
    return truth.visible >= MIN_VISIBLE and min(x1 - x0, y1 - y0) >= MIN_SIDE_PX.get(truth.label, 9.0)


def label_lines(truth: list[Truth], width: int, height: int) -> str:
    r"""YOLO text: class, middle and size as shares of the picture.

    >>> label_lines([Truth("car", "a", (0, 0, 50, 20), 1.0)], 100, 100)
    '4 0.250000 0.100000 0.500000 0.200000\n'
    """
    rows = []
    for t in truth:
        x0, y0, x1, y1 = t.xyxy
        middle = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
        rows.append(f"{CLASSES.index(t.label)} " + " ".join(f"{v:.6f}" for v in middle) + "\n")
    return "".join(rows)


def write(out: Path, seed: int, number: int) -> str:
    """Render picture `number` into images/ and labels/; return its name."""
    cv2.setNumThreads(1)
    image, truth = picture(seed, number)
    name = f"scene_{seed}_{number:05d}"
    quality = int(70 + (number * 7) % 25)
    cv2.imwrite(str(out / "images" / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    (out / "labels" / f"{name}.txt").write_text(label_lines(truth, image.shape[1], image.shape[0]))
    return name


def write_lists(out: Path, names: list[str]) -> None:
    """Write data.yaml, train.txt and val.txt; every tenth picture is for validation."""
    val = names[::10]
    train = [n for n in names if n not in set(val)]
    for file, part in (("train.txt", train), ("val.txt", val)):
        (out / file).write_text("".join(f"./images/{n}.jpg\n" for n in part))
    listed = "".join(f"  {k}: {c}\n" for k, c in enumerate(CLASSES))
    (out / "data.yaml").write_text(f"path: .\ntrain: train.txt\nval: val.txt\nnames:\n{listed}")


def main() -> None:
    """Parse the command line and write the data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=350)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    for folder in ("images", "labels"):
        (args.out / folder).mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    with ProcessPoolExecutor(args.workers, mp.get_context("spawn")) as pool:
        for name in pool.map(partial(write, args.out, args.seed), range(args.n), chunksize=4):
            names.append(name)
            sys.stderr.write(f"\r{len(names)}/{args.n}")
    sys.stderr.write("\n")
    write_lists(args.out, names)


if __name__ == "__main__":
    main()
