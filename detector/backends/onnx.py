"""ONNX Runtime: for machines where OpenVINO is not to be had. Extra [onnx]."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.backends import Options, check_rows, check_sizes
from detector.errors import Failure, WrongUse
from detector.registry import weights
from detector.spec import ModelSpec
from detector.types import FloatArray, Image


class OnnxBackend:
    """One session on the CPU; ONNX Runtime allows calls from many threads."""

    batch_max = 1
    in_flight = 2

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        """Load the model.

        Raises:
            Failure: onnxruntime is not installed, or the file is missing, has another hash or cannot be read.
            WrongUse: another precision than f32 is asked for.
        """
        if options.precision != "f32":
            raise WrongUse(
                f"the backend onnx computes in f32, not {options.precision}; use openvino for that."
            )
        try:
            import onnxruntime
        except ImportError:
            raise Failure("the backend onnx needs onnxruntime: pip install 'kerbwatch[onnx]'.") from None
        path = weights(spec, "onnx")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads or 0
        settings.log_severity_level = (
            3  # its warnings are about the graph, which we made, not about the picture
        )
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), settings, providers=["CPUExecutionProvider"]
            )
        except _errors_of(onnxruntime) as error:
            raise Failure(
                f"{path} of model {spec.ref} cannot be read by ONNX Runtime: {str(error).rstrip('.')}."
            ) from error
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
