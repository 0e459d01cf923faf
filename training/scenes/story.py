"""The demo's held-out scene.

One morning minute of a street, what moves in it and what a watcher should report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from training.scenes import cycles, furniture, people, stalls, vehicles, waste
from training.scenes.camera import Camera, Floats, Place
from training.scenes.compose import (
    Drawn,
    Floor,
    Lens,
    Picture,
    Sensor,
    Thing,
    Truth,
    compose,
    draw_thing,
    floor_of,
)
from training.scenes.light import Light
from training.scenes.mesh import Mesh, join, rgb
from training.scenes.plan import KERB_M, Street
from training.scenes.street import render_street

SEED = 20260601
SECONDS = 45.0
FPS = 15
CAMERA = Camera((0.0, -6.5, 6.0), 23.0, 19.5, 54.0, 1280, 720)
PLACE = Place(31.7790, 119.9510, 90.0)
LIGHT = Light(-62.0, 46.0)
STREET = Street(seed=5, bays=((28.0, 34.0), (34.0, 40.0)), pits_from=20.0)

BIN_AT, PILE_AT = (10.2, 1.55), (10.1, 3.0)

Knot = tuple[float, float, float]
"""(seconds, x, y): where an actor is when."""


@dataclass(frozen=True)
class Path:
    """Way of an actor through knots, without overshoot.

    The actor is there from its first knot to its last, or for ever where it stays.
    """

    knots: tuple[Knot, ...]
    stays: bool = False
    yaw_deg: float | None = None

    def at(self, seconds: float) -> tuple[float, float, float] | None:
        """Return x, y in metres and yaw in degrees, or None before and after."""
        first, last = self.knots[0][0], self.knots[-1][0]
        if seconds < first or (seconds > last and not self.stays):
            return None
        x, y = self._place(seconds)
        return x, y, self._yaw(seconds) if self.yaw_deg is None else self.yaw_deg

    def walked(self, seconds: float) -> float:
        """Metres along the way so far."""
        steps = np.linspace(self.knots[0][0], max(seconds, self.knots[0][0]), 64)
        places = np.array([self._place(float(s)) for s in steps])
        return float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())

    def moving(self, seconds: float) -> bool:
        """Say whether the actor is under way."""
        a, b = self._place(seconds - 0.04), self._place(seconds + 0.04)
        return math.hypot(b[0] - a[0], b[1] - a[1]) > 0.004

    def _place(self, seconds: float) -> tuple[float, float]:
        t, x, y = (np.array(v, np.float64) for v in zip(*self.knots, strict=True))
        return monotone(t, x, seconds), monotone(t, y, seconds)

    def _yaw(self, seconds: float) -> float:
        """Direction of travel now, or the last one there was."""
        for back in np.arange(0.0, 60.0, 0.25):
            a, b = self._place(seconds - float(back) - 0.3), self._place(seconds - float(back))
            if math.hypot(b[0] - a[0], b[1] - a[1]) > 0.02:
                return math.degrees(math.atan2(b[1] - a[1], b[0] - a[0]))
        return 180.0


def monotone(t: Floats, values: Floats, at: float) -> float:
    """Interpolate by the monotone cubic of Fritsch and Butland: flat where the knots are flat, no overshoot.

    >>> t, v = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0])
    >>> [round(monotone(t, v, s), 3) for s in (0.0, 1.0, 1.5, 9.0)]
    [0.0, 1.0, 1.0, 1.0]
    """
    if at <= t[0]:
        return float(values[0])
    if at >= t[-1]:
        return float(values[-1])
    width = np.diff(t)
    slope = np.diff(values) / width
    tangent = np.concatenate([slope[:1], np.zeros(len(slope) - 1), slope[-1:]])
    for k in range(1, len(slope)):
        a, b = float(slope[k - 1]), float(slope[k])
        tangent[k] = 0.0 if a * b <= 0 else 2 * a * b / (a + b)
    k = int(np.searchsorted(t, at, side="right")) - 1
    s, w = (at - t[k]) / width[k], width[k]
    return float(
        (1 + 2 * s) * (1 - s) ** 2 * values[k]
        + s * (1 - s) ** 2 * w * tangent[k]
        + s * s * (3 - 2 * s) * values[k + 1]
        + s * s * (s - 1) * w * tangent[k + 1]
    )


@dataclass(frozen=True)
class Actor:
    """Something that moves: how it looks (a function of its walking phase, None at rest) and where it is."""

    name: str
    label: str
    path: Path
    shape: Callable[[float | None], Mesh]
    ground_m: float = 0.0
    part_labels: tuple[str, ...] = ()
    flat: bool = False

    def thing(self, seconds: float) -> tuple[tuple[float, ...], Thing] | None:
        """Return the thing as it stands now, and a key that tells equal poses."""
        at = self.path.at(seconds)
        if at is None:
            return None
        x, y, yaw = (round(v, 4) for v in at)
        phase = (
            round(self.path.walked(seconds) / 1.3 % 1, 3)
            if self.label == "person" and self.path.moving(seconds)
            else None
        )
        mesh = self.shape(phase).moved(x, y, self.ground_m, yaw)
        key = (x, y, yaw, -1.0 if phase is None else phase)
        return key, Thing(
            mesh,
            self.label,
            self.ground_m,
            self.name,
            self.flat,
            self.part_labels,
            self.label in {"car", "bus"},
        )


@dataclass
class Stage:
    """The scene made ready: the empty street, what stands in it for good, and what moves."""

    camera: Camera
    light: Light
    floor: Floor
    actors: list[Actor]
    sensor: Sensor
    kept: dict[str, tuple[tuple[float, ...], Drawn | None]] = field(default_factory=dict)

    def frame(self, index: int) -> tuple[Picture, list[Truth]]:
        """Render frame `index`: 8-bit BGR (H, W, 3) and the visible boxes of everything that has a class."""
        drawn: list[Drawn] = []
        for actor in self.actors:
            now = actor.thing(index / FPS)
            if now is None:
                continue
            key, thing = now
            if self.kept.get(actor.name, ((), None))[0] != key:
                self.kept[actor.name] = (key, draw_thing(thing, self.camera, self.light))
            one = self.kept[actor.name][1]
            if one is not None:
                drawn.append(one)
        linear, truth = compose(self.floor, drawn)
        return self.sensor.expose(linear, index), truth


def set_stage(camera: Camera = CAMERA) -> Stage:
    """Build the demo's scene."""
    backdrop = render_street(STREET, camera, LIGHT)
    still = [d for d in (draw_thing(t, camera, LIGHT) for t in fixtures()) if d is not None]
    lens = Lens(blur_px=0.55, noise=0.003, vignette=0.2, contrast=1.12)
    return Stage(
        camera,
        LIGHT,
        floor_of(backdrop, still),
        cast(),
        Sensor(lens, LIGHT.exposure, (camera.width, camera.height), SEED),
    )


