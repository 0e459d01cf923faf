"""ONNX Runtime: where OpenVINO is not to be had (extra [onnx]), or a GPU without torch (extra [cuda])."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.backends import Options, check_rows, check_sizes
from detector.device import NO_GPU, gpu_number, is_gpu
from detector.errors import Failure, WrongUse
from detector.registry import weights
from detector.spec import ModelSpec
from detector.types import FloatArray, Image

CUDA = "CUDAExecutionProvider"


class OnnxBackend:
    """One session; ONNX Runtime allows calls from many threads."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        """Load the model.

        Raises:
            Failure: onnxruntime or the GPU that is asked for is not there, or the file is missing, has
                another hash or cannot be read.
            WrongUse: another precision than f32 is asked for.
        """
        if options.precision != "f32":
            raise WrongUse(
                f"the backend onnx computes in f32, not {options.precision}; use openvino for that."
            )
        onnxruntime = import_onnxruntime()
        on_gpu = is_gpu(options.device)
        providers = [cuda_provider(onnxruntime, options.device)] if on_gpu else ["CPUExecutionProvider"]
        self.batch_max, self.in_flight = (16, 2) if on_gpu else (1, 2)
        path = weights(spec, "onnx")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads or 0
        settings.log_severity_level = (
            3  # its warnings are about the graph, which we made, not about the picture
        )
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), settings, providers=providers)
        except _errors_of(onnxruntime) as error:
            raise Failure(
                f"{path} of model {spec.ref} cannot be read by ONNX Runtime: {str(error).rstrip('.')}."
            ) from error
        if (
            on_gpu and CUDA not in self._session.get_providers()
        ):  # it goes on with the CPU and says so in a log
            raise Failure(
                NO_GPU.format(
                    device=options.device, why="ONNX Runtime could not load its CUDA libraries or the GPU"
                )
            )
        self._input = self._session.get_inputs()[0].name
        shape = self._session.get_outputs()[0].shape
        rows = shape[1] if len(shape) == 3 else 0
        check_rows(spec, rows if isinstance(rows, int) else None)
        height, width = self._session.get_inputs()[0].shape[2:4]
        check_sizes(spec, (width, height) if isinstance(width, int) and isinstance(height, int) else None)

    def infer(self, canvases: Image) -> FloatArray:
        """Give the raw output (B, 4 + classes, N); see `Backend`."""
        return np.asarray(
            self._session.run(None, {self._input: network_input(canvases)})[0], dtype=np.float32
        )

    def close(self) -> None:
        """Nothing to do: the session goes with the last reference."""


def import_onnxruntime() -> Any:
    """Import ONNX Runtime.

    Raises:
        Failure: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise Failure("the backend onnx needs onnxruntime: pip install 'kerbwatch[onnx]'.") from None
    return onnxruntime


def cuda_provider(onnxruntime: Any, device: str | None) -> tuple[str, dict[str, int]]:
    """Give the provider that computes on a GPU.

    Raises:
        Failure: this ONNX Runtime is built without it.
    """
    if CUDA not in onnxruntime.get_available_providers():
        why = "this ONNX Runtime is built without CUDA (pip install 'kerbwatch[cuda]' instead of [onnx])"
        raise Failure(NO_GPU.format(device=device, why=why))
    return CUDA, {"device_id": gpu_number(device or "")}


def network_input(canvases: Image) -> FloatArray:
    """Give float32 (B, 3, h, w) RGB in [0, 1] for uint8 (B, h, w, 3) BGR."""
    planes = np.ascontiguousarray(canvases[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
    planes /= np.float32(255)
    return planes


def _errors_of(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """Give the exception types that loading a file may raise; they share no base but Exception."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidProtobuf", "InvalidGraph", "InvalidArgument", "NoSuchFile", "NotImplemented")
    found = tuple(getattr(state, name) for name in names if hasattr(state, name))
    return (RuntimeError, ValueError, *found)
