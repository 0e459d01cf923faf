"""TensorRT on an NVIDIA GPU, through the engine builder and runtime of ultralytics.

Around the network everything is as in the backend ultralytics: `TorchLane`. TensorRT itself has not been run
by us yet, only stand-ins for it; see DECISIONS.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detector.backends import Options, check_rows
from detector.backends.engines import EngineKey, engine_file
from detector.backends.torch_lane import Lanes, TorchLane
from detector.backends.ultralytics import BATCH_MAX, KEPT, LANES, import_torch
from detector.device import torch_device
from detector.errors import Failure, WrongUse
from detector.registry import weights
from detector.spec import ModelSpec
from detector.types import FloatArray, Image

_TENSORRT_ERRORS = (AssertionError, AttributeError, ImportError, OSError, RuntimeError, TypeError, ValueError)
"""What building or loading an engine may end in: ultralytics and TensorRT have no exception of their own."""


class TensorRtBackend:
    """An engine of the model's ONNX file, built at the first start and kept."""

    batch_max = BATCH_MAX
    in_flight = LANES

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        """Load the engine, or build it first.

        Raises:
            Failure: tensorrt, torch, ultralytics or a GPU is not there, the model's file is missing or has
                another hash, or TensorRT does not take it.
            WrongUse: another precision than f16 and f32 is asked for.
        """
        if options.precision not in {"f16", "f32"}:
            raise WrongUse(f"the backend tensorrt computes in f16 or f32, not {options.precision}.")
        self._torch = torch = import_torch()
        self._device = torch_device(torch, options.device or "cuda")
        version = installed_version()
        path = weights(spec, "onnx")
        key = EngineKey(
            spec.files_of("onnx")[0].sha256,
            str(torch.cuda.get_device_name(self._device)),
            version,
            options.precision,
            BATCH_MAX,
            spec.side_px,
        )
        engine = engine_file(spec.folder, key, lambda part: _build(path, part, key))
        keep = KEPT if options.hint == "throughput" else None
        lanes = []
        for _ in range(LANES):
            network = _Engine(torch, engine, self._device)
            dtype = torch.float16 if network.half else torch.float32
            lanes.append(TorchLane(torch, network, self._device, dtype, batch_max=BATCH_MAX, keep=keep))
        check_rows(spec, network.rows)
        self._lanes = Lanes(lanes)

    def infer(self, canvases: Image) -> FloatArray:
        """Give the raw output (B, 4 + classes, N); see `Backend`."""
        return self.gather(list(canvases))

    def gather(self, canvases: Sequence[Image]) -> FloatArray:
        """Give the same for canvases that lie apart; see `GatheringBackend`."""
        return self._lanes.infer(canvases, self.batch_max)

    def close(self) -> None:
        """Drop the engines and give their GPU memory back."""
        self._lanes.close()
        self._torch.cuda.empty_cache()


class _Engine:
    """One execution context: called with planes on the GPU, gives its output there."""

    def __init__(self, torch: Any, path: Path, device: str) -> None:
        from ultralytics.nn.backends.tensorrt import TensorRTBackend as Runtime

        self._torch = torch
        try:
            self._runtime = Runtime(str(path), torch.device(device), False)
        except _TENSORRT_ERRORS as error:
            raise Failure(
                f"TensorRT cannot load {path}: {_line(error)}; delete the file, it is built again."
            ) from error
        self.half = bool(self._runtime.fp16)

    @property
    def rows(self) -> int | None:
        """Values per box, where the engine says so."""
        shape = self._runtime.bindings[self._runtime.output_names[0]].shape
        return int(shape[1]) if len(shape) == 3 and shape[1] > 0 else None

    def __call__(self, planes: Any) -> Any:
        # The runtime computes on the default stream and waits for it: what feeds it must be there before.
        self._torch.cuda.current_stream().synchronize()
        return self._runtime.forward(planes.contiguous())[0]


def installed_version() -> str:
    """Give TensorRT's version.

    Raises:
        Failure: it is not installed.
    """
    try:
        import tensorrt
    except ImportError:
        raise Failure("the backend tensorrt needs TensorRT: pip install tensorrt.") from None
    return str(tensorrt.__version__)


def _build(onnx: Path, engine: Path, key: EngineKey) -> None:
    """Build an engine for up to `batch_max` pictures of any size.

    Raises:
        Failure: TensorRT does not take the model.
    """
    from ultralytics.utils.export.engine import onnx2engine

    try:
        onnx2engine(
            str(onnx),
            engine,
            quantize=16 if key.precision == "f16" else None,
            dynamic=True,
            shape=(key.batch_max, 3, key.side_px, key.side_px),
        )
    except _TENSORRT_ERRORS as error:
        raise Failure(f"TensorRT {key.tensorrt} cannot build an engine of {onnx}: {_line(error)}.") from error


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
