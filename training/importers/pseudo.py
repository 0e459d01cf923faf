"""Labels that a set lacks: people and vehicles by the base model, doubts about the rest by a street model.

A base checkpoint is exported once into a scratch folder and run by the detector, as everything else is.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from detector.detector import Detector
from detector.registry import resolve
from detector.spec import ModelSpec
from training.complete import VIEW_SCORE_MIN, Completer, Completion, Sureness
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
        kept: folder where what was found is kept, a line a picture, so that a set can be put together again
            (or after a kill -9) without looking at every picture anew; None keeps nothing.
    """

    def __init__(
        self, base: Path, taxonomy: Taxonomy, settings: Mapping[str, Any], kept: Path | None = None
    ) -> None:
        """Open the models.

        Raises:
            Failure: base weights or the street model are not there.
        """
        self._open = ExitStack()
        scratch = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        spec = exported(base, scratch)
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

        told = json.dumps([dict(settings), hashlib.sha256(base.read_bytes()).hexdigest()], sort_keys=True)
        name = f"completions-{hashlib.sha256(told.encode()).hexdigest()[:12]}.jsonl"
        self._kept = Kept(kept / name if kept else None)

    def __call__(self, picture: Path, labelled: frozenset[str]) -> Completion:
        """Give what is missing in a picture whose set labels the classes `labelled`."""
        key = key_of(picture, labelled)
        known = self._kept.get(key)
        if known is None:
            image = read_picture(picture)
            known = _joined([completer.complete(image, labelled) for completer in self._completers])
            self._kept.put(key, known)
        return known

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


class Kept:
    """Completions on disk: JSON Lines, appended; a half-written last line is left out.

    Args:
        path: the file; None for none.
    """

    def __init__(self, path: Path | None) -> None:
        """Read what is there."""
        self._path, self._known = path, dict[str, Completion]()
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, KeyError):
                    row = json.loads(line)
                    self._known[row["key"]] = Completion(_table(row["sure"]), _table(row["ignored"]))

    def get(self, key: str) -> Completion | None:
        """Give what is kept under `key`."""
        return self._known.get(key)

    def put(self, key: str, found: Completion) -> None:
        """Keep a completion."""
        self._known[key] = found
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            row = {
                "key": key,
                "sure": found.sure.round(5).tolist(),
                "ignored": found.ignored.round(5).tolist(),
            }
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def key_of(picture: Path, labelled: frozenset[str]) -> str:
    """Name a picture by its bytes and what its set labels."""
    return f"{hashlib.sha256(picture.read_bytes()).hexdigest()[:20]} {' '.join(sorted(labelled))}"


def _table(rows: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def _joined(found: Sequence[Completion]) -> Completion:
    return Completion(
        np.concatenate([one.sure for one in found]), np.concatenate([one.ignored for one in found])
    )


def exported(weights: Path, folder: Path) -> ModelSpec:
    """Write a checkpoint as a model folder of its own and give its spec."""
    model = load_checkpoint(weights).model
    export_onnx(weights, folder / "street.onnx", SIDE_PX)
    labels = tuple(model.names.values())
    text = model_toml(folder, "base", 0, labels, dict.fromkeys(labels, 0.25), "coco")
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return resolve(f"{folder}/")