def fixtures() -> list[Thing]:
    """What stands in the street from the first frame to the last."""
    rng = np.random.default_rng(SEED)
    green, colours = waste.BIN_COLOURS[0], cycles.CYCLE_COLOURS
    placed: list[tuple[Mesh, float, float, float, str | None, str]] = [
        *(
            (furniture.tree(rng, 8.2, 2.2, 1500), x, 0.95, 0.0, None, f"tree-{x:.0f}")
            for x in (21.0, 28.0, 35.0, 42.0, 49.0)
        ),
        (furniture.lamp(), 24.5, 0.5, 0.0, None, "lamp"),
        (waste.overflowing(rng, green), *BIN_AT, -112.0, "bin_overflow", "bin-full"),
        (waste.pile(rng, 9, 0.5), *PILE_AT, 0.0, "garbage", "pile"),
        (waste.bin_(green), 18.3, 0.85, -100.0, "bin", "bin-clean"),
        (vehicles.car(vehicles.SUV, rgb(34, 36, 40)), 31.0, -1.3, 181.0, "car", "car-bay"),
        (cycles.ebike(colours[3]), 25.6, 4.2, -90.0, "motorcycle", "ebike-1"),
        (cycles.ebike(colours[4]), 26.4, 4.2, -86.0, "motorcycle", "ebike-2"),
        (cycles.bicycle(colours[0]), 27.2, 4.2, -92.0, "bicycle", "bicycle-1"),
        (furniture.planter(rng, 1.6), 22.6, 4.8, 0.0, None, "planter"),
    ]
    return [stand(mesh, x, y, yaw, label, name) for mesh, x, y, yaw, label, name in placed]


