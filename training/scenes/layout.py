"""Random streets for training pictures: who stands where. Nothing overlaps on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from training.scenes import cycles, furniture, people, stalls, vehicles, waste
from training.scenes.camera import Camera
from training.scenes.compose import Thing
from training.scenes.mesh import Colour, Mesh, join
from training.scenes.plan import KERB_M, Street


@dataclass
class Layout:
    """Things placed so far, and the circles (x, y, radius in metres) that they take."""

    rng: np.random.Generator
    street: Street
    things: list[Thing] = field(default_factory=list)
    taken: list[tuple[float, float, float]] = field(default_factory=list)

    def put(
        self, mesh: Mesh, x: float, y: float, yaw_deg: float, label: str | None, *, flat: bool = False
    ) -> None:
        """Stand a model on the ground at (x, y)."""
        ground = KERB_M if y > 0 or y < self.street.far_kerb_y else 0.0
        name = f"{label or 'street'}-{len(self.things)}"
        self.things.append(Thing(mesh.moved(x, y, ground, yaw_deg), label, ground, name, flat))

    def put_ridden(self, vehicle: Mesh, label: str, x: float, y: float, yaw_deg: float) -> None:
        """Stand a vehicle with its rider on the ground; both are labelled."""
        both = join([vehicle.as_part(0), people.riding(people.any_look(self.rng)).as_part(1)])
        self.put(both, x, y, yaw_deg, label)
        self.things[-1] = replace(self.things[-1], part_labels=(label, "person"))

    def room(
        self, x: tuple[float, float], y: tuple[float, float], radius: float
    ) -> tuple[float, float] | None:
        """Find and take a free circle within the ranges; None after 12 misses."""
        for _ in range(12):
            px, py = float(self.rng.uniform(*x)), float(self.rng.uniform(*y))
            if all(math.hypot(px - a, py - b) > radius + r for a, b, r in self.taken):
                self.taken.append((px, py, radius))
                return px, py
        return None

    def one(self, colours: tuple[Colour, ...]) -> Colour:
        """Draw one colour."""
        return colours[int(self.rng.integers(len(colours)))]


def any_camera(rng: np.random.Generator, width: int, height: int) -> Camera:
    """Fixed camera on a mast, or the roof of a patrol car in one picture of four."""
    low = rng.random() < 0.25
    z = float(rng.uniform(1.6, 2.6) if low else rng.uniform(3.6, 8.0))
    y = float(rng.uniform(-6.0, -2.2) if low else rng.uniform(-10.0, -1.0))
    at_x, at_y = float(rng.uniform(8, 12) if low else rng.uniform(10, 17)), float(rng.uniform(-0.5, 2.6))
    yaw = math.degrees(math.atan2(at_y - y, at_x))
    pitch = math.degrees(math.atan2(z - 0.9, math.hypot(at_x, at_y - y)))
    return Camera((0.0, y, z), yaw, pitch, float(rng.uniform(40, 72)), width, height)


def any_street(rng: np.random.Generator) -> Street:
    """Draw a street's finish."""
    return Street(
        int(rng.integers(1000, 1_000_000)), float(rng.uniform(4.2, 6.5)),
        -14.0, float(rng.uniform(3.2, 3.6)), int(rng.integers(3)),
        ((18.0, 24.0), (24.0, 30.0)) if rng.random() < 0.3 else (),
        (24.0, 28.0) if rng.random() < 0.2 else None,
        bool(rng.random() < 0.6), float(rng.uniform(0.2, 1.0)), float(rng.uniform(3.2, 5.2)),
        str(rng.choice(["shops", "brick", "plaster", "hoarding"], p=[0.55, 0.15, 0.2, 0.1])),
    )  # fmt: skip


