"""Let ultralytics import a torchvision whose compiled operators cannot be loaded.

The torchvision wheel of the public index is built against CUDA torch. Beside a CPU-only torch its `_C`
library does not load, and importing it stops at "operator torchvision::nms does not exist". Detection needs
two operator names to exist and one of them, `nms`, to work, so both are registered here in plain torch. Where
torchvision is whole nothing is changed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_LIBRARY: list[torch.library.Library] = []  # a registration lives as long as its Library object


def greedy_nms(boxes: Tensor, scores: Tensor, iou_max: float) -> Tensor:
    """Return the indices of the boxes that survive, best score first.

    `boxes` (N, 4) xyxy, `scores` (N,). The IoU matrix is built once, so memory is N squared.
    """
    order = scores.argsort(descending=True, stable=True)
    if order.numel() < 2:
        return order
    ranked = boxes[order].float()
    area = (ranked[:, 2:] - ranked[:, :2]).clamp(min=0).prod(1)
    corner_low = torch.maximum(ranked[:, None, :2], ranked[None, :, :2])
    corner_high = torch.minimum(ranked[:, None, 2:], ranked[None, :, 2:])
    shared = (corner_high - corner_low).clamp(min=0).prod(2)
    overlaps = (shared > iou_max * (area[:, None] + area[None, :] - shared)).numpy()
    alive = [True] * len(order)
    for index in range(len(order)):
        if alive[index]:
            for other in overlaps[index, index + 1 :].nonzero()[0]:
                alive[index + 1 + int(other)] = False
    return order[torch.tensor(alive)]


def install() -> bool:
    """Make `import ultralytics` safe; call it before. Gives True if operators had to be registered.

    ultralytics is told neither to install packages nor to look for the network.

    Raises:
        ImportError: torchvision is not installed at all.
    """
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "1")
    if _LIBRARY or hasattr(torch.ops.torchvision, "nms"):
        return False
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        message = "torchvision is not installed: pip install 'kerbwatch[train]'"
        raise ImportError(message)
    if _native_operators(Path(found.origin).parent):
        return False
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    library.impl("nms", greedy_nms, "CPU")
    _LIBRARY.append(library)
    _skip_operator_check()
    return True


def _native_operators(folder: Path) -> bool:
    """Try torchvision's own compiled library."""
    for binary in folder.glob("_C*"):
        try:
            torch.ops.load_library(str(binary))
        except OSError:
            continue
        return True
    return False


def _skip_operator_check() -> None:
    """Make torchvision believe its operators are there: those that ultralytics calls now are."""
    for name in ("torchvision.extension", "torchvision.ops.boxes"):
        module = importlib.import_module(name)
        if hasattr(module, "_assert_has_ops"):
            setattr(module, "_assert_has_ops", lambda: None)  # noqa: B010 - typed checkers do not know it
