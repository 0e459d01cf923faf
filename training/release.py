"""model.toml of a published version. Needs no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from detector.spec import Stored

LICENCE = "AGPL-3.0-or-later"

INT8_FILES = ("street-int8.xml", "street-int8.bin")
FILES: tuple[tuple[str, str, Stored], ...] = (
    *(("openvino", name, "int8") for name in INT8_FILES),
    ("onnx", "street.onnx", "f32"),
    ("ultralytics", "street.onnx", "f32"),
)
"""Backend, name, precision; a version has those that are in its folder. The openvino backend reads the onnx
file too, the ultralytics backend the network in its metadata."""


def model_toml(
    folder: Path,
    name: str,
    version: int,
    labels: Sequence[str],
    score_min: Mapping[str, float],
    dataset: str,
    precision: Stored = "f32",
) -> str:
    """Give the text of model.toml for the files in `folder`.

    Args:
        folder: where the files are.
        name: family.
        version: number.
        labels: class names, index to name.
        score_min: threshold of every class.
        dataset: what it was trained on.
        precision: what runs where nobody asks for another.
    """
    lines = [
        f"name = {json.dumps(name)}",
        f"version = {version}",
        'decoder = "yolo_dfl_free"      # raw (B, 4 + classes, N): centre x, y, width, height in px, scores',
        "side_px = 640",
        "stride_px = 32",
        f"labels = [{', '.join(json.dumps(label) for label in labels)}]",
        "iou_max = 0.6",
        f"licence = {json.dumps(LICENCE)}",
        f"dataset = {json.dumps(dataset)}",
        f"precision = {json.dumps(precision):<20} # of the backend openvino where nobody asks for another",
        "",
        "[score_min]                    # chosen on the val lists by `kerbwatch publish`, see card.md",
        *(f"{json.dumps(label)} = {score_min[label]:.2f}" for label in labels),
    ]
    for backend, file, stored in FILES:
        if (folder / file).is_file():
            digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
            lines += ["", "[[file]]", f'backend = "{backend}"']
            lines += [f'precision = "{stored}"'] if stored != "f32" else []
            lines += [f'path = "{file}"', f'sha256 = "{digest}"']
    return "\n".join(lines) + "\n"
