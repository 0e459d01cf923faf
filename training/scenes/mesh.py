"""Meshes of quads with smooth normals, and the few primitives that the street's objects are built from.

All lengths in metres. A face is four vertex numbers; a triangle repeats its last one. Faces wind counter-
clockwise seen from outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.scenes.camera import Floats

Ints = NDArray[np.integer[Any]]
Colour = tuple[float, float, float]
"""Linear blue, green, red reflectance, 0 to 1 (OpenCV's channel order)."""


@dataclass(frozen=True)
class Patch:
    """Samples of a surface on their way to the light.

    position and normal (N, 3), in the mesh's own frame, are given; albedo (N, 3) and gloss (N,) are changed.
    """

    position: Floats
    normal: Floats
    albedo: Floats
    gloss: Floats


Paint = Callable[[Patch], None]
"""A pattern: changes a patch's albedo and gloss by position."""


def rgb(red: int, green: int, blue: int) -> Colour:
    """Linear BGR reflectance of an sRGB colour.

    >>> rgb(255, 0, 0)
    (0.0, 0.0, 1.0)
    """
    linear = [(c / 255) ** 2.2 for c in (blue, green, red)]
    return (linear[0], linear[1], linear[2])


@dataclass(frozen=True)
class Material:
    """How a surface answers light.

    Diffuse colour, mirror share at normal incidence, blur of the mirror, optional pattern.
    """

    albedo: Colour
    gloss: float = 0.0
    rough: float = 0.5
    paint: Paint | None = None
    glow: float = 0.0


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3), normals (V, 3), faces (F, 4), material number per face (F,).

    `local` is the vertex in the model's frame.

    bias (F,) draws a face as if it were nearer by so many metres; part (F,) tells apart the things a
    joined mesh consists of.
    """

    vertices: Floats
    normals: Floats
    faces: Ints
    material: Ints
    materials: tuple[Material, ...]
    local: Floats
    local_normals: Floats
    two_sided: bool = False
    bias: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    part: Ints = field(default_factory=lambda: np.zeros(0, np.int32))

    def moved(
        self, x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw_deg: float = 0.0, scale: float = 1.0
    ) -> Mesh:
        """Copy turned about z, scaled and shifted; patterns stay glued to the surface."""
        c, s = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
        shift = np.array([x, y, z], np.float32)
        return replace(
            self, vertices=self.vertices @ turn * np.float32(scale) + shift, normals=self.normals @ turn
        )

    def tilted(self, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> Mesh:
        """Copy turned about y (nose down positive), then about x."""
        a, b = math.radians(pitch_deg), math.radians(roll_deg)
        about_y = np.array(
            [[math.cos(a), 0, -math.sin(a)], [0, 1, 0], [math.sin(a), 0, math.cos(a)]], np.float32
        )
        about_x = np.array(
            [[1, 0, 0], [0, math.cos(b), math.sin(b)], [0, -math.sin(b), math.cos(b)]], np.float32
        )
        turn = about_y @ about_x
        return replace(self, vertices=self.vertices @ turn, normals=self.normals @ turn)

    def as_part(self, number: int) -> Mesh:
        """Copy whose faces all belong to one part."""
        return replace(self, part=np.full(len(self.faces), number, np.int32))

    def nearer(self, metres: float) -> Mesh:
        """Copy that is drawn as if it were nearer: for parts laid upon a larger surface."""
        return replace(self, bias=self.bias + np.float32(metres))


def build(
    vertices: Floats,
    faces: Ints,
    material: Material,
    *,
    normals: Floats | None = None,
    two_sided: bool = False,
) -> Mesh:
    """Make a mesh of one material; without normals they are averaged over the faces that share a vertex."""
    vertices = vertices.astype(np.float32)
    faces = faces.astype(np.int32)
    if normals is None:
        normals = smooth_normals(vertices, faces)
    count = len(faces)
    return Mesh(
        vertices,
        normals,
        faces,
        np.zeros(count, np.int32),
        (material,),
        vertices,
        normals,
        two_sided,
        np.zeros(count, np.float32),
        np.zeros(count, np.int32),
    )


def smooth_normals(vertices: Floats, faces: Ints) -> Floats:
    """Area-weighted vertex normals (V, 3)."""
    corner = vertices[faces]
    normal = np.cross(corner[:, 2] - corner[:, 0], corner[:, 3] - corner[:, 1])
    degenerate = faces[:, 2] == faces[:, 3]
    normal[degenerate] = np.cross(
        corner[degenerate, 1] - corner[degenerate, 0], corner[degenerate, 2] - corner[degenerate, 0]
    )
    total = np.zeros_like(vertices)
    for k in range(4):
        np.add.at(total, faces[:, k], normal)
    length = np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)
    return np.asarray(total / length, np.float32)


def join(parts: Sequence[Mesh]) -> Mesh:
    """One mesh of many; the parts keep their materials, and their patterns stay in the parts' own frames."""
    vertex_at = np.cumsum([0, *(len(p.vertices) for p in parts)])
    material_at = np.cumsum([0, *(len(p.materials) for p in parts)])
    return Mesh(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.normals for p in parts]),
        np.concatenate([p.faces + o for p, o in zip(parts, vertex_at, strict=False)]).astype(np.int32),
        np.concatenate([p.material + o for p, o in zip(parts, material_at, strict=False)]).astype(np.int32),
        tuple(m for p in parts for m in p.materials),
        np.concatenate([p.local for p in parts]),
        np.concatenate([p.local_normals for p in parts]),
        any(p.two_sided for p in parts),
        np.concatenate([p.bias for p in parts]),
        np.concatenate([p.part for p in parts]),
    )


