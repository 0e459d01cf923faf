"""Find people and vehicles in backgrounds: `python -m training.scenes.wires.context --data D --weights PT`.

Writes context.csv beside this file: what the base model sees in façade and scooter pictures, whose sources
label no people and no vehicles. Needs the extra [train].
"""

from __future__ import annotations

import argparse
import csv
import importlib
import sys
from pathlib import Path
from typing import Any

from training.scenes.wires.backgrounds import CONTEXT, Split, backgrounds
from training.scenes.wires.facts import DOUBTFUL

COCO = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
SPLITS: tuple[Split, Split] = ("train", "val")


def rows_of(name: str, found: Any) -> list[tuple[str, ...]]:
    """Rows of context.csv for one picture of ultralytics' results: name, class, score, shares x0 y0 x1 y1."""
    boxes = zip(found.cls.tolist(), found.conf.tolist(), found.xyxyn.tolist(), strict=True)
    return [(name, COCO[int(c)], f"{score:.2f}", *(f"{v:.4f}" for v in box)) for c, score, box in boxes]


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=CONTEXT)
    args = parser.parse_args()
    importlib.import_module("training.torchvision_shim").install()
    model = importlib.import_module("ultralytics").YOLO(str(args.weights))
    wanted = [b for split in SPLITS for b in backgrounds(args.data, split) if b.kind != "street"]
    rows: list[tuple[str, ...]] = []
    for k, one in enumerate(wanted):
        found = model.predict(
            str(one.path), imgsz=640, conf=DOUBTFUL, iou=0.6, classes=list(COCO), verbose=False
        )
        rows += rows_of(one.name, found[0].boxes)
        sys.stderr.write(f"\r{k + 1}/{len(wanted)}")
    with args.out.open("w", encoding="utf-8", newline="") as file:
        head = ("picture", "class", "score", "x0", "y0", "x1", "y1")
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


if __name__ == "__main__":
    main()