def any_layout(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Fill a street."""
    layout = Layout(rng, street)
    _trees(layout)
    _stalls(layout)
    _bins(layout)
    _parked(layout)
    _traffic(layout)
    _cycles(layout)
    _pedestrians(layout)
    _litter(layout)
    return layout.things


def any_car(rng: np.random.Generator) -> Mesh:
    """Draw a passenger car."""
    shape = list(vehicles.SHAPES.values())[int(rng.choice(4, p=[0.4, 0.2, 0.28, 0.12]))]
    paint = vehicles.PAINTS[int(rng.integers(len(vehicles.PAINTS)))]
    return vehicles.car(shape, paint, vehicles.PLATES[int(rng.random() < 0.3)])


def _trees(layout: Layout) -> None:
    rng = layout.rng
    if rng.random() < 0.75:
        height, crown = float(rng.uniform(6.5, 9)), float(rng.uniform(1.6, 2.5))
        for x in np.arange(7.0, 56.0, 7.0):
            layout.put(
                furniture.tree(rng, height, crown, 1100), float(x), 0.95, float(rng.uniform(0, 360)), None
            )
            layout.taken.append((float(x), 0.95, 0.3))
    for x in np.arange(float(rng.uniform(4, 16)), 60, 24.0):
        layout.put(furniture.lamp(), float(x), 0.45, 0, None)
    if rng.random() < 0.25:
        layout.put(furniture.railing(40), 8, -2 * layout.street.lane_m, 0, None)
    for _ in range(int(rng.integers(0, 4))):
        made = (
            furniture.cone,
            furniture.bollard,
            lambda: furniture.planter(rng),
            lambda: waste.cigarette_bin((0.2, 0.25, 0.2)),
        )[int(rng.integers(4))]
        spot = layout.room((5, 25), (0.4, layout.street.front_y - 0.4), 0.5)
        if spot:
            layout.put(made(), *spot, float(rng.uniform(0, 360)), None)


def _stalls(layout: Layout) -> None:
    rng = layout.rng
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.2, 0.45, 0.25, 0.1]))):
        on_road = rng.random() < 0.25
        spot = layout.room((7, 22), (-2.0, -1.0) if on_road else (1.4, layout.street.front_y - 1.2), 1.5)
        if spot is None:
            continue
        yaw = float(rng.choice([0, 180, -90]) + rng.normal(0, 15))
        layout.put(stalls.any_stall(rng), *spot, yaw, "stall")
        for _ in range(int(rng.integers(1, 4))):
            angle, reach = float(rng.uniform(0, 6.28)), float(rng.uniform(1.0, 1.5))
            x, y = spot[0] + reach * math.cos(angle), spot[1] + reach * 0.8 * math.sin(angle)
            look = people.any_look(rng)
            body = (
                people.sitting(look)
                if rng.random() < 0.2
                else people.standing(look, float(rng.uniform(0, 0.9)))
            )
            layout.put(body, x, y, math.degrees(angle) + 180, "person")
            layout.taken.append((x, y, 0.3))
        for _ in range(int(rng.integers(0, 4))):
            layout.put(
                stalls.fruit_crate(rng, layout.one(stalls.FRUIT)),
                spot[0] + float(rng.uniform(-1.4, 1.4)),
                spot[1] - 1.1,
                float(rng.uniform(0, 360)),
                None,
                flat=True,
            )


def _bins(layout: Layout) -> None:
    rng = layout.rng
    for _ in range(int(rng.integers(1, 4))):
        row = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.3, 0.2, 0.1]))
        spot = layout.room((5.5, 22), (0.7, layout.street.front_y - 0.6), 0.4 + 0.35 * row)
        if spot is None:
            continue
        along = rng.random() < 0.6
        yaw = float((-90 if along else 180) + rng.normal(0, 12))
        same, large = layout.one(waste.BIN_COLOURS), float(rng.choice([1.0, 1.0, 1.7]))
        for k in range(row):
            shift = (k - (row - 1) / 2) * 0.78 * large
            x, y = (spot[0] + shift, spot[1]) if along else (spot[0], spot[1] + shift)
            colour = same if rng.random() < 0.5 else layout.one(waste.BIN_COLOURS)
            turned = yaw + float(rng.normal(0, 6))
            if rng.random() < 0.42:
                layout.put(waste.overflowing(rng, colour, large), x, y, turned, "bin_overflow")
            else:
                layout.put(
                    waste.bin_(colour, float(rng.choice([0, 0, 0, 0, 12, 105])), large), x, y, turned, "bin"
                )
        if rng.random() < 0.4:
            side = spot[0] + (1 if rng.random() < 0.5 else -1) * (0.9 + 0.4 * row)
            layout.put(
                waste.pile(rng, int(rng.integers(3, 9)), float(rng.uniform(0.3, 0.6))),
                side,
                spot[1],
                0,
                "garbage",
                flat=True,
            )
            layout.taken.append((side, spot[1], 0.6))
    for _ in range(int(rng.choice([0, 1, 2], p=[0.45, 0.4, 0.15]))):
        spread = float(rng.uniform(0.3, 1.0))
        spot = layout.room((5.5, 20), (-0.6, layout.street.front_y - 0.5), spread * 1.3)
        if spot:
            layout.put(
                waste.pile(rng, int(4 + 9 * spread * rng.random() + 2), spread),
                *spot,
                0,
                "garbage",
                flat=True,
            )


def _parked(layout: Layout) -> None:
    rng = layout.rng
    for _ in range(int(rng.integers(0, 5))):
        spot = layout.room((6, 40), (-1.5, -1.15), 2.6)
        if spot:
            layout.put(
                any_car(rng), *spot, float((180 if rng.random() < 0.8 else 0) + rng.normal(0, 3)), "car"
            )
    if rng.random() < 0.15:
        spot = layout.room((9, 30), (1.3, 3.0), 2.4)
        if spot:
            layout.put(any_car(rng), *spot, float(rng.choice([0, 90, 180]) + rng.normal(0, 8)), "car")


def _traffic(layout: Layout) -> None:
    rng, lane = layout.rng, layout.street.lane_m
    for _ in range(int(rng.integers(0, 6))):
        number = int(rng.integers(1, 4))
        spot = layout.room((8, 55), (-lane * (number + 0.55), -lane * (number + 0.45)), 3.0)
        if spot is None or math.hypot(spot[0], spot[1] + 5) < 5:
            continue
        yaw = float((180 if number < 2 else 0) + rng.normal(0, 2))
        what = rng.random()
        if what < 0.12:
            layout.put(vehicles.bus(layout.one(stalls.CANOPY)), max(spot[0], 16.0), spot[1], yaw, "bus")
            layout.taken.append((*spot, 6.0))
        elif what < 0.30:
            layout.put(
                vehicles.truck(layout.one(vehicles.PAINTS), closed=bool(rng.random() < 0.6)),
                *spot,
                yaw,
                "truck",
            )
        else:
            layout.put(any_car(rng), *spot, yaw, "car")


def _cycles(layout: Layout) -> None:
    rng = layout.rng
    colours = cycles.CYCLE_COLOURS
    if rng.random() < 0.6:
        start, y = float(rng.uniform(6, 20)), float(rng.uniform(1.2, layout.street.front_y - 1.0))
        for k in range(int(rng.integers(2, 8))):
            x = start + 0.75 * k
            if all(math.hypot(x - a, y - b) > 0.5 + r for a, b, r in layout.taken):
                layout.taken.append((x, y, 0.3))
                _cycle(layout, x, y, -90 + float(rng.normal(0, 8)), rider=False)
    for _ in range(int(rng.integers(0, 4))):
        spot = layout.room((7, 30), (-3.2, -0.6), 1.0)
        if spot:
            _cycle(layout, *spot, 180 + float(rng.normal(0, 6)), rider=True)
    if rng.random() < 0.35:
        spot = layout.room((8, 25), (-3.0, 2.0), 1.4)
        if spot:
            load = waste.pile(rng, 5, 0.4) if rng.random() < 0.4 else None
            yaw = 180 + float(rng.normal(0, 25))
            made = cycles.tricycle(layout.one(colours), load=load)
            if rng.random() < 0.5:
                layout.put_ridden(made, "tricycle", *spot, yaw)
            else:
                layout.put(made, *spot, yaw, "tricycle")


def _cycle(layout: Layout, x: float, y: float, yaw: float, *, rider: bool) -> None:
    rng, colour = layout.rng, layout.one(cycles.CYCLE_COLOURS)
    if rng.random() < 0.3:
        made, label = cycles.bicycle(colour), "bicycle"
    else:
        made, label = (
            cycles.ebike(colour, crate=layout.one(cycles.CYCLE_COLOURS) if rng.random() < 0.25 else None),
            "motorcycle",
        )
    if rider:
        layout.put_ridden(made, label, x, y, yaw)
    else:
        layout.put(made, x, y, yaw, label)


def _pedestrians(layout: Layout) -> None:
    rng = layout.rng
    for _ in range(int(rng.integers(1, 8))):
        spot = layout.room(
            (5, 26), (0.4, layout.street.front_y - 0.4) if rng.random() < 0.85 else (-9, 0), 0.4
        )
        if spot:
            look = people.any_look(rng)
            body = (
                people.walking(look, float(rng.random()))
                if rng.random() < 0.7
                else people.standing(look, float(rng.uniform(0, 0.6)))
            )
            layout.put(body, *spot, float(rng.choice([0, 180, 90, -90]) + rng.normal(0, 20)), "person")


def _litter(layout: Layout) -> None:
    rng = layout.rng
    if rng.random() < 0.5:
        x, y = float(rng.uniform(5, 12)), float(rng.uniform(-0.8, layout.street.front_y - 1))
        for _ in range(int(rng.integers(2, 12))):
            spot = layout.room((x - 1.5, x + 2.5), (y - 1.0, y + 1.0), 0.15)
            if spot:
                piece = waste.scrap(rng) if rng.random() < 0.8 else waste.carton(rng)
                layout.put(piece, *spot, float(rng.uniform(0, 360)), "litter", flat=True)