def grid_faces(rows: int, columns: int, *, closed: bool = False) -> Ints:
    """Faces of a grid of vertices (rows, columns); closed joins the last column to the first."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    after = (c + 1) % columns
    return (
        np.stack([r * columns + c, r * columns + after, (r + 1) * columns + after, (r + 1) * columns + c], -1)
        .reshape(-1, 4)
        .astype(np.int32)
    )


def loft(
    rings: Floats, material: Material, *, closed: bool = True, caps: bool = True, two_sided: bool = False
) -> Mesh:
    """Skin over rings of points (R, C, 3).

    Rings run counter-clockwise seen against the direction of travel.
    """
    count, columns = rings.shape[:2]
    vertices = rings.reshape(-1, 3)
    faces = grid_faces(count, columns, closed=closed)
    if caps:
        ends = [(0, True), (count - 1, False)]
        for row, flip in ends:
            centre = len(vertices)
            vertices = np.concatenate([vertices, rings[row].mean(0, keepdims=True)])
            a = row * columns + np.arange(columns)
            b = row * columns + (np.arange(columns) + 1) % columns
            first, second = (b, a) if flip else (a, b)
            middle = np.full(columns, centre)
            faces = np.concatenate([faces, np.stack([first, second, middle, middle], -1).astype(np.int32)])
    return build(vertices, faces, material, two_sided=two_sided)


def box(size: tuple[float, float, float], material: Material, *, taper: float = 1.0) -> Mesh:
    """Box standing on z = 0, centred in x and y; taper scales its top. Flat faces."""
    hx, hy, hz = size[0] / 2, size[1] / 2, size[2]
    corner = np.array(
        [
            [-hx, -hy, 0],
            [hx, -hy, 0],
            [hx, hy, 0],
            [-hx, hy, 0],
            [-hx, -hy, hz],
            [hx, -hy, hz],
            [hx, hy, hz],
            [-hx, hy, hz],
        ],
        np.float32,
    )
    corner[4:, :2] *= taper
    sides = np.array([[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]])
    vertices = corner[sides].reshape(-1, 3)
    return build(vertices, np.arange(24, dtype=np.int32).reshape(6, 4), material)


def ring(radius_x: float, radius_y: float, z: float, columns: int, power: float = 2.0) -> Floats:
    """Superellipse of points (columns, 3) about the z axis, counter-clockwise from above."""
    t = np.linspace(0, 2 * math.pi, columns, endpoint=False)
    c, s = np.cos(t), np.sin(t)
    x = np.sign(c) * np.abs(c) ** (2 / power) * radius_x
    y = np.sign(s) * np.abs(s) ** (2 / power) * radius_y
    return np.stack([x, y, np.full(columns, z)], -1).astype(np.float32)


def turned(
    profile: Sequence[tuple[float, float]],
    material: Material,
    columns: int = 14,
    squash: float = 1.0,
    power: float = 2.0,
) -> Mesh:
    """Solid of revolution about z from (radius, z) pairs, bottom to top."""
    return loft(np.stack([ring(r, r * squash, z, columns, power) for r, z in profile]), material)


def ellipsoid(rx: float, ry: float, rz: float, material: Material, rows: int = 8, columns: int = 12) -> Mesh:
    """Ellipsoid about the origin."""
    t = np.linspace(-math.pi / 2, math.pi / 2, rows)
    return loft(
        np.stack(
            [
                ring(max(rx * math.cos(a), 1e-3), max(ry * math.cos(a), 1e-3), rz * math.sin(a), columns)
                for a in t
            ]
        ),
        material,
    )


def tube(
    a: Sequence[float] | Floats,
    b: Sequence[float] | Floats,
    radius_a: float,
    radius_b: float,
    material: Material,
    columns: int = 8,
) -> Mesh:
    """Round bar from a to b with rounded ends."""
    start, end = np.array(a, np.float32), np.array(b, np.float32)
    axis = end - start
    length = float(np.linalg.norm(axis))
    axis = axis / max(length, 1e-6)
    helper = np.array([1, 0, 0] if abs(axis[0]) < 0.9 else [0, 1, 0], np.float32)
    u = np.cross(helper, axis)
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    t = np.linspace(0, 2 * math.pi, columns, endpoint=False)[:, None]
    circle = np.cos(t) * u + np.sin(t) * v
    steps = [(-0.5, 0.6, radius_a), (0.0, 1.0, radius_a)]
    rings = [start + axis * (k * r) + circle * (w * r) for k, w, r in steps]
    rings += [end + axis * (-k * radius_b) + circle * (w * radius_b) for k, w, _ in reversed(steps)]
    return loft(np.stack(rings).astype(np.float32), material)


def wheel(radius: float, width: float, tyre: Material, rim: Material, columns: int = 20) -> Mesh:
    """Wheel on a y axle through the origin: tread and two faces that carry the rim's pattern."""
    profile = [
        (radius * 0.3, -width / 2),
        (radius * 0.93, -width / 2),
        (radius, -width / 4),
        (radius, width / 4),
        (radius * 0.93, width / 2),
        (radius * 0.3, width / 2),
    ]
    body = turned(profile, rim, columns)
    turn = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    vertices, normals = body.vertices @ turn, body.normals @ turn
    material = np.zeros(len(body.faces), np.int32)
    radii = np.linalg.norm(vertices[body.faces].mean(1)[:, [0, 2]], axis=1)
    material[radii > radius * 0.9] = 1
    return replace(
        body,
        vertices=vertices,
        normals=normals,
        local=vertices,
        local_normals=normals,
        material=material,
        materials=(rim, tyre),
    )


def sheet(corners: Sequence[Sequence[float]], material: Material, divisions: int = 1) -> Mesh:
    """Flat or bent four-cornered sheet (a, b, c, d counter-clockwise), seen from both sides."""
    a, b, c, d = (np.array(p, np.float32) for p in corners)
    s, t = np.meshgrid(np.linspace(0, 1, divisions + 1), np.linspace(0, 1, divisions + 1), indexing="ij")
    s, t = s[..., None], t[..., None]
    points = (1 - s) * (1 - t) * a + (1 - s) * t * b + s * t * c + s * (1 - t) * d
    return build(
        points.reshape(-1, 3).astype(np.float32),
        grid_faces(divisions + 1, divisions + 1),
        material,
        two_sided=True,
    )
