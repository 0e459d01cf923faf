"""How a cable hangs: curves in the picture plane, pixels, y down. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Point = tuple[float, float]

STEEPEST = 0.01
"""Least horizontal share of the chord that is solved for; a steeper cable is sheared from this."""


def catenary(start: Point, end: Point, slack: float, n: int = 48) -> Points:
    """Give n points (n, 2), evenly spaced along a cable that hangs from start to end.

    Args:
        start: one end, x and y in pixels.
        end: the other end.
        slack: by which share the cable is longer than the straight line, above 0.
        n: number of points, at least 2.

    Source: the chain of uniform weight, y = a cosh((x - m) / a) + c; a from sinh(z) / z by Newton's method.

    >>> catenary((0, 0), (10, 0), 0.1, 3).round(1).tolist()
    [[0.0, 0.0], [5.0, 2.0], [10.0, 0.0]]

    Raises:
        ValueError: slack is not above 0, or the ends coincide.
    """
    along, drop = end[0] - start[0], start[1] - end[1]
    chord = float(np.hypot(along, drop))
    if slack <= 0 or chord == 0:
        raise ValueError(f"a cable needs slack above 0 and two ends; got {slack} over {chord} pixels")
    side = -1.0 if along < 0 else 1.0
    width = max(abs(along), STEEPEST * chord)
    length = max(chord, float(np.hypot(width, drop))) * (1 + slack)
    a = width / (2 * _half_span(float(np.sqrt(length**2 - drop**2)) / width))
    middle = width / 2 - a * np.arctanh(drop / length)
    first, last = a * np.sinh((0 - middle) / a), a * np.sinh((width - middle) / a)
    s = np.linspace(first, last, n)
    x = middle + a * np.arcsinh(s / a)
    rise = np.hypot(a, s) - np.hypot(a, first)
    share = (x / width)[:, None]
    curve = np.stack([start[0] + side * x, start[1] - rise], 1)
    off = np.array([end[0] - start[0] - side * width, 0.0]) * share
    curve = curve + off
    curve[0], curve[-1] = start, end
    return np.asarray(curve, np.float64)


def _half_span(ratio: float) -> float:
    """Solve sinh(z) / z = ratio for z above 0; ratio is above 1.

    >>> z = _half_span(1.5)
    >>> round(float(np.sinh(z) / z), 6)
    1.5
    """
    z = np.sqrt(6 * (ratio - 1)) if ratio < 3 else np.log(2 * ratio) + np.log(np.log(2 * ratio))
    for _ in range(60):
        step = (np.sinh(z) - ratio * z) / (np.cosh(z) - ratio)
        z -= step
        if abs(step) < 1e-12 * z:
            break
    return float(z)


def laid_on(curve: Points, start: Point, foot: Point) -> Points:
    """Let what would hang below the ground lie on it: the ground runs straight from start's foot to `foot`.

    Args:
        curve: (n, 2) pixels.
        start: x, y of the ground under the curve's first point.
        foot: x, y of the ground under its last point.

    >>> laid_on(np.array([[0.0, 0], [5, 12], [10, 9]]), (0, 10), (10, 10)).tolist()
    [[0.0, 0.0], [5.0, 10.0], [10.0, 9.0]]
    """
    span = foot[0] - start[0]
    share = np.clip((curve[:, 0] - start[0]) / span, 0, 1) if abs(span) > 1 else np.linspace(0, 1, len(curve))
    floor = start[1] + share * (foot[1] - start[1])
    laid = curve.copy()
    laid[:, 1] = np.minimum(laid[:, 1], np.maximum(floor, curve[-1, 1]))
    return laid


def wobbled(curve: Points, size_px: float, rng: np.random.Generator) -> Points:
    """Bend a curve a little, as a cable that was rolled up keeps its bends; the ends stay where they are."""
    n = len(curve)
    knots = rng.normal(0, size_px, (max(n // 6, 3), 2))
    knots[0] = knots[-1] = 0
    at = np.linspace(0, len(knots) - 1, n)
    bend = np.stack([np.interp(at, np.arange(len(knots)), knots[:, k]) for k in (0, 1)], 1)
    smooth = np.apply_along_axis(
        lambda v: np.convolve(np.pad(v, 2, mode="edge"), np.ones(5) / 5, "valid"), 0, bend
    )
    fade = np.minimum(1, 4 * np.minimum(np.linspace(0, 1, n), np.linspace(1, 0, n)))[:, None]
    return np.asarray(curve + smooth * fade, np.float64)


def spiral(middle: Point, radius_px: float, turns: float, flat: float, rng: np.random.Generator) -> Points:
    """A coil that lies on the ground: (n, 2) points; `flat` is its height over its width in the picture."""
    n = int(28 * turns)
    angle = np.linspace(0, 2 * np.pi * turns, n) + rng.uniform(0, 6.28)
    r = radius_px * (0.75 + 0.25 * np.convolve(rng.normal(0, 1, n + 8), np.ones(9) / 3, "valid"))
    drift = np.cumsum(rng.normal(0, radius_px * 0.012, (n, 2)), 0)
    ring = np.stack([r * np.cos(angle), flat * r * np.sin(angle)], 1)
    return np.asarray(np.array(middle) + ring + drift, np.float64)
