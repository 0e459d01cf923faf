"""Pedestrians, attendants and riders from tapered limbs. Models face +x and stand on z = 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from training.scenes.mesh import (
    Colour,
    Material,
    Mesh,
    Paint,
    Patch,
    box,
    ellipsoid,
    join,
    loft,
    rgb,
    ring,
    tube,
)

SKIN = rgb(214, 164, 134)
HAIR = rgb(22, 19, 18)
TOPS: tuple[Colour, ...] = (
    rgb(200, 60, 58), rgb(235, 235, 232), rgb(40, 62, 110), rgb(70, 74, 78), rgb(226, 190, 70),
    rgb(64, 110, 86),
    rgb(170, 140, 190), rgb(24, 26, 30), rgb(120, 150, 190), rgb(236, 128, 60), rgb(214, 150, 160),
)  # fmt: skip
BOTTOMS: tuple[Colour, ...] = (
    rgb(34, 40, 62),
    rgb(28, 28, 30),
    rgb(96, 98, 104),
    rgb(140, 122, 98),
    rgb(60, 76, 108),
)


@dataclass(frozen=True)
class Look:
    """Clothes and build."""

    top: Colour = TOPS[0]
    bottom: Colour = BOTTOMS[0]
    height_m: float = 1.70
    hat: Colour | None = None
    bag: Colour | None = None
    apron: Colour | None = None
    long_hair: bool = False


def any_look(rng: np.random.Generator) -> Look:
    """Draw random clothes."""

    def one(colours: tuple[Colour, ...]) -> Colour:
        return colours[int(rng.integers(len(colours)))]

    return Look(
        one(TOPS), one(BOTTOMS), float(rng.uniform(1.52, 1.82)), one(TOPS) if rng.random() < 0.25 else None,
        one(TOPS) if rng.random() < 0.3 else None, one(TOPS) if rng.random() < 0.2 else None,
        bool(rng.random() < 0.4),
    )  # fmt: skip


def walking(look: Look, phase: float) -> Mesh:
    """Person in mid-stride; phase in turns of the two-step cycle."""
    swing = math.sin(2 * math.pi * phase)
    hips = 0.90 - 0.02 * abs(swing)
    legs = [
        _leg(look, side, hips, side * swing * 0.42, max(0.0, -side * math.cos(2 * math.pi * phase)) * 0.9)
        for side in (-1, 1)
    ]
    arms = [_arm(look, side, hips, -side * swing * 0.45, 0.25) for side in (-1, 1)]
    return _person(look, hips, legs, arms)


def standing(look: Look, reach: float = 0.5) -> Mesh:
    """Person at rest, arms held forward by `reach` radians."""
    legs = [_leg(look, side, 0.90, 0.03 * side, 0.03) for side in (-1, 1)]
    arms = [_arm(look, side, 0.90, reach * (1.0 if side > 0 else 0.7), reach * 1.2) for side in (-1, 1)]
    return _person(look, 0.90, legs, arms)


def riding(look: Look, seat_m: float = 0.78) -> Mesh:
    """Person on a saddle, hands on the bar; the saddle is at x = 0."""
    legs = [_leg(look, side, seat_m, 1.15, 1.25) for side in (-1, 1)]
    arms = [_arm(look, side, seat_m, 0.75, 0.45) for side in (-1, 1)]
    return _person(look, seat_m, legs, arms, lean=0.16)


def sitting(look: Look, seat_m: float = 0.42) -> Mesh:
    """Person on a low stool."""
    legs = [_leg(look, side, seat_m, 1.45, 1.45) for side in (-1, 1)]
    arms = [_arm(look, side, seat_m, 0.5, 0.8) for side in (-1, 1)]
    return _person(look, seat_m, legs, arms, lean=0.1)


def _person(look: Look, hips: float, legs: list[Mesh], arms: list[Mesh], lean: float = 0.03) -> Mesh:
    top = Material(look.top, 0.0, 0.8, _folds(look.apron))
    outline = [
        (0.0, 0.155, 0.105),
        (0.06, 0.165, 0.115),
        (0.2, 0.145, 0.10),
        (0.36, 0.165, 0.115),
        (0.47, 0.18, 0.11),
        (0.53, 0.175, 0.085),
        (0.57, 0.08, 0.065),
        (0.62, 0.05, 0.05),
    ]
    rings = [
        ring(depth, half, hips - 0.02 + z, 12, 2.4) + np.array([z * lean, 0, 0], np.float32)
        for z, half, depth in outline
    ]
    torso = loft(np.stack(rings), top)
    forward, neck = 0.6 * lean, hips + 0.57
    skin = Material(SKIN, 0.02, 0.6)
    head = ellipsoid(0.098, 0.08, 0.118, Material(SKIN, 0.02, 0.6, _face(look)), 9, 12).moved(
        forward + 0.02, 0, neck + 0.16
    )
    parts = [
        torso,
        tube((forward, 0, neck - 0.03), (forward + 0.01, 0, neck + 0.08), 0.05, 0.045, skin),
        head,
        *legs,
        *arms,
    ]
    if look.long_hair:
        parts.append(
            ellipsoid(0.07, 0.085, 0.15, Material(HAIR, 0.03, 0.4), 6, 8).moved(
                forward - 0.05, 0, neck + 0.08
            )
        )
    if look.hat is not None:
        cap = Material(look.hat, 0.0, 0.8)
        parts.append(ellipsoid(0.108, 0.092, 0.07, cap, 6, 10).moved(forward + 0.01, 0, neck + 0.235))
        parts.append(ellipsoid(0.10, 0.08, 0.012, cap, 5, 10).moved(forward + 0.10, 0, neck + 0.215))
    if look.bag is not None:
        parts.append(
            box((0.14, 0.30, 0.36), Material(look.bag, 0.0, 0.7), taper=0.85).moved(-0.17, 0, hips + 0.12)
        )
    return join(parts).moved(scale=look.height_m / 1.74)


def _leg(look: Look, side: int, hips: float, swing: float, bend: float) -> Mesh:
    cloth = Material(look.bottom, 0.0, 0.8)
    hip = np.array([0.0, side * 0.085, hips])
    knee = hip + 0.43 * np.array([math.sin(swing), 0, -math.cos(swing)])
    shin = swing - bend
    ankle = knee + 0.41 * np.array([math.sin(shin), 0, -math.cos(shin)])
    ankle[2] = max(ankle[2], 0.07)
    shoe = ellipsoid(0.13, 0.048, 0.05, Material((0.03, 0.03, 0.035), 0.03, 0.4), 6, 8)
    parts = [
        tube(hip, knee, 0.088, 0.062, cloth),
        tube(knee, ankle, 0.062, 0.045, cloth),
        shoe.moved(float(ankle[0]) + 0.05, float(ankle[1]), float(ankle[2]) - 0.02),
    ]
    return join(parts)


def _arm(look: Look, side: int, hips: float, swing: float, bend: float) -> Mesh:
    sleeve, skin = Material(look.top, 0.0, 0.8), Material(SKIN, 0.02, 0.6)
    shoulder = np.array([0.01, side * 0.195, hips + 0.49])
    elbow = shoulder + 0.28 * np.array([math.sin(swing), side * 0.12, -math.cos(swing)])
    fore = swing + bend
    hand = elbow + 0.25 * np.array([math.sin(fore), 0, -math.cos(fore)])
    return join(
        [
            tube(shoulder, elbow, 0.058, 0.046, sleeve),
            tube(elbow, hand, 0.040, 0.032, skin),
            ellipsoid(0.05, 0.035, 0.05, skin, 5, 7).moved(*map(float, hand)),
        ]
    )


def _face(look: Look) -> Paint:
    def paint(patch: Patch) -> None:
        p, albedo = patch.position, patch.albedo
        x, z = p[:, 0], p[:, 2]
        limit = 0.03 if look.long_hair else 0.0
        albedo[(z > 0.055) | (x < limit - 0.25 * z - 0.02)] = np.array(HAIR, np.float32)
        albedo[(np.abs(z - 0.012) < 0.012) & (x > 0.07) & (np.abs(np.abs(p[:, 1]) - 0.032) < 0.014)] *= 0.25

    return paint


def _folds(apron: Colour | None) -> Paint:
    def paint(patch: Patch) -> None:
        p, n, albedo = patch.position, patch.normal, patch.albedo
        albedo *= (0.9 + 0.1 * np.sin(31 * p[:, 2] + 9 * p[:, 1] + 7 * p[:, 0]))[:, None]
        if apron is not None:
            albedo[(n[:, 0] > 0.35) & (np.abs(p[:, 1]) < 0.13)] = np.array(apron, np.float32)

    return paint
