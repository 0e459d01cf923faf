"""Quantise an exported network to INT8, calibrated on real pictures: ONNX in, OpenVINO .xml and .bin out.

Post-training quantisation by NNCF: weights per output channel, activations per tensor, biases corrected by
what the calibration pictures show. What turns the head's numbers into boxes always stays in floating point:
pixels up to 640 and scores share a tensor there. Where the result is worse than asked for, more layers stay
(SCOPES). Needs nncf and onnx, no torch.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from detector.backends.onnx import network_input
from detector.backends.openvino import import_openvino
from detector.errors import Failure, WrongUse
from detector.letterbox import letterbox
from detector.types import FloatArray
from training.evaluate import read_picture
from training.yolo_data import read_data_set

SIDE_PX, STRIDE_PX = 640, 32
CALIBRATION_PICTURES = 300
DROP_MAX = 0.01
"""Of mAP50, a fraction: the most that INT8 may cost."""

SCOPES: tuple[tuple[str, str], ...] = (
    ("decoding", r"/model\.{head}/(?!(?:one2one_)?cv[23]\.)"),
    ("last convolutions", r"/model\.{head}/((?:one2one_)?cv[23])\.(\d)/\1\.\2\.2/"),
    ("attention", r"/.*/attn/"),
    ("head", r"/model\.{head}/"),
)
"""What stays in floating point, in the order in which it is added; {head} is the last module's number."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Which pictures the ranges of the activations were taken from.

    Args:
        files: the pictures, in the order they were shown.
        sets: name of the set to how many of them it gave.
        seed: of the draw.
    """

    files: tuple[Path, ...]
    sets: dict[str, int]
    seed: int

    def as_json(self) -> dict[str, Any]:
        """Give what metrics.json says about them: `sha256` is that of the file names, a line each."""
        names = "".join(f"{file.name}\n" for file in self.files)
        return {
            "pictures": len(self.files),
            "sets": self.sets,
            "seed": self.seed,
            "sha256": hashlib.sha256(names.encode()).hexdigest(),
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """One quantisation that was measured.

    Args:
        kept: parts of SCOPES that stayed in floating point.
        drop_map50: how much worse than the float network it is, a fraction; negative is better.
    """

    kept: tuple[str, ...]
    drop_map50: float


def draw_calibration(
    data_root: Path, folders: Iterable[str], count: int = CALIBRATION_PICTURES, seed: int = 0
) -> Calibration:
    """Draw pictures from the train lists of several sets, about as many from each.

    Raises:
        WrongUse: a set has no train list.
        Failure: no set has a picture.
    """
    draw = random.Random(seed)  # noqa: S311 - a draw, not a secret
    lists = {name: read_data_set(data_root / name / "data.yaml", "train").pictures for name in folders}
    chosen: dict[str, list[Path]] = {}
    left = count
    for place, name in enumerate(sorted(lists, key=lambda each: (len(lists[each]), each))):
        share = min(left // (len(lists) - place), len(lists[name]))
        chosen[name] = draw.sample(sorted(lists[name]), share)
        left -= share
    files = tuple(file for name in sorted(chosen) for file in chosen[name])
    if not files:
        raise Failure(f"{data_root}: there is no train picture to calibrate on; name sets that have some.")
    return Calibration(files, {name: len(chosen[name]) for name in sorted(chosen)}, seed)


def quantise_within(
    onnx_path: Path,
    target: Path,
    calibration: Sequence[Path],
    drop_of: Callable[[Path], float],
    drop_max: float = DROP_MAX,
) -> list[Attempt]:
    """Quantise, keeping as few parts in floating point as the accuracy allows.

    Args:
        onnx_path: the network, as `training.export` writes it.
        target: the .xml to write, its .bin beside it; not there afterwards if no attempt was good enough.
        calibration: pictures.
        drop_of: measures an .xml: mAP50 of the float network less its own.
        drop_max: the largest drop to accept.

    Returns:
        What was tried; the last one is what `target` holds, if its drop is accepted.

    Raises:
        Failure: nncf is not installed, or the network or a picture cannot be read.
    """
    tried = []
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".quantising-") as scratch:
        for count in range(1, len(SCOPES) + 1):
            kept = tuple(name for name, _ in SCOPES[:count])
            candidate = Path(scratch) / f"{count}" / target.name
            quantise(onnx_path, candidate, calibration, kept)
            tried.append(Attempt(kept, drop_of(candidate)))
            if tried[-1].drop_map50 <= drop_max:
                for suffix in (".xml", ".bin"):
                    shutil.move(candidate.with_suffix(suffix), target.with_suffix(suffix))
                break
    return tried


def quantise(
    onnx_path: Path,
    target: Path,
    calibration: Sequence[Path],
    kept: Iterable[str] = ("decoding",),
    side_px: int = SIDE_PX,
) -> None:
    """Write `target` (.xml) and its .bin.

    Args:
        onnx_path: the network, as `training.export` writes it.
        target: the .xml.
        calibration: pictures, brought to the network's size as at run time.
        kept: parts of SCOPES that stay in floating point.
        side_px: longest side of the network's input.

    Raises:
        Failure: nncf is not installed, or the network or a picture cannot be read.
    """
    nncf, openvino = _import_nncf(), import_openvino()
    if unknown := set(kept) - {name for name, _ in SCOPES}:
        raise WrongUse(f"{unknown.pop()!r} is no part of a network; choose {', '.join(dict(SCOPES))}.")
    network = _read(onnx_path)
    advanced = nncf.AdvancedQuantizationParameters(
        # Weights in all 8 bits: in 7, for chips that would saturate, scores move twice as far
        # (those chips compute in f32 unless asked, see detector.backends.chip).
        overflow_fix=nncf.OverflowFix.FIRST_LAYER
    )
    quantised = nncf.quantize(
        network,
        nncf.Dataset(list(calibration), partial(canvas_of, side_px=side_px)),
        subset_size=len(calibration),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=names_of(_operations(network), kept), validate=False),
        advanced_parameters=advanced,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(quantised, target, compress_to_fp16=True)
    tidy(target)


def canvas_of(picture: Path, side_px: int = SIDE_PX) -> FloatArray:
    """Read a picture as the network is given it at run time: float32 (1, 3, h, w)."""
    canvas, _ = letterbox(read_picture(picture), side_px, STRIDE_PX)
    return network_input(canvas[None])


def names_of(operations: Sequence[str], kept: Iterable[str]) -> list[str]:
    """Give the operations that belong to the parts `kept`.

    >>> head = ["/model.9/cv2.0/cv2.0.0/conv/Conv", "/model.9/cv2.0/cv2.0.2/Conv", "/model.9/dfl/conv/Conv"]
    >>> names_of(head, ["decoding"])
    ['/model.9/dfl/conv/Conv']
    >>> names_of(head, ["last convolutions"])
    ['/model.9/cv2.0/cv2.0.2/Conv']
    """
    modules = [int(number) for name in operations for number in re.findall(r"^/model\.(\d+)/", name)]
    if not modules:
        raise Failure("the network's operations have no names of modules; export it with `kerbwatch export`.")
    patterns = [dict(SCOPES)[part].replace("{head}", str(max(modules))) for part in kept]
    return [name for name in operations if any(re.match(pattern, name) for pattern in patterns)]


def tidy(xml: Path) -> None:
    """Take out of an .xml what says nothing about the network: tools, settings, running numbers."""
    tree = ET.parse(xml)  # noqa: S314 - written a moment ago by OpenVINO
    root = tree.getroot()
    for element in root.iter():
        element.text = (element.text or "").strip() or None
        element.tail = None
    for info in root.findall("rt_info"):
        root.remove(info)
    for layer in root.iter("layer"):
        if not layer.get("name", "").startswith("/"):  # numbered by a counter of the process
            layer.set("name", f"{layer.get('type')}_{layer.get('id')}")
    root.set("name", xml.stem)
    tree.write(xml, encoding="utf-8", xml_declaration=True)


def _with_plain_weights(path: Path) -> bytes:
    """Give the ONNX file with weights as plain fp32: NNCF stores as INT8 only what it finds as a constant.

    Undoes `training.export.halve_weights`: a Cast and a factor per channel follow every fp16 weight.
    """
    import onnx

    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf fails in its own ways
        raise Failure(f"{path}: is no ONNX file that can be read ({type(error).__name__}).") from error
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        stored = node.name.endswith((".cast", ".scale")) and node.op_type in {"Cast", "Mul"}
        if stored and all(name in tensors for name in node.input):
            values = [onnx.numpy_helper.to_array(tensors[name]).astype(np.float32) for name in node.input]
            tensors[node.output[0]] = onnx.numpy_helper.from_array(_product(values), node.output[0])
            graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    del graph.initializer[:]
    graph.initializer.extend(tensor for name, tensor in tensors.items() if name in used)
    content: bytes = model.SerializeToString()
    return content


def _read(path: Path) -> Any:
    """Read the network with OpenVINO's converter, which folds constants: NNCF finds biases only then."""
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        plain.write_bytes(_with_plain_weights(path))
        try:
            return import_openvino().convert_model(plain)
        except RuntimeError as error:
            raise Failure(f"{path}: cannot be read by OpenVINO; export it again.") from error


def _product(values: Sequence[FloatArray]) -> FloatArray:
    whole = values[0]
    for value in values[1:]:
        whole = whole * value
    return whole


def _operations(network: Any) -> list[str]:
    return [one.get_friendly_name() for one in network.get_ops() if one.get_type_name() != "Constant"]


def _import_nncf() -> Any:
    """Import NNCF without its telemetry, which would report every call to Google Analytics.

    Raises:
        Failure: it is not installed.
    """
    import_openvino()
    hidden = "openvino_telemetry" not in sys.modules
    if hidden:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python's way to say "not installed"
    try:
        import nncf
    except ImportError as error:
        raise Failure(
            f"{error.name or error} is not installed; INT8 needs: pip install 'kerbwatch[train]'."
        ) from error
    finally:
        if hidden:
            del sys.modules["openvino_telemetry"]
    nncf.set_log_level(logging.WARNING)  # it names every operation that it leaves alone
    return nncf
