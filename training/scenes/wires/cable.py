"""Cables: what they look like, and how one is painted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.wires.catenary import Points
from training.scenes.wires.paint import Canvas, Colour, Floats, Patch, softened, stroke

TRAIN_COLOURS: tuple[tuple[float, Colour], ...] = (
    (0.30, (225, 228, 228)),  # white
    (0.34, (38, 36, 36)),  # black
    (0.10, (140, 140, 138)),  # grey
    (0.12, (30, 110, 225)),  # orange, extension leads
    (0.14, (45, 40, 190)),  # red
)
VAL_COLOURS: tuple[tuple[float, Colour], ...] = (
    (0.26, (196, 214, 224)),  # ivory
    (0.28, (72, 58, 52)),  # blue black
    (0.12, (60, 190, 215)),  # yellow
    (0.12, (150, 95, 40)),  # blue
    (0.12, (48, 72, 105)),  # brown
    (0.10, (85, 120, 60)),  # green
)
"""Shares and BGR; no colour is on both lists, so that val shows cables that training did not."""

LEAST_PX, MOST_PX = 0.75, 4.2


@dataclass(frozen=True, slots=True)
class Cable:
    """One cable's look.

    Args:
        colour: BGR.
        thick_m: diameter.
        strands: how many run side by side, 1 to 3.
        twisted: strands wind about each other (val only).
    """

    colour: Colour
    thick_m: float
    strands: int
    twisted: bool = False


def any_cable(rng: np.random.Generator, split: str) -> Cable:
    """Draw a cable of the split's own colours, thicknesses and bundles."""
    palette = TRAIN_COLOURS if split == "train" else VAL_COLOURS
    shares = np.array([share for share, _ in palette])
    base = palette[int(rng.choice(len(palette), p=shares / shares.sum()))][1]
    b, g, r = (float(np.clip(v + rng.normal(0, 7), 5, 250)) for v in base)
    if split == "train":
        return Cable((b, g, r), rng.uniform(0.008, 0.018), int(rng.choice([1, 2, 3], p=[0.72, 0.2, 0.08])))
    strands = int(rng.choice([1, 2], p=[0.65, 0.35]))
    return Cable((b, g, r), rng.uniform(0.007, 0.02), strands, strands > 1 and rng.random() < 0.6)


def widths(cable: Cable, scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """Width in pixels (n,) where a metre has scales (n,) pixels; never too thin to be seen."""
    return np.clip(cable.thick_m * scales, LEAST_PX, MOST_PX)


def contrast(picture: Floats, curve: Points, colour: Colour) -> float:
    """Mean difference in grey levels between a colour and the picture (H, W, 3) along a curve."""
    h, w = picture.shape[:2]
    inside = (curve[:, 0] >= 0) & (curve[:, 0] < w) & (curve[:, 1] >= 0) & (curve[:, 1] < h)
    at = curve[inside].astype(int)
    if len(at) == 0:
        return 0.0
    return float(np.abs(picture[at[:, 1], at[:, 0]].mean(1) - np.mean(colour)).mean())


def strand_curves(
    cable: Cable, curve: Points, wide: NDArray[np.float64], rng: np.random.Generator
) -> list[Points]:
    """Curves of the strands of a bundle; they part a little on the way and meet at both ends."""
    if cable.strands == 1:
        return [curve]
    n = len(curve)
    along = np.gradient(curve, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.maximum(np.hypot(*along.T), 1e-6)[:, None]
    fade = np.sin(np.linspace(0, np.pi, n)) ** 0.5
    if cable.twisted:
        turns = np.linspace(0, float(np.hypot(*along.T).sum()) / (7 * wide.mean()) * np.pi, n)
        return [curve + normal * (side * wide * 0.6 * np.cos(turns))[:, None] for side in (-1, 1)]
    curves = []
    for k in range(cable.strands):
        drift = np.interp(np.arange(n), np.linspace(0, n - 1, 5), rng.normal(0, 0.5, 5))
        off = (k - (cable.strands - 1) / 2) * wide * 1.15 + fade * wide * drift
        curves.append(curve + normal * off[:, None])
    return curves


def shaded(patch: Patch, colour: Colour, light: Floats, rng: np.random.Generator) -> Floats:
    """Colour (h, w, 3) of a cable under a patch: the place's own light (H, W), and bends in it."""
    h, w = patch.cover.shape
    if h == 0 or w == 0:
        return np.zeros((h, w, 3), np.float32)
    coarse = rng.normal(1, 0.11, (max(h // 24, 2), max(w // 24, 2))).astype(np.float32)
    bends = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray((light[patch.window] * bends)[..., None] * np.array(colour, np.float32), np.float32)


def paint_cable(
    canvas: Canvas,
    cable: Cable,
    curve: Points,
    wide: NDArray[np.float64],
    light: Floats,
    rng: np.random.Generator,
    track: int | None = None,
    *,
    own: bool = True,
) -> int | None:
    """Paint a cable along a curve; `own` pixels count for its box, others (coil, leads) do not."""
    for strand in strand_curves(cable, curve, wide, rng):
        patch = stroke(strand, wide, canvas.shape)
        if patch.cover.size == 0:
            continue
        colour = shaded(patch, cable.colour, light, rng)
        if own:
            track = canvas.paint_wire(patch, colour, track)
        else:
            canvas.paint_part_of_wire(patch, colour)
        _highlight(canvas, strand, wide)
    return track


def _highlight(canvas: Canvas, curve: Points, wide: NDArray[np.float64]) -> None:
    """Where it is thick enough to be seen: light on the upper side, shade on the lower."""
    if float(wide.mean()) < 1.8:
        return
    upper = stroke(curve - np.array([0, 0.25]), wide * 0.3, canvas.shape)
    lower = stroke(curve + np.array([0.2, 0.4]), wide * 0.3, canvas.shape)
    canvas.seen[upper.window] += 26 * upper.cover[..., None]
    canvas.seen[lower.window] *= 1 - 0.3 * lower.cover[..., None]


def cast_shadow(
    canvas: Canvas, curve: Points, wide: NDArray[np.float64], off: tuple[float, float], strength: float
) -> None:
    """Darken the wall beside a cable: `off` pixels at its far end, none where it leaves the wall."""
    share = np.linspace(0, 1, len(curve))[:, None]
    fallen = stroke(curve + share * np.array(off), wide * 1.2, canvas.shape)
    canvas.shade_by_wire(softened(fallen, 0.6 + 0.25 * float(wide.mean()), canvas.shape), strength)