def stand(mesh: Mesh, x: float, y: float, yaw_deg: float, label: str | None, name: str) -> Thing:
    """Put a model on the ground of the demo's street."""
    ground = KERB_M if y > 0 else 0.0
    return Thing(mesh.moved(x, y, ground, yaw_deg), label, ground, name, flat=label == "garbage")


def cast() -> list[Actor]:
    """Everybody and everything that moves."""
    return [*_traffic(), *_vendor(), *_walkers()]


def _car(
    name: str, shape: vehicles.Shape, colour: tuple[float, float, float], *knots: Knot, stays: bool = False
) -> Actor:
    mesh = vehicles.car(shape, colour)
    return Actor(name, "car", Path(knots, stays), lambda _: mesh)


def _traffic() -> list[Actor]:
    near, far = -5.1, -8.6
    bus = vehicles.bus(rgb(30, 110, 150))
    rider = join([
        cycles.ebike(cycles.CYCLE_COLOURS[1], crate=cycles.CYCLE_COLOURS[1]).as_part(0),
        people.riding(people.Look(top=rgb(240, 196, 40), hat=rgb(240, 196, 40))).as_part(1),
    ])  # fmt: skip
    return [
        _car("car-1", vehicles.HATCH, rgb(122, 22, 26), (0.0, 42.0, near), (4.6, 4.0, near)),
        _car("car-2", vehicles.SEDAN, rgb(150, 153, 156), (1.0, 4.0, far), (7.0, 64.0, far)),
        _car(
            "car-parks",
            vehicles.SEDAN,
            rgb(226, 226, 224),
            (1.5, 60.0, near),
            (5.2, 27.0, near + 0.3),
            (7.4, 16.5, -1.9),
            (8.4, 13.6, -1.38),
            (9.0, 13.2, -1.35),
            stays=True,
        ),
        _car(
            "car-waits",
            vehicles.HATCH,
            rgb(28, 52, 96),
            (11.0, 58.0, -3.2),
            (14.6, 25.0, -1.9),
            (16.0, 21.8, -1.5),
            (21.0, 21.8, -1.5),
            (22.4, 19.6, -2.6),
            (24.4, 12.5, near),
            (26.4, 2.5, near),
        ),
        _car("car-3", vehicles.VAN, rgb(190, 192, 194), (18.0, 4.0, far), (25.0, 64.0, far)),
        _car("car-4", vehicles.SUV, rgb(60, 63, 68), (27.5, 60.0, near), (33.0, 4.0, near)),
        _car("car-5", vehicles.SEDAN, rgb(28, 29, 32), (36.0, 60.0, near), (41.5, 4.0, near)),
        _car("car-6", vehicles.HATCH, rgb(232, 232, 230), (38.0, 4.0, far), (44.5, 64.0, far)),
        Actor("bus-1", "bus", Path(((28.0, 6.0, far - 0.2), (38.5, 66.0, far - 0.2))), lambda _: bus),
        Actor(
            "courier",
            "motorcycle",
            Path(((31.0, 45.0, -2.9), (37.5, 4.0, -3.0))),
            lambda _: rider,
            0.0,
            ("motorcycle", "person"),
        ),
    ]


def _vendor() -> list[Actor]:
    rng = np.random.default_rng(SEED + 4)
    cart = stalls.tricycle_stall(rng)
    way = ((7.5, 33.0, 3.1), (10.0, 26.0, 3.1), (13.0, 17.5, 2.75), (14.5, 15.3, 2.55), (15.0, 15.1, 2.55))
    beside = tuple((t, x + 0.5, y + 0.95) for t, x, y in way)
    look = people.Look(
        top=rgb(60, 96, 150), bottom=people.BOTTOMS[2], hat=rgb(210, 190, 140), apron=rgb(190, 60, 56)
    )
    customer = people.Look(
        top=rgb(214, 150, 160), bottom=people.BOTTOMS[0], bag=rgb(60, 60, 64), long_hair=True
    )
    return [
        Actor("stall", "stall", Path(way, stays=True, yaw_deg=183.0), lambda _: cart, KERB_M),
        _person("vendor", look, *beside, (16.2, 15.4, 3.6), (17.2, 14.2, 3.5), stays=True, rest=0.6),
        _person(
            "customer",
            customer,
            (20.0, 30.0, 3.9),
            (29.0, 15.7, 1.35),
            (37.0, 15.7, 1.35),
            (44.5, 6.5, 3.9),
            rest=0.5,
        ),
    ]


