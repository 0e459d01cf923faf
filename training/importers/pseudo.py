"""Labels that a set lacks: people and vehicles by the base model, doubts about the rest by a street model.

A base checkpoint is exported once into a scratch folder and run by the detector, as everything else is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from detector.detector import Detector
from detector.registry import resolve
from detector.spec import ModelSpec
from training.complete import NOTHING, VIEW_SCORE_MIN, Completer, Completion, Sureness
from training.evaluate import read_picture
from training.export import export_onnx, load_checkpoint
from training.labels import Taxonomy
from training.release import model_toml

SIDE_PX = 640


class Labeller:
    """Completes the labels of pictures; a context manager that holds the models open.

    Args:
        base: checkpoint of the base model.
        taxonomy: the project's classes.
        settings: the table [data.complete] of a config: `context` (classes the base model completes),
            `label_min` and `ignore_min` (fused scores), `larger_side_px` (0 for none), `street` (a published
            model that finds doubtful regions of the other classes) and `street_ignore_min`.
    """

    def __init__(self, base: Path, taxonomy: Taxonomy, settings: Mapping[str, Any]) -> None:
        """Open the models.

        Raises:
            Failure: base weights or the street model are not there.
        """
        self._open = ExitStack()
        scratch = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        spec = _exported(base, scratch)
        context = frozenset(settings["context"])
        limits = Sureness(float(settings["label_min"]), float(settings["ignore_min"]))
        larger = int(settings.get("larger_side_px", 0))
        self._completers = [
            Completer(
                self._detect(spec),
                self._detect(spec.model_copy(update={"side_px": larger})) if larger else None,
                taxonomy,
                dict.fromkeys(sorted(context), limits),
            )
        ]
        if settings.get("street"):
            street = resolve(str(settings["street"]))
            doubts = Sureness(2.0, float(settings["street_ignore_min"]))  # never sure enough for a label
            others = [name for name in street.labels if name not in context]
            self._completers.append(
                Completer(self._detect(street), None, taxonomy, dict.fromkeys(others, doubts))
            )

    def __call__(self, picture: Path, labelled: frozenset[str]) -> Completion:
        """Give what is missing in a picture whose set labels the classes `labelled`."""
        image = read_picture(picture)
        found = [completer.complete(image, labelled) for completer in self._completers]
        return _joined(found) if found else NOTHING

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _detect(self, spec: ModelSpec) -> Any:
        # bf16 takes 0.6 of the time, and no completion hangs on a hundredth of a score.
        detector = self._open.enter_context(Detector(spec, precision="bf16"))
        return partial(detector.detect, score_min=VIEW_SCORE_MIN)


def _joined(found: Sequence[Completion]) -> Completion:
    return Completion(
        np.concatenate([one.sure for one in found]), np.concatenate([one.ignored for one in found])
    )


def _exported(weights: Path, folder: Path) -> ModelSpec:
    """Write a checkpoint as a model folder of its own and give its spec."""
    model = load_checkpoint(weights).model
    export_onnx(weights, folder / "street.onnx", SIDE_PX)
    (folder / "street.pt").write_bytes(weights.read_bytes())
    labels = tuple(model.names.values())
    text = model_toml(folder, "base", 0, labels, dict.fromkeys(labels, 0.25), "coco")
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return resolve(f"{folder}/")
