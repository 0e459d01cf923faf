"""Turn a trained checkpoint into the file the runtime reads: ONNX, with the torch network in its metadata.

The ONNX file takes any batch and any size that is a multiple of the stride, and gives the head's raw output
(B, 4 + classes, N): centre x, centre y, width, height in pixels, then one score per class. Weights are stored
as fp16 and cast to fp32 by the graph: half the bytes, while the runtime folds the casts at load and computes
as it likes.
"""

from __future__ import annotations

import base64
import json
import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from ultralytics import YOLO
from ultralytics import __version__ as ultralytics_version

from detector.backends.onnx_checkpoint import (
    ARCHITECTURE,
    NAMES,
    SIDE_PX,
    UNFUSED,
    read_network,
    stored_as,
    tensors,
)
from detector.errors import Failure
from detector.types import FloatArray
from training.network import as_plain
from training.parity import SCORE_MIN, Parity, compare_outputs, openvino_infer
from training.quantise import CALIBRATION_PICTURES, quantise

OPSET = 17
SMALLEST_HALVED = 256
"""Tensors with fewer elements stay fp32: biases and shape constants, nothing to gain."""

log = logging.getLogger(__name__)


def load_checkpoint(weights: Path) -> Any:
    """Load a checkpoint, or the one inside an ONNX file of ours, as a plain ultralytics model in fp32.

    Raises:
        Failure: the file is missing or is no checkpoint.
    """
    if not weights.is_file():
        raise Failure(f"{weights}: there are no weights here; train first or give another path.")
    if weights.suffix == ".onnx":
        with tempfile.TemporaryDirectory() as scratch:
            return load_checkpoint(as_checkpoint(weights, Path(scratch) / "model.pt"))
    try:
        wrapped = YOLO(str(weights), task="detect")
    except Exception as error:  # a pickle can fail in any way
        raise Failure(
            f"{weights}: is no checkpoint that can be loaded ({type(error).__name__}: {error})."
        ) from error
    wrapped.model = as_plain(wrapped.model.float().eval())
    return wrapped


def as_checkpoint(weights: Path, target: Path) -> Path:
    """Give a .pt that ultralytics reads: `weights` itself, or `target`, written from an ONNX file of ours.

    Raises:
        Failure: the ONNX file is missing or has no network in its metadata.
    """
    if weights.suffix != ".onnx":
        return weights
    if not weights.is_file():
        raise Failure(f"{weights}: there are no weights here; train first or give another path.")
    network = read_network(weights)
    save_slim(network, target, network.args[SIDE_PX])
    return target


def export_onnx(weights: Path, target: Path, side_px: int) -> None:
    """Write the checkpoint as ONNX with fp16 weights, and with all that `read_network` needs.

    Raises:
        Failure: the weights are missing or the graph does not pass ONNX's checker.
    """
    wrapped = load_checkpoint(weights)
    with tempfile.TemporaryDirectory() as scratch:
        slim = Path(scratch) / "model.pt"
        save_slim(wrapped.model, slim, side_px)
        written = YOLO(str(slim), task="detect").export(
            format="onnx", imgsz=side_px, dynamic=True, simplify=False, opset=OPSET, nms=None, device="cpu"
        )
        graph = onnx.load(written)
        unfused = load_checkpoint(slim).model
    halve_weights(graph, unfused)
    del graph.metadata_props[:]  # ultralytics writes the path and date of the run there
    said = {NAMES: ",".join(wrapped.names.values()), "license": "AGPL-3.0-or-later", SIDE_PX: str(side_px)}
    for key, value in {**said, **network_metadata(graph, unfused)}.items():
        graph.metadata_props.add(key=key, value=value)
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as error:
        raise Failure(f"{weights}: the exported graph is not valid ONNX: {error}.") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(graph, str(target))


def halve_weights(model: Any, unfused: Any) -> None:
    """Store large fp32 initialisers as fp16, in place, so that the graph computes with the same numbers.

    Where a convolution was fused with its BatchNorm, the fp16 weights of the checkpoint are stored and the
    BatchNorm's factor per output channel is multiplied on in the graph: rounding the product instead would
    move scores by up to 0.06. What is exact in neither way stays fp32.

    Args:
        model: ONNX model with fused fp32 weights.
        unfused: the network before fusing, whose weights are fp16 numbers.
    """
    factors = batch_norm_factors(unfused)
    raw = {name: value.numpy() for name, value in unfused.state_dict().items()}
    graph, nodes = model.graph, []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALLEST_HALVED:
            continue
        name = tensor.name
        factor = factors.get(name)
        half = (raw[name] if factor is not None else values).astype(np.float16)
        back = half.astype(np.float32) * (1 if factor is None else factor)
        if not np.allclose(back, values, rtol=1e-5, atol=1e-9):
            continue
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.fp16"))
        cast = name if factor is None else f"{name}.fp32"
        nodes.append(helper.make_node("Cast", [f"{name}.fp16"], [cast], f"{name}.cast", to=TensorProto.FLOAT))
        if factor is not None:
            graph.initializer.append(numpy_helper.from_array(factor, f"{name}.factor"))
            nodes.append(helper.make_node("Mul", [cast, f"{name}.factor"], [name], f"{name}.scale"))
    for node in reversed(nodes):
        graph.node.insert(0, node)


