"""A network of a few lines that looks for colours: real OpenVINO, no trained weights, answers known beforehand."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from detector.backends.openvino import import_openvino

COLOURS = ("red", "green", "blue")
CELL = 32


@pytest.fixture(scope="session")
def colour_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with colours@0 and the alias street@production.

    The network cuts its input into cells of 32 px. Each cell is a box, the scores are its mean red, green and blue.
    """
    root = tmp_path_factory.mktemp("models")
    folder = root / "colours" / "0"
    folder.mkdir(parents=True)
    ov = import_openvino()
    ov.save_model(_network(), folder / "colours.xml", compress_to_fp16=False)
    (folder / "model.toml").write_text(model_toml(folder), encoding="utf-8")
    (root / "registry.toml").write_text('[alias]\n"street@production" = "colours@0"\n', encoding="utf-8")
    return root


def model_toml(folder: Path) -> str:
    files = "\n".join(
        f'[[file]]\nbackend = "openvino"\npath = "{name}"\nsha256 = "{hashlib.sha256((folder / name).read_bytes()).hexdigest()}"'
        for name in ("colours.xml", "colours.bin")
    )
    return f"""name = "colours"
version = 0
decoder = "yolo_dfl_free"
side_px = 320
stride_px = 32
labels = ["red", "green", "blue"]
iou_max = 0.6
licence = "none"
dataset = "none"

[score_min]
red = 0.6
green = 0.6
blue = 0.8

{files}
"""


def _network():
    import_openvino()
    from openvino import Model
    from openvino import opset13 as ops

    images = ops.parameter([-1, 3, -1, -1], np.float32, name="images")
    cells = ops.avg_pool(images, [CELL, CELL], [0, 0], [0, 0], [CELL, CELL], exclude_pad=True)
    shape = ops.shape_of(cells, output_type="i64")
    zero = ops.multiply(ops.slice(cells, [0], [1], [1], axes=[1]), np.float32(0))
    x = ops.add(zero, _centres(ops, shape, axis=3, target=[1, 1, 1, -1]))
    y = ops.add(zero, _centres(ops, shape, axis=2, target=[1, 1, -1, 1]))
    side = ops.add(zero, np.float32(CELL))
    rows = ops.concat([x, y, side, side, cells], axis=1)
    return Model([ops.reshape(rows, [0, 7, -1], special_zero=True)], [images], "colours")


def _centres(ops, shape, axis: int, target: list[int]):
    count = ops.squeeze(ops.gather(shape, [axis], 0), [0])
    index = ops.range(np.int64(0), count, np.int64(1), output_type="f32")
    return ops.reshape(
        ops.multiply(ops.add(index, np.float32(0.5)), np.float32(CELL)), target, special_zero=False
    )
