"""Move fine-tuned weights part of the way back to the base model: what the base knew is not forgotten.

Source: Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022 (weight-space ensembles).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from training.export import load_checkpoint


def blend(tuned_path: Path, base_path: Path, share: float, target: Path) -> None:
    """Write (1 - share) x tuned + share x base as a checkpoint.

    Both must be the same network but for the classes.

    Raises:
        Failure: a checkpoint is missing.
    """
    tuned, base = load_checkpoint(tuned_path), load_checkpoint(base_path)
    model = tuned.model
    model.load_state_dict(
        blended_state(model.state_dict(), base.model.state_dict(), model.names, base.model.names, share)
    )
    torch.save({"model": model.half(), "ema": None, "train_args": {"task": "detect"}}, target)


def blended_state(
    tuned: Mapping[str, torch.Tensor],
    base: Mapping[str, torch.Tensor],
    tuned_names: Mapping[int, str],
    base_names: Mapping[int, str],
    share: float,
) -> dict[str, torch.Tensor]:
    """Blend two state dicts; of tensors with a row per class only the rows of common class names."""
    of_base = {name: index for index, name in base_names.items()}
    rows = [(index, of_base[name]) for index, name in tuned_names.items() if name in of_base]
    blended: dict[str, Any] = {}
    for key, value in tuned.items():
        other = base[key]
        if not value.is_floating_point():
            blended[key] = value
        elif value.shape == other.shape:
            blended[key] = torch.lerp(value, other.to(value.dtype), share)
        else:
            mixed = value.clone()
            for ours, theirs in rows:
                mixed[ours] = torch.lerp(value[ours], other[theirs].to(value.dtype), share)
            blended[key] = mixed
    return blended
