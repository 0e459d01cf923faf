"""Boxes from a script instead of a network: for tests of what comes after the detector."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from detector.backends import Options
from detector.errors import WrongUse
from detector.letterbox import plan
from detector.registry import weights
from detector.spec import ModelSpec, spec_of
from detector.types import FloatArray, Image

ScriptedBox: TypeAlias = tuple[str, float, tuple[float, float, float, float]]
"""Label, score, xyxy in pixels of the source picture."""
Script: TypeAlias = Mapping[int, Sequence[ScriptedBox]]
"""Number of the picture, counted from 0 as they are detected, to its boxes."""

EVERY_OTHER = -1
"""The key that stands for every picture a script does not name."""


class ScriptedBackend:
    """Answers the n-th picture with the n-th boxes of its script.

    The script file is
    `{"width": 640, "height": 360, "pictures": {"0": [{"label": "car", "score": 0.9, "xyxy": []}], "*": []}}`.
    The boxes are written as `kerbwatch detect --json` prints them; "*" stands for every picture not named.
    """

    batch_max = 1
    in_flight = 1  # side by side, pictures could be counted in another order than they came in

    def __init__(
        self,
        spec: ModelSpec,
        options: Options | None = None,  # noqa: ARG002 - one signature for all kinds
        script: Script | None = None,
        source_wh: tuple[int, int] = (640, 360),
    ) -> None:
        """Take `script` for pictures of `source_wh` pixels, or read the model's file of backend "scripted".

        Raises:
            Failure: the file is missing or has another hash.
            WrongUse: it is not a script, or it names a class that the model does not have.
        """
        if script is None:
            source_wh, script = _read(weights(spec, "scripted"))
        self._spec, self._script = spec, script
        self._index = {name: index for index, name in enumerate(spec.labels)}
        self._lies = plan(*source_wh, spec.side_px, spec.stride_px)
        self._count, self._lock = itertools.count(), threading.Lock()
        for label in {box[0] for boxes in script.values() for box in boxes}:
            if label not in self._index:
                raise WrongUse(f"the script names the class {label!r}, which model {spec.ref} does not have.")

    def infer(self, canvases: Image) -> FloatArray:
        """Give the raw output (B, 4 + classes, N) that decodes to the script's boxes; see `Backend`."""
        with self._lock:
            scripted = [self._boxes_of(next(self._count)) for _ in canvases]
        raw = np.zeros(
            (len(scripted), 4 + len(self._spec.labels), max(map(len, scripted), default=0)), np.float32
        )
        for row, boxes in enumerate(scripted):
            for place, (label, score, xyxy) in enumerate(boxes):
                x0, y0, x1, y1 = self._lies.to_canvas(np.array([xyxy], np.float32))[0]
                raw[row, :4, place] = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
                raw[row, 4 + self._index[label], place] = score
        return raw

    def close(self) -> None:
        """Nothing to do."""

    def _boxes_of(self, number: int) -> Sequence[ScriptedBox]:
        return self._script.get(number, self._script.get(EVERY_OTHER, ()))


def scripted_spec(labels: Sequence[str], name: str = "scripted", side_px: int = 640) -> ModelSpec:
    """Give a spec for scripts: a model without weights."""
    file = {"backend": "scripted", "path": "script.json", "sha256": "0" * 64}
    return spec_of(
        {
            "name": name,
            "version": 0,
            "decoder": "yolo_dfl_free",
            "side_px": side_px,
            "stride_px": 32,
            "labels": list(labels),
            "iou_max": 0.99,
            "licence": "none",
            "dataset": "none",
            "file": [file],
        },
        Path(),
    )


def _read(path: Path) -> tuple[tuple[int, int], Script]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        pictures = {
            EVERY_OTHER if key == "*" else int(key): [
                (str(box["label"]), float(box["score"]), _four(box["xyxy"])) for box in boxes
            ]
            for key, boxes in content["pictures"].items()
        }
        return (int(content["width"]), int(content["height"])), pictures
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongUse(f"{path} is not a script of boxes: {type(error).__name__} {error}.") from error


def _four(sides: Sequence[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = map(float, sides)
    return x0, y0, x1, y1
