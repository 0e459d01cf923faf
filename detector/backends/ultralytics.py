"""Torch, on a GPU where there is one: the network of a `.pt` checkpoint, or the one inside our ONNX files.

Only the network is taken from it, not what ultralytics does before and after: letterbox, decoding and
suppression are the same for every backend, so the boxes agree. torchvision is not imported, so one whose
operators do not load does no harm.
"""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np

from detector.backends import Options, check_rows
from detector.backends.onnx_checkpoint import read_network
from detector.errors import Failure, WrongUse
from detector.registry import weights
from detector.spec import ModelSpec
from detector.types import FloatArray, Image

# What unpickling something else than a checkpoint ends in.
_LOADING_ERRORS = (
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)


class UltralyticsBackend:
    """The checkpoint's network on CUDA, else on the CPU."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        """Load the model.

        Raises:
            Failure: torch or ultralytics is not installed, or the file is missing, has another hash or
                holds no network.
            WrongUse: a precision is asked for that the device does not have.
        """
        if options.precision == "int8":
            raise WrongUse("the backend ultralytics does not compute in int8; use openvino for that.")
        self._torch = _import_torch()
        path = weights(spec, "ultralytics")
        self._device = "cuda" if self._torch.cuda.is_available() else "cpu"
        if self._device == "cpu" and options.precision == "f16":
            raise WrongUse("torch on a CPU does not compute in f16; take precision f32 or bf16.")
        if options.threads:
            self._torch.set_num_threads(options.threads)
        self._dtype = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}[options.precision]
        self._network = self._load(path, spec.ref)
        check_rows(spec, 4 + int(getattr(self._network.model[-1], "nc", -4)))
        self._lock = threading.Lock()
        # A GPU is kept busy by batches across cameras: one runs while the next is being collected.
        self.batch_max, self.in_flight = (16, 2) if self._device == "cuda" else (1, 1)

    def infer(self, canvases: Image) -> FloatArray:
        """Give the raw output (B, 4 + classes, N); see `Backend`."""
        torch = self._torch
        # One at a time: the head keeps the anchors of the last input size, which two threads would mix up.
        with self._lock, torch.inference_mode():
            given = torch.from_numpy(np.require(canvases, requirements=("C", "W"))).to(self._device)
            planes = given.flip(3).permute(0, 3, 1, 2).contiguous().to(getattr(torch, self._dtype)) / 255
            raw = self._network(planes)
            raw = raw[0] if isinstance(raw, (tuple, list)) else raw
            return np.asarray(raw.float().cpu().numpy(), dtype=np.float32)

    def close(self) -> None:
        """Drop the network and give its GPU memory back."""
        self._network = None
        if self._device == "cuda":
            self._torch.cuda.empty_cache()

    def _load(self, path: Path, ref: str) -> Any:
        network = read_network(path) if path.suffix == ".onnx" else self._unpickle(path, ref)
        return network.fuse(verbose=False).to(self._device, getattr(self._torch, self._dtype)).eval()

    def _unpickle(self, path: Path, ref: str) -> Any:
        # A .pt is a pickle and can run code; `weights` has compared its hash with the one published.
        try:
            checkpoint = self._torch.load(path, map_location="cpu", weights_only=False)
            return (checkpoint.get("ema") or checkpoint["model"]).float()
        except _LOADING_ERRORS as error:
            why = str(error).rstrip(".") or type(error).__name__
            raise Failure(f"{path} of model {ref} is no ultralytics checkpoint: {why}.") from error


def _import_torch() -> Any:
    """Import torch and the classes that a checkpoint names.

    Raises:
        Failure: they are not installed.
    """
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # a detector does not install packages
    os.environ.setdefault("YOLO_OFFLINE", "1")
    try:
        import torch
        import ultralytics.nn.tasks  # noqa: F401 - the pickle names its classes
    except ImportError as error:
        raise Failure(
            f"the backend ultralytics needs torch and ultralytics ({error}): pip install 'kerbwatch[train]'."
        ) from None
    return torch
