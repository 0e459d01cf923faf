"""The seam between the detector and what computes: the Backend protocol and the literal dict of kinds."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar, runtime_checkable

from detector.errors import Failure, WrongUse
from detector.spec import ModelSpec
from detector.types import FloatArray, Image

T = TypeVar("T")
Precision = Literal["f32", "bf16", "f16", "int8"]
Hint = Literal["latency", "throughput"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a backend should compute.

    Args:
        threads: CPU threads; None leaves it to the backend.
        precision: number format of the arithmetic. "f32" and "int8" give the same boxes on every run; "int8"
            needs a file that was quantised and calibrated for it.
        hint: "latency" puts all threads on one picture, "throughput" serves several pictures side by side.
        device: "cpu", "cuda" or "cuda:N"; None: what the backend takes by itself.
    """

    threads: int | None = None
    precision: Precision = "f32"
    hint: Hint = "latency"
    device: str | None = None


class Backend(Protocol):
    """Runs one network on canvases. Safe to call from many threads at once."""

    batch_max: int
    """Pictures that pay off in one call; 1 where batches gain nothing."""
    in_flight: int
    """Calls that keep the device busy when made side by side."""

    def infer(self, canvases: Image) -> FloatArray:
        """Give the raw output, float32 (B, 4 + classes, N).

        Args:
            canvases: uint8 (B, h, w, 3) BGR; h and w are multiples of the model's stride.

        Raises:
            Failure: the model does not take this size, or the device gave up.
        """

    def close(self) -> None:
        """Give memory and device back; calling it twice does no harm."""


@runtime_checkable
class GatheringBackend(Backend, Protocol):
    """A backend that puts the pictures of a batch into its own memory: nobody has to stack them before."""

    def gather(self, canvases: Sequence[Image]) -> FloatArray:
        """Give what `infer` gives, for canvases uint8 (h, w, 3) of one shape. Raises as `infer`."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What was read, and what it cost.

    Args:
        value: what the reader gave.
        waited_s: seconds until a place was free.
        took_s: seconds of computing and reading.
    """

    value: T
    waited_s: float
    took_s: float


class Running(Protocol[T]):
    """A picture on its way."""

    def answer(self, timeout: float | None = None) -> Answer[T]:
        """Wait for it; again and again the same.

        Raises:
            TimeoutError: it is not there after `timeout` seconds.
            Failure: as `Backend.infer`.
        """

    def done(self) -> bool:
        """Say whether `answer` would return at once."""


@runtime_checkable
class DirectBackend(Backend, Protocol):
    """A backend that computes single pictures and lets their output be read where it lies, without a copy.

    `read` gets the raw output of one picture, float32 (4 + classes, N). It must not keep it: the next picture
    overwrites it.
    """

    def compute(self, canvas: Image, read: Callable[[FloatArray], T]) -> Answer[T]:
        """Compute in the thread that calls; wait for one of `in_flight` places before.

        Args:
            canvas: uint8 (h, w, 3) BGR; h and w are multiples of the model's stride.
            read: takes the boxes out of the output.

        Raises:
            Failure: as `infer`.
        """

    def begin(self, canvas: Image, read: Callable[[FloatArray], T]) -> Running[T]:
        """Start to compute and return; wait for one of `in_flight` places before.

        `canvas` must stay as it is until the answer is there. Args and Raises as `compute`.
        """


KINDS: dict[str, str] = {
    "openvino": "detector.backends.openvino:OpenVinoBackend",
    "onnx": "detector.backends.onnx:OnnxBackend",
    "ultralytics": "detector.backends.ultralytics:UltralyticsBackend",
    "tensorrt": "detector.backends.tensorrt:TensorRtBackend",
    "scripted": "detector.backends.scripted:ScriptedBackend",
}


def open_backend(kind: str, spec: ModelSpec, options: Options) -> Backend:
    """Import one kind of backend and load the model with it.

    Raises:
        WrongUse: there is no such kind, or it cannot do what `options` ask.
        Failure: a package is not installed, or the model's file is missing, damaged or unfit.
    """
    if kind not in KINDS:
        raise WrongUse(f"there is no backend {kind!r}; choose one of {', '.join(KINDS)}.")
    module, _, name = KINDS[kind].partition(":")
    backend: Backend = getattr(importlib.import_module(module), name)(spec, options)
    return backend


def check_rows(spec: ModelSpec, rows: int | None) -> None:
    """Compare what a network gives per box with what its model.toml says; None is not known before it runs.

    Raises:
        Failure: they do not fit, so that boxes would get wrong names.
    """
    wanted = 4 + len(spec.labels)
    if rows is not None and rows != wanted:
        raise Failure(
            f"model {spec.ref} gives {rows} values per box, its {len(spec.labels)} labels want {wanted}; "
            "publish weights and labels together."
        )


def check_sizes(spec: ModelSpec, fixed_wh: tuple[int, int] | None) -> None:
    """Refuse a network of one fixed size: canvases have the shape of their pictures.

    Raises:
        Failure: it is one. Runtimes may compute nonsense for other sizes instead of complaining.
    """
    if fixed_wh is not None:
        width, height = fixed_wh
        raise Failure(
            f"model {spec.ref} takes pictures of {width}x{height} only; export it with dynamic sizes, "
            "as `kerbwatch export` does."
        )
