"""People and vehicles that a set does not label, from the base model's own confident boxes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from ultralytics import YOLO

from detector.errors import Failure
from training.importers.street import Boxes
from training.labels import Taxonomy


class BaseModelLabeller:
    """Label pictures with a trained ultralytics checkpoint; boxes come back in the project's classes.

    Args:
        weights: checkpoint whose class names the taxonomy knows (COCO).
        taxonomy: the project's classes.
        wanted: class names to keep.
        score_min: boxes below it are dropped.
        side_px: longest side the pictures are scaled to.
    """

    def __init__(
        self, weights: Path, taxonomy: Taxonomy, wanted: Collection[str], score_min: float, side_px: int
    ) -> None:
        """Load the checkpoint.

        Raises:
            Failure: the weights are not there.
        """
        if not weights.is_file():
            raise Failure(f"{weights}: there are no base weights; give their path with --base.")
        self._model = YOLO(str(weights), task="detect")
        self._score_min, self._side_px = score_min, side_px
        meant = taxonomy.mapping(tuple(self._model.names.values()), str(weights))
        self._ours = {
            i: taxonomy.names.index(n) for i, n in enumerate(meant) if n is not None and n in wanted
        }

    def __call__(self, picture: Path) -> Boxes:
        """Give the confident boxes of one picture, float64 (N, 5) as fractions."""
        found = self._model.predict(
            str(picture), imgsz=self._side_px, conf=self._score_min, classes=list(self._ours), verbose=False
        )[0].boxes
        labels = np.array([self._ours[int(label)] for label in found.cls], dtype=np.float64)
        return np.concatenate([labels.reshape(-1, 1), found.xywhn.numpy().astype(np.float64)], axis=1)
