"""Torch, on a GPU where there is one: the network of a `.pt` checkpoint, or the one inside our ONNX files.

Only the network is taken from it, not what ultralytics does before and after: letterbox, decoding and
suppression are the same for every backend, so the boxes agree. torchvision is not imported, so one whose
operators do not load does no harm.
"""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detector.backends import Options, check_rows
from detector.backends.onnx_checkpoint import read_network
from detector.backends.torch_lane import Lanes, TorchLane
from detector.device import torch_device
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


BATCH_MAX = 32
"""Pictures of one call on a GPU: more gain little there, and the pictures at its end would wait longer."""
LANES = 2
"""One batch is copied and read while the other is computed."""
KEPT = 1024
"""Places of a picture that come back from a GPU that many cameras share; a street has far fewer things."""


class UltralyticsBackend:
    """The checkpoint's network on CUDA, else on the CPU."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        """Load the model.

        Raises:
            Failure: torch, ultralytics or the GPU that is asked for is not there, or the file is missing, has
                another hash or holds no network.
            WrongUse: a precision is asked for that the device does not have.
        """
        if options.precision == "int8":
            raise WrongUse("the backend ultralytics does not compute in int8; use openvino for that.")
        self._torch = torch = import_torch()
        self._device = torch_device(torch, options.device)
        on_gpu = self._device != "cpu"
        if not on_gpu and options.precision == "f16":
            raise WrongUse("torch on a CPU does not compute in f16; take precision f32 or bf16.")
        path = weights(spec, "ultralytics")
        if options.threads:
            torch.set_num_threads(options.threads)
        self._dtype = getattr(
            torch, {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}[options.precision]
        )
        network = self._load(path, spec.ref)
        if on_gpu:
            if options.precision == "f32":
                torch.backends.cudnn.allow_tf32 = False  # else it computes with 10 bits, and calls it f32
            # Pictures come with their colours side by side, and half precision computes fastest so.
            network = network.to(memory_format=torch.channels_last)
        check_rows(spec, 4 + int(getattr(network.model[-1], "nc", -4)))
        self.batch_max, self.in_flight = (BATCH_MAX, LANES) if on_gpu else (1, 1)
        # Each lane has a network of its own: the head keeps the anchors of the last input size.
        networks = [network, *(copy.deepcopy(network) for _ in range(self.in_flight - 1))]
        keep = KEPT if on_gpu and options.hint == "throughput" else None
        self._lanes = Lanes(
            [
                TorchLane(
                    torch, one, self._device, self._dtype, batch_max=self.batch_max, keep=keep, replay=on_gpu
                )
                for one in networks
            ]
        )

    def infer(self, canvases: Image) -> FloatArray:
        """Give the raw output (B, 4 + classes, N); see `Backend`."""
        return self.gather(list(canvases))

    def gather(self, canvases: Sequence[Image]) -> FloatArray:
        """Give the same for canvases that lie apart; see `GatheringBackend`."""
        return self._lanes.infer(canvases, self.batch_max)

    def close(self) -> None:
        """Drop the networks and give their GPU memory back."""
        self._lanes.close()
        if self._device != "cpu":
            self._torch.cuda.empty_cache()

    def _load(self, path: Path, ref: str) -> Any:
        network = read_network(path) if path.suffix == ".onnx" else self._unpickle(path, ref)
        return network.fuse(verbose=False).to(self._device, self._dtype).eval()

    def _unpickle(self, path: Path, ref: str) -> Any:
        # A .pt is a pickle and can run code; `weights` has compared its hash with the one published.
        try:
            checkpoint = self._torch.load(path, map_location="cpu", weights_only=False)
            return (checkpoint.get("ema") or checkpoint["model"]).float()
        except _LOADING_ERRORS as error:
            why = str(error).rstrip(".") or type(error).__name__
            raise Failure(f"{path} of model {ref} is no ultralytics checkpoint: {why}.") from error


def import_torch() -> Any:
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