def network_metadata(model: Any, unfused: Any) -> dict[str, str]:
    """Give what `read_network` needs beside the initialisers of `model`.

    Args:
        model: ONNX model with its weights as they are stored.
        unfused: the network before fusing, whose weights are fp16 numbers.
    """
    state = {
        key: value.half().numpy() if value.is_floating_point() else value.numpy()
        for key, value in unfused.state_dict().items()
    }
    stored, rest = tensors(model.graph), onnx.GraphProto()
    for key, value in state.items():
        there = stored_as(key, stored)
        if there is None or not np.array_equal(there, value):
            rest.initializer.append(numpy_helper.from_array(value, key))
    architecture = {key: value for key, value in unfused.yaml.items() if key != "yaml_file"}
    made_for = max(len(unfused.names), unfused.model[-1].cv3[0][-1].in_channels)
    architecture["nc"] = made_for  # ultralytics works the head's width out from it
    return {
        ARCHITECTURE: json.dumps(architecture),
        UNFUSED: base64.b64encode(rest.SerializeToString(deterministic=True)).decode(),
    }


def batch_norm_factors(network: Any) -> dict[str, npt.NDArray[np.float32]]:
    """Give what fusing multiplies each convolution's weights by: weight name to float32 (O, 1, 1, 1)."""
    factors = {}
    for name, module in network.named_modules():
        norm = getattr(module, "bn", None)
        if norm is not None and hasattr(module, "conv"):
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            factors[f"{name}.conv.weight"] = factor.detach().numpy().reshape(-1, 1, 1, 1).astype(np.float32)
    return factors


def save_slim(model: Any, target: Path, side_px: int) -> None:
    """Save a checkpoint for inference: fp16, no optimiser, no paths of the machine it was trained on."""
    model = as_plain(model)
    kept = model.args
    model.args = {"task": "detect", "imgsz": side_px}
    model.__dict__.pop("pt_path", None)
    half = model.half()
    for parameter in half.parameters():
        parameter.requires_grad = False
    torch.save(
        {
            "epoch": -1,
            "model": half,
            "ema": None,
            "optimizer": None,
            "train_args": {"task": "detect", "imgsz": side_px},
            "version": ultralytics_version,
            "license": "AGPL-3.0-or-later",
        },
        target,
    )
    model.float()
    model.args = kept


def export_all(
    weights: Path, target: Path, side_px: int, pictures: Sequence[Path], calibration: Sequence[Path]
) -> dict[str, Any]:
    """Write `target` (.onnx) and, with pictures to calibrate on, its INT8 form beside it; compare them.

    Returns:
        onnx, size_bytes; with calibration int8, int8_bytes (.xml and .bin); with pictures parity (checkpoint
        to ONNX) and int8_parity (ONNX to INT8).

    Raises:
        Failure: weights or a picture cannot be read, or nncf is not installed.
    """
    export_onnx(weights, target, side_px)
    report: dict[str, Any] = {"onnx": str(target), "size_bytes": target.stat().st_size}
    if pictures:
        report["parity"] = asdict(measure_parity(weights, target, pictures, side_px))
    if calibration:
        xml = target.with_name(f"{target.stem}-int8.xml")
        every = max(len(calibration) // CALIBRATION_PICTURES, 1)
        quantise(target, xml, calibration[::every][:CALIBRATION_PICTURES], side_px=side_px)
        report["int8"] = str(xml)
        report["int8_bytes"] = sum(xml.with_suffix(suffix).stat().st_size for suffix in (".xml", ".bin"))
        if pictures:
            parity = compare_outputs(openvino_infer(target), openvino_infer(xml), pictures, side_px)
            report["int8_parity"] = asdict(parity)
    return report


def measure_parity(
    weights: Path, onnx_path: Path, pictures: Iterable[Path], side_px: int, score_min: float = SCORE_MIN
) -> Parity:
    """Run checkpoint and ONNX file on the same pictures and give the differences.

    Raises:
        Failure: there is no picture, or one cannot be read.
    """
    model = load_checkpoint(weights).model

    def infer(batch: FloatArray) -> FloatArray:
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(batch))[0].numpy())

    return compare_outputs(infer, openvino_infer(onnx_path), pictures, side_px, score_min)