def _walkers() -> list[Actor]:
    rng = np.random.default_rng(SEED + 9)
    bag = waste.bag(rng, 0.26, waste.BAG_COLOURS[0])
    tenant = people.Look(top=rgb(120, 150, 190), bottom=people.BOTTOMS[1])
    bringing = (
        (2.0, 16.0, 4.7),
        (7.6, 10.8, 4.1),
        (8.4, 10.7, 4.0),
        (9.0, 10.7, 4.0),
        (15.5, 18.5, 4.8),
        (17.0, 18.5, 5.5),
    )
    carried = tuple((t, x - 0.25, y - 0.15) for t, x, y in bringing[:3])
    return [
        _person("tenant", tenant, *bringing, rest=0.3),
        Actor("bag-carried", "", Path(carried), lambda _: bag.moved(0, 0, 0.35), KERB_M),
        Actor(
            "bag-left",
            "",
            Path(((8.4, 10.45, 3.85),), stays=True, yaw_deg=0.0),
            lambda _: bag,
            KERB_M,
            flat=True,
        ),
        _person(
            "walker-1",
            people.Look(top=rgb(200, 60, 58), height_m=1.62, long_hair=True),
            (0.0, 24.0, 3.6),
            (14.0, 6.0, 4.4),
        ),
        _person(
            "walker-2",
            people.Look(top=rgb(235, 235, 232), bag=rgb(30, 60, 120)),
            (3.0, 7.0, 4.3),
            (22.0, 34.0, 4.0),
        ),
        _person(
            "walker-3",
            people.Look(top=rgb(226, 190, 70), bottom=people.BOTTOMS[4], height_m=1.58),
            (25.0, 33.0, 3.7),
            (44.9, 8.0, 4.4),
        ),
        _person(
            "walker-4",
            people.Look(top=rgb(70, 74, 78), bottom=people.BOTTOMS[3]),
            (30.0, 7.5, 4.5),
            (44.9, 25.0, 3.9),
        ),
    ]


def _person(name: str, look: people.Look, *knots: Knot, stays: bool = False, rest: float = 0.3) -> Actor:
    resting = people.standing(look, rest)
    return Actor(
        name,
        "person",
        Path(knots, stays),
        lambda phase: resting if phase is None else people.walking(look, phase),
        KERB_M,
    )


@dataclass(frozen=True)
class Area:
    """A zone of the site file as corners on the ground, metres."""

    zone_id: str
    kind: str
    dwell_s: float
    corners: tuple[tuple[float, float], ...]
    ground_m: float = 0.0

    def polygon(self, camera: Camera) -> list[tuple[float, float]]:
        """Corners as shares of the picture's width and height, kept inside it."""
        points = np.array([(x, y, self.ground_m) for x, y in self.corners])
        xy, _ = camera.project(points)
        shares = xy / [camera.width, camera.height]
        return [(round(float(np.clip(a, 0, 1)), 4), round(float(np.clip(b, 0, 1)), 4)) for a, b in shares]


AREAS: tuple[Area, ...] = (
    Area("kerb-east", "no_parking", 15, ((9.2, -0.05), (26.5, -0.05), (26.5, -2.9), (9.2, -2.9))),
    Area("footway-vending", "no_vending", 12, ((9.6, 0.25), (26.0, 0.25), (26.0, 5.2), (11.6, 5.2)), KERB_M),
    Area(
        "footway-litter",
        "public",
        10,
        ((7.4, 0.25), (26.0, 0.25), (26.0, 5.2), (10.4, 5.2), (8.8, 3.6)),
        KERB_M,
    ),
)


@dataclass(frozen=True)
class Expected:
    """A case that the demo should bring forth: what, where (x, y in metres), and since when (seconds)."""

    kind: str
    zone_id: str
    actors: tuple[str, ...]
    place: tuple[float, float]
    from_s: float
    to_s: float = SECONDS


EXPECTED: Sequence[Expected] = (
    Expected("illegal_parking", "kerb-east", ("car-parks",), (13.2, -1.35), 9.0),
    Expected("street_vending", "footway-vending", ("stall",), (15.1, 2.55), 15.0),
    # the heap leans on the bin: one case, not two
    Expected("bin_overflow", "footway-litter", ("bin-full", "pile"), BIN_AT, 0.0),
)


def smaller(camera: Camera, width: int, height: int) -> Camera:
    """Return the same view at another size."""
    return replace(camera, width=width, height=height)
