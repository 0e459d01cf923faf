"""In which arithmetic a model is computed where the user leaves it to us."""

from __future__ import annotations

import logging
from typing import Literal

from detector.backends import Precision
from detector.backends.chip import adds_int8_exactly, multiplies_bf16
from detector.device import is_gpu, torch_has_gpu
from detector.spec import ModelSpec

log = logging.getLogger(__name__)

Asked = Literal["auto", "f32", "bf16", "f16", "int8"]
"""A precision, or "auto": the fastest that costs no accuracy worth a word here."""
CHOICES: tuple[Asked, ...] = ("auto", "f32", "bf16", "f16", "int8")


def choose(asked: Asked | None, spec: ModelSpec, backend: str, *, device: str | None = None) -> Precision:
    """Give the arithmetic that a model is computed in, and say in the log what "auto" became and why.

    By the chip's flags and by model.toml, not by a stopwatch: a busy machine measures nonsense, and workers
    that disagree would report the same street differently.

    Args:
        asked: None: what repeats exactly, INT8 where model.toml prefers it and else f32. "auto": INT8 on
            the same condition, because model.toml names it only where no class loses over a point; else the
            chip's fastest floating point.
        spec: the model.
        backend: kind of backend.
        device: as `Detector`.

    Raises:
        WrongUse: `device` names nothing we know.
    """
    asked_gpu = is_gpu(device)
    if asked is not None and asked != "auto":
        return asked
    int8 = backend == "openvino" and spec.precision == "int8" and adds_int8_exactly()
    if asked is None:
        return "int8" if int8 else "f32"
    on_gpu = (
        backend == "tensorrt"
        or asked_gpu
        or (device is None and backend == "ultralytics" and torch_has_gpu())
    )
    chosen, why = _fastest(spec, backend, int8=int8, on_gpu=on_gpu)
    log.info("%s is computed in %s: %s", spec.ref, chosen, why)
    return chosen


def _fastest(spec: ModelSpec, backend: str, *, int8: bool, on_gpu: bool) -> tuple[Precision, str]:
    if int8:
        return "int8", "this processor adds INT8 exactly and model.toml prefers it"
    if on_gpu and backend in {"ultralytics", "tensorrt"}:
        return "f16", "half precision is what this GPU does best"
    if backend != "openvino":
        return "f32", f"the backend {backend} has nothing faster here"
    unused = " (its INT8 file is for --precision int8 only: model.toml does not prefer it)"
    beside = unused if spec.files_of("openvino", "int8") and spec.precision != "int8" else ""
    if multiplies_bf16():
        return "bf16", f"this processor multiplies bfloat16{beside}"
    return "f32", f"this processor has no faster floating point{beside}"
