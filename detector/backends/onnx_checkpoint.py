"""The torch network inside one of our ONNX files: a version needs no second file for GPUs and training.

The graph has BatchNorm folded into its convolutions. `kerbwatch export` therefore keeps in the file's
metadata what the graph does not say: how the network is built, and those tensors of the checkpoint that are
not among the initialisers bit for bit.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from detector.errors import Failure

ARCHITECTURE, UNFUSED, NAMES, SIDE_PX = "architecture", "unfused", "names", "imgsz"
"""Keys of the metadata: JSON of ultralytics' model yaml (with the `nc` that the head was made for), base64
of an ONNX GraphProto with the tensors as initialisers, class names with commas between, side trained at in
px."""

Array = npt.NDArray[Any]


def read_network(path: Path) -> Any:
    """Build the network before fusing: fp32, in evaluation mode, its numbers those of the fp16 checkpoint.

    Raises:
        Failure: torch, ultralytics or onnx is not installed, or the file is no ONNX file, has no such
            metadata or contradicts itself.
    """
    onnx, torch, tasks = _import()
    from google.protobuf.message import DecodeError  # comes with onnx

    try:
        model = onnx.load(str(path))
    except (DecodeError, OSError) as error:
        raise Failure(f"{path} cannot be read as ONNX: {error}.") from error
    said = {entry.key: entry.value for entry in model.metadata_props}
    if missing := [key for key in (ARCHITECTURE, UNFUSED, NAMES, SIDE_PX) if key not in said]:
        raise Failure(
            f"{path} holds a graph only, not the network that torch needs (metadata {', '.join(missing)}): "
            "give its checkpoint (.pt), or export that again with `kerbwatch export`."
        )
    try:
        network = tasks.DetectionModel(json.loads(said[ARCHITECTURE]), verbose=False)
        network.names = dict(enumerate(said[NAMES].split(",")))
        set_classes(network, torch.nn.Conv2d)
        unfused = onnx.GraphProto.FromString(base64.b64decode(said[UNFUSED]))
        stored = tensors(model.graph)
        state = {key: stored_as(key, stored) for key in network.state_dict()} | tensors(unfused)
        network.load_state_dict(
            {key: torch.from_numpy(value.copy()) for key, value in state.items() if value is not None}
        )
        network.args = {"task": "detect", SIDE_PX: int(said[SIDE_PX])}
    except (AttributeError, DecodeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip().rstrip(".")
        raise Failure(f"{path}: its metadata and its weights do not fit together ({why}).") from error
    network.task = "detect"
    return network.float().eval()


def set_classes(network: Any, convolution: Any) -> None:
    """Give the head an output per class name, at the width it was made with.

    A fine-tuned head keeps the inner width of the classes it was first made for (80 of COCO), which
    ultralytics would work out anew from the number of classes.
    """
    head, classes = network.model[-1], len(network.names)
    for branch in (head.cv3, getattr(head, "one2one_cv3", None)):
        for level in branch or ():
            level[-1] = convolution(level[-1].in_channels, classes, 1)
    head.nc, head.no = classes, classes + 4 * head.reg_max
    network.nc = network.yaml["nc"] = classes


def tensors(graph: Any) -> dict[str, Array]:
    """Give the initialisers of an ONNX graph by name."""
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def stored_as(key: str, stored: Mapping[str, Array]) -> Array | None:
    """Find a tensor of the network among the graph's initialisers, those as fp16 first.

    >>> stored_as("a", {"a": "as fp32", "a.fp16": "as fp16"}), stored_as("b", {})
    ('as fp16', None)
    """
    return stored.get(f"{key}.fp16", stored.get(key))


def _import() -> tuple[Any, Any, Any]:
    """Import onnx, torch and ultralytics.nn.tasks.

    Raises:
        Failure: one is not installed.
    """
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # a detector does not install packages
    os.environ.setdefault("YOLO_OFFLINE", "1")
    try:
        import onnx
        import torch
        from ultralytics.nn import tasks
    except ImportError as error:
        raise Failure(
            "reading a torch network from an ONNX file needs torch, ultralytics and onnx "
            f"({error}): pip install 'kerbwatch[train]'."
        ) from None
    return onnx, torch, tasks
