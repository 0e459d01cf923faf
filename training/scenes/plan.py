"""The plan of a street: what lies where, and the samples of it that are shaded together."""

from __future__ import annotations

from dataclasses import dataclass

from training.scenes.camera import Floats
from training.scenes.light import Light
from training.scenes.texture import Noise

KERB_M = 0.14


@dataclass(frozen=True)
class Street:
    """Layout and finish of one street; every seed is another one."""

    seed: int = 1
    front_y: float = 5.4
    far_kerb_y: float = -14.0
    lane_m: float = 3.4
    paving: int = 0
    bays: tuple[tuple[float, float], ...] = ()
    """Permitted parking bays along the near kerb: (from, to) metres of x."""
    crossing: tuple[float, float] | None = None
    yellow_kerb: bool = True
    worn: float = 0.5
    unit_m: float = 4.2
    front: str = "shops"
    """What bounds the near footway: "shops", "brick", "plaster" or "hoarding" (the last three 2.5 m high)."""
    pits_from: float = -100.0
    """Tree pits lie every 7 m from here on."""


@dataclass(frozen=True)
class Spot:
    """Samples (N) of one surface of a street.

    position (N, 3) and distance (N,) in metres, view (N, 3) the unit vector to the camera.
    """

    street: Street
    noise: Noise
    light: Light
    position: Floats
    view: Floats
    distance: Floats
