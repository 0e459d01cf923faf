"""ModelSpec: one `model.toml`, parsed and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from detector.errors import Failure, WrongUse

SPEC_FILE = "model.toml"
SCORE_MIN_DEFAULT = 0.25
"""Threshold of a class for which model.toml gives none."""

Fraction = Annotated[float, Field(ge=0, le=1)]
NonEmpty = Annotated[str, Field(min_length=1)]
Stored = Literal["f32", "int8"]
"""What a file's numbers are made for: INT8 arithmetic, or floating point of any width."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class ModelFile(_Strict):
    """One file of a model version.

    Args:
        backend: which backend reads it: openvino, onnx or ultralytics.
        path: relative to the folder of model.toml.
        sha256: of the whole file, 64 hex digits.
        precision: "int8" where the network is quantised; "f32" is computed as f32, bf16 or f16 as asked.
    """

    backend: Literal["openvino", "onnx", "ultralytics", "scripted"]
    path: NonEmpty
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    precision: Stored = "f32"

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must stay inside the model's folder")
        return value


class ModelSpec(_Strict):
    """What one version of a model is and needs.

    Args:
        folder: where model.toml and the files are.
        name: family, such as "street".
        version: counts up from 0 within the family.
        decoder: how the raw output is read; "yolo_dfl_free" is (B, 4 + classes, N) with centre x, centre y,
            width, height in pixels of the network's input and one score per class (ultralytics v8, 11).
        side_px: longest side of the network's input.
        stride_px: both sides of the input are multiples of it.
        labels: class names, index to name.
        score_min: threshold per class; a class left out has `SCORE_MIN_DEFAULT`.
        iou_max: two boxes of one class that overlap more are one thing.
        licence: SPDX identifier of the weights.
        dataset: what it was trained on.
        precision: what the backend openvino takes where nobody asks for another.
        files: the weights, once per backend and precision that has its own.
    """

    folder: Path
    name: str = Field(pattern=r"^[\w.-]+$")
    version: int = Field(ge=0)
    decoder: Literal["yolo_dfl_free"]
    side_px: int = Field(ge=32, le=8192)
    stride_px: int = Field(ge=1, le=256)
    labels: tuple[NonEmpty, ...] = Field(min_length=1, strict=False)
    score_min: Mapping[str, Fraction] = Field(default_factory=dict)
    iou_max: float = Field(gt=0, le=1)
    licence: NonEmpty
    dataset: NonEmpty
    precision: Stored = "f32"
    files: tuple[ModelFile, ...] = Field(alias="file", min_length=1, strict=False)

    @property
    def ref(self) -> str:
        """The name people and reports use: "street@1"."""
        return f"{self.name}@{self.version}"

    def files_of(self, backend: str, precision: Stored = "f32") -> tuple[ModelFile, ...]:
        """Give the files of one backend and precision, the one to open first."""
        return tuple(file for file in self.files if file.backend == backend and file.precision == precision)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: a class is named twice")
        if strangers := sorted(set(self.score_min) - set(self.labels)):
            raise ValueError(f"score_min: {strangers[0]!r} is not among the labels")
        if self.side_px % self.stride_px:
            raise ValueError(f"side_px: {self.side_px} is not a multiple of stride_px {self.stride_px}")
        if self.precision == "int8" and not self.files_of("openvino", "int8"):
            raise ValueError("precision: is int8, but no file of the backend openvino is")
        paths = {file.path for file in self.files}
        for path in sorted(paths):
            weights = str(PurePosixPath(path).with_suffix(".bin"))
            if path.endswith(".xml") and weights not in paths:
                raise ValueError(f"file: {path} needs its {weights} listed with a hash too")
        complete = {label: self.score_min.get(label, SCORE_MIN_DEFAULT) for label in self.labels}
        object.__setattr__(self, "score_min", complete)  # frozen to others, filled up here once
        return self


def read_spec(folder: Path) -> ModelSpec:
    """Read `folder`/model.toml.

    Raises:
        Failure: there is no such file or it cannot be read.
        WrongUse: it is not TOML, a key is unknown, missing or of the wrong type, or two keys contradict.
    """
    path = folder / SPEC_FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Failure(
            f"{path} does not exist; a model is a folder with {SPEC_FILE} and its weights."
        ) from None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path} is not valid TOML: {error}.") from error
    return spec_of(table, folder)


def spec_of(table: Mapping[str, Any], folder: Path) -> ModelSpec:
    """Check the content of one model.toml.

    Raises:
        WrongUse: as for `read_spec`.
    """
    path = folder / SPEC_FILE
    if "folder" in table:
        raise WrongUse(f"{path}: unknown key 'folder'; take it out.")
    if isinstance(table.get("score_min", {}), Mapping) and "files" not in table:
        try:
            return ModelSpec.model_validate({**table, "folder": folder})
        except ValidationError as error:
            raise WrongUse(f"{path}: {_sentence(error)}") from error
    raise WrongUse(f"{path}: 'score_min' must be a table and files are listed as [[file]].")


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}; take it out or correct its spelling{more}."
    if first["type"] == "missing":
        return f"the key {where!r} is missing{more}."
    what = first["msg"].removeprefix("Value error, ")
    return f"{where}: {what}{more}." if where else f"{what}{more}."
