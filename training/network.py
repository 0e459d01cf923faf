"""The network as it is trained: bf16 forward pass, fp32 loss, on the CPU or a GPU."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.loss import E2ELoss

from detector.errors import Failure, WrongUse
from training.loss import StreetLoss


class Bf16Model(DetectionModel):  # type: ignore[misc]
    """A detection model with this project's loss, whose training forward pass runs in bf16.

    On a chip with avx512_bf16 a step takes 0.44 of the fp32 time together with channels_last memory (Zen 5,
    448 px). Boxes are decoded in the loss, where 8 bits of mantissa would move an edge by two pixels:
    predictions are made fp32 first.
    """

    def loss(self, batch: dict[str, Any], preds: Any = None) -> Any:
        """Give the summed loss and its parts for one batch."""
        if preds is None:
            wanted = getattr(self, "bf16", True)
            with torch.autocast(batch["img"].device.type, torch.bfloat16, enabled=wanted):
                preds = self.forward(batch["img"])
            preds = as_float32(preds)
        return super().loss(batch, preds)

    def init_criterion(self) -> Any:
        """Give this project's loss; networks with a one-to-one head get it twice, as ultralytics does."""
        twin = getattr(self.model[-1], "one2one_cv2", None) is not None
        return E2ELoss(self, StreetLoss) if twin else StreetLoss(self)


class Teacher:
    """A frozen model that looks at every training picture and says what it would have said.

    Args:
        model: the base model or an earlier version of ours, fp32.
        ours: names of the classes that are trained, in the order of the output.
        aliases: the teacher's class name to ours, for those that it teaches.
    """

    def __init__(self, model: Any, ours: Sequence[str], aliases: Mapping[str, str]) -> None:
        """Freeze the model and find the common classes."""
        self._model = model.eval().to(memory_format=torch.channels_last)
        for parameter in self._model.parameters():
            parameter.requires_grad = False
        pairs = [(i, ours.index(aliases[n])) for i, n in model.names.items() if aliases.get(n) in ours]
        self._rows, self.of = [row for row, _ in pairs], [index for _, index in pairs]

    def look(self, pictures: torch.Tensor) -> dict[str, Any]:
        """Give `scores`, `of` and `boxes` as StreetLoss wants them for pictures (B, 3, H, W) in [0, 1]."""
        self._model.to(pictures.device)  # stays there: nothing moves from the second picture on
        with torch.no_grad(), torch.autocast(pictures.device.type, torch.bfloat16):
            raw = self._model(pictures)[1]
        raw = as_float32(raw.get("one2many", raw))
        return {"scores": raw["scores"][:, self._rows], "of": self.of, "boxes": raw["boxes"]}


def device_of(wanted: str) -> str:
    """Give the device to train on: `auto` is the first NVIDIA GPU, the CPU where there is none.

    Raises:
        WrongUse: `wanted` is none of auto, cpu, cuda and cuda:N.
        Failure: a GPU is asked for and not there.
    """
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", wanted)
    if not match:
        raise WrongUse(f"device {wanted!r}: wanted auto, cpu, cuda or cuda:N.")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and not there):
        return "cpu"
    number = int(match[1] or 0)
    if number >= there:
        raise Failure(f"device {wanted}: torch {torch.__version__} sees {there} NVIDIA GPUs here; take cpu.")
    return f"cuda:{number}"


def as_float32(value: Any) -> Any:
    """Cast every tensor in a nest of dicts, lists and tuples to fp32."""
    if isinstance(value, torch.Tensor):
        return value.float()
    if isinstance(value, dict):
        return {key: as_float32(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(as_float32(item) for item in value)
    return value


def as_plain(model: Any) -> DetectionModel:
    """Turn a trained model back into ultralytics' own class, so that it loads without this project."""
    if isinstance(model, Bf16Model):
        model.__class__ = DetectionModel
    model.criterion = None
    for ours in ("distil", "bf16", "class_weight"):
        model.__dict__.pop(ours, None)
    return model
