"""The loss of a street model: what nobody labelled is not punished, and what the base knew is kept.

Four things are added to ultralytics' detection loss:

- Labels of a class index of `classes` or more are *ignored regions*, not things: `classes + c` for class c,
  `2 * classes` for every class. They travel through mosaics and other augmentation as boxes do. Places
  inside take no classification loss for that class, unless a real label claims the place.
- Frozen teachers (the base model, perhaps an earlier version of our own) see the same augmented picture. For
  the classes that one knows, the student's scores are drawn towards the teacher's at every place, and its box
  distributions where the teacher sees something.
- A class may weigh more than the others in the classification loss, for one that has few examples.
- Places that a label of a class unknown to a teacher has claimed are left alone by it: the base calls a
  tricycle a car.

Source: Li and Hoiem, Learning without Forgetting, ECCV 2016; Wu et al., Soft Sampling for Robust Object
Detection, BMVC 2019 (unlabelled regions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional
from ultralytics.utils.loss import v8DetectionLoss
from ultralytics.utils.tal import make_anchors

from detector.errors import WrongUse

TEACHER_SEES = 0.1
"""Teacher's score from which a place's box distribution is taught too."""


class StreetLoss(v8DetectionLoss):  # type: ignore[misc]
    """ultralytics' loss with ignored regions and teachers.

    The batch may carry `teachers`, a list of what each has seen: `scores` (B, K, A), logits of its classes
    that are ours, `of`, the K class indices of ours, and `boxes` (B, 4 x reg_max, A).
    """

    def __init__(self, model: Any, tal_topk: int = 10, tal_topk2: int | None = None) -> None:
        """Prepare for `model`; its attribute `distil` weighs each teacher (0 for none)."""
        super().__init__(model, tal_topk, tal_topk2)
        self.bce = self._masked_bce
        self._distil = float(getattr(model, "distil", 0.0)) if tal_topk2 is None else 0.0
        self._class_weights = class_weights(getattr(model, "class_weight", {}), model.names)
        self._weights: torch.Tensor | None = None
        self._targets: torch.Tensor | None = None

    def get_assigned_targets_and_loss(
        self, preds: dict[str, torch.Tensor], batch: dict[str, Any], **kwargs: Any
    ) -> tuple[Any, torch.Tensor, dict[str, torch.Tensor]]:
        """Give assigned targets, the loss (box, cls, dfl) and its detached parts for one batch."""
        things, ignored = split_ignored(batch, self.nc)
        points, stride = make_anchors(preds["feats"], self.stride, 0.5)
        side = torch.tensor(preds["feats"][0].shape[2:], device=points.device) * self.stride[0]
        free = ignore_weights(ignored, points * stride, side, len(preds["scores"]), self.nc)
        self._weights = free * self._class_weights.to(free.device)
        assigned, loss, _ = super().get_assigned_targets_and_loss(preds, things, **kwargs)
        for seen in batch.get("teachers", ()) if self._distil else ():
            cls, dfl = self._from_teacher(preds, seen)
            loss = loss + self._distil * torch.stack(
                [torch.zeros_like(cls), self.hyp.cls * cls, self.hyp.dfl * dfl]
            )
        return assigned, loss, dict(zip(self.loss_names, loss.detach(), strict=True))

    def _masked_bce(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Give the loss of every place and class (B, A, C); ignored ones count nothing."""
        self._targets = targets
        loss = functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
        every = self._class_weights.to(targets.device).expand_as(targets)
        return loss * torch.where(targets > 0, every, self._weights)

    def _from_teacher(
        self, preds: dict[str, torch.Tensor], seen: Mapping[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the distance to a teacher: of scores, and of box distributions."""
        known = seen["of"]
        others = [index for index in range(self.nc) if index not in known]
        claimed = self._targets[..., others].amax(-1) > 0 if others else None  # type: ignore[index]
        return distance_to_teacher(
            preds["scores"][:, known],
            preds["boxes"],
            seen["scores"],
            seen["boxes"],
            claimed,
            self.reg_max,
        )


def split_ignored(batch: Mapping[str, Any], classes: int) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Tell things from ignored regions: the batch with things only; batch_idx, cls, bboxes of the regions."""
    region = batch["cls"].view(-1) >= classes
    keys = ("batch_idx", "cls", "bboxes")
    things = {**batch, **{key: batch[key][~region] for key in keys}}
    return things, {key: batch[key][region] for key in keys}


def class_weights(wanted: Mapping[str, float], names: Mapping[int, str]) -> torch.Tensor:
    """Give (C,) the weight of each class in the classification loss: 1 where none is wanted.

    >>> class_weights({"wire": 3.0}, {0: "car", 1: "wire"}).tolist()
    [1.0, 3.0]

    Raises:
        WrongUse: a name is no class of the model.
    """
    if unknown := sorted(set(wanted) - set(names.values())):
        raise WrongUse(
            f"class_weight: {unknown[0]} is no class of this model; write it as classes.toml does."
        )
    return torch.tensor([float(wanted.get(names[index], 1.0)) for index in sorted(names)])


def ignore_weights(
    ignored: Mapping[str, torch.Tensor], points: torch.Tensor, side: torch.Tensor, pictures: int, classes: int
) -> torch.Tensor:
    """Give (B, A, C) ones, and zeros at the places inside an ignored region, for its class.

    Args:
        ignored: batch_idx (N,), cls (N, 1) from `classes` on, bboxes (N, 4) centre and size as fractions.
        points: (A, 2) x, y of the places in pixels.
        side: (2,) height and width in pixels.
        pictures: B.
        classes: C.
    """
    weights = torch.ones(pictures, len(points), classes, device=points.device)
    scale = side.flip(0).to(points.dtype)
    for picture, label, box in zip(
        ignored["batch_idx"].long().tolist(),
        ignored["cls"].view(-1).long().tolist(),
        ignored["bboxes"],
        strict=True,
    ):
        middle, half = box[:2] * scale, box[2:] * scale / 2
        inside = ((points >= middle - half) & (points <= middle + half)).all(1)
        if label >= 2 * classes:
            weights[picture, inside] = 0
        else:
            weights[picture, inside, label - classes] = 0
    return weights


def distance_to_teacher(
    scores: torch.Tensor,
    boxes: torch.Tensor,
    teacher_scores: torch.Tensor,
    teacher_boxes: torch.Tensor,
    claimed: torch.Tensor | None,
    reg_max: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give two distances, each per unit of what the teacher sees.

    Args:
        scores: (B, K, A) logits of the student for the classes that the teacher knows.
        boxes: (B, 4 x reg_max, A) the student's box logits.
        teacher_scores: (B, K, A) logits of the teacher.
        teacher_boxes: as `boxes`.
        claimed: (B, A) places that belong to a class the teacher does not know; None for none.
        reg_max: bins of a side's distribution; with 1 the sides are regressed and L1 is taken.
    """
    wanted = teacher_scores.sigmoid()
    free = torch.ones_like(wanted[:, 0]) if claimed is None else (~claimed).to(wanted.dtype)
    total = (wanted * free[:, None]).sum().clamp(min=1)
    loss = functional.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
    floor = functional.binary_cross_entropy_with_logits(teacher_scores, wanted, reduction="none")
    score_distance = ((loss - floor) * free[:, None]).sum() / total
    strength = wanted.amax(1) * free
    strength = torch.where(strength >= TEACHER_SEES, strength, torch.zeros_like(strength))
    seen = strength > 0
    if not bool(seen.any()):
        return score_distance, scores.new_zeros(())
    ours, theirs = (_sides(one, seen, reg_max) for one in (boxes, teacher_boxes))
    if reg_max == 1:
        each = (ours - theirs).abs().mean((1, 2))
    else:
        each = functional.kl_div(ours.log_softmax(-1), theirs.softmax(-1), reduction="none").sum(-1).mean(-1)
    weight = strength[seen]
    return score_distance, (each * weight).sum() / weight.sum().clamp(min=1)


def _sides(boxes: torch.Tensor, seen: torch.Tensor, reg_max: int) -> torch.Tensor:
    """Give the box logits of the places `seen` (B, A) as (n, 4, reg_max)."""
    return boxes.permute(0, 2, 1)[seen].view(-1, 4, reg_max)


def rows_of(names: Mapping[int, str], wanted: Sequence[str]) -> dict[str, int]:
    """Give the class index of every wanted name that a model has."""
    by_name = {name: index for index, name in names.items()}
    return {name: by_name[name] for name in wanted if name in by_name}
