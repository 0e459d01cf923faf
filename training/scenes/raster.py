"""Draw one mesh by deferred shading.

OpenCV draws face numbers; then every sample is shaded with its true position and normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.camera import Camera, Doubles, Floats
from training.scenes.light import Facing, Finish, Light, in_haze, shade, smoothstep
from training.scenes.mesh import Ints, Mesh, Patch

NEAR_M = 0.5
MIN_FACES_SELF_SHADE = 20
_SHIFT = 4  # cv2's sub-pixel bits


@dataclass(frozen=True)
class Sprite:
    """A drawn object at column x, row y of the picture.

    colour (h, w, 3) is linear BGR times cover (h, w); distance in metres.
    """

    x: int
    y: int
    colour: Floats
    cover: Floats
    distance: float
    parts: tuple[Floats, ...] = ()
    """Cover (h, w) of each part where the mesh has several."""

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that the sprite lies on."""
        h, w = self.cover.shape
        return slice(self.y, self.y + h), slice(self.x, self.x + w)


@dataclass(frozen=True)
class Fragments:
    """The samples (N) that a mesh covers in a window (x, y, w, h) of the picture."""

    window: tuple[int, int, int, int]
    rows: Ints
    columns: Ints
    position: Floats
    normal: Floats
    local: Floats
    local_normal: Floats
    material: Ints
    part: Ints
    distance: Floats
    view: Floats


def bounding_box(mesh: Mesh, camera: Camera) -> tuple[float, float, float, float] | None:
    """Exact xyxy in pixels of the mesh's projection, clipped to the picture.

    None where nothing of it is in view.
    """
    xy, depth = camera.project(mesh.vertices)
    xy = xy[depth > NEAR_M]
    if len(xy) == 0:
        return None
    x0, y0 = np.maximum(xy.min(0), 0)
    x1, y1 = np.minimum(xy.max(0), [camera.width, camera.height])
    return (float(x0), float(y0), float(x1), float(y1)) if x1 > x0 and y1 > y0 else None


def draw(
    mesh: Mesh,
    camera: Camera,
    light: Light,
    scale: int = 2,
    shelter_m: float = 0.6,
    *,
    self_shade: bool = True,
) -> Sprite | None:
    """Draw a mesh as a sprite, `scale`² samples per pixel; None where it is out of view.

    shelter_m is the height below which the ground takes skylight away from a surface. Without self_shade the
    mesh throws no shadow on itself: cheaper, and right for convex bodies.
    """
    found = fragments(mesh, camera, scale)
    if found is None:
        return None
    x0, y0, _, _ = found.window
    shelter = (0.45 + 0.55 * smoothstep(-0.05, shelter_m, found.position[:, 2])).astype(np.float32)
    if self_shade and len(mesh.faces) > MIN_FACES_SELF_SHADE:
        shelter *= 0.42 + 0.58 * lit_share(mesh, np.array([0, 0, 1], np.float32), found.position, 0.16)
        sunlit = lit_share(mesh, light.to_sun, found.position, 0.02 + 0.05 * light.softness)
    else:
        sunlit = np.ones(len(shelter), np.float32)
    radiance = _surface(mesh, found, light, shelter, sunlit)
    small = _gathered(
        found,
        np.concatenate(
            [in_haze(light, radiance, found.distance), np.ones((len(radiance), 1), np.float32)], 1
        ),
        scale,
    )
    numbers = np.unique(mesh.part)
    parts = (
        tuple(_gathered(found, (found.part == k).astype(np.float32)[:, None], scale) for k in numbers)
        if len(numbers) > 1
        else ()
    )
    base = mesh.vertices.mean(0)
    distance = math.hypot(float(base[0]) - camera.position[0], float(base[1]) - camera.position[1])
    return Sprite(
        x0, y0, np.ascontiguousarray(small[..., :3]), np.ascontiguousarray(small[..., 3]), distance, parts
    )


def _gathered(found: Fragments, values: Floats, scale: int) -> Floats:
    """Average sample values (N, C) into the window's pixels (h, w, C), or (h, w) of one channel."""
    _, _, w, h = found.window
    canvas = np.zeros((h * scale, w * scale, values.shape[1]), np.float32)
    canvas[found.rows, found.columns] = values
    small = cv2.resize(canvas, (w, h), interpolation=cv2.INTER_AREA)
    return np.asarray(small.reshape(h, w, -1)[..., 0] if values.shape[1] == 1 else small, np.float32)


def fragments(mesh: Mesh, camera: Camera, scale: int) -> Fragments | None:
    """Find the visible face under every sample and its place in the world."""
    window = _window(mesh, camera)
    if window is None:
        return None
    x0, y0, w, h = window
    xy, depth = camera.project(mesh.vertices)
    quads = _quads(mesh.vertices, mesh.faces)
    away = quads.centre - np.array(camera.position)
    drawn = (depth[mesh.faces] > NEAR_M).all(1)
    if not mesh.two_sided:
        drawn &= (quads.plane * away).sum(1) < 0
    distance = np.linalg.norm(away, axis=1) - mesh.bias
    order = np.flatnonzero(drawn)
    order = order[np.argsort(-distance[order], kind="stable")]
    faces = np.full((h * scale, w * scale), -1, np.int32)
    pixels = np.round((xy - [x0, y0]) * (scale << _SHIFT) - (1 << _SHIFT) / 2)
    points = np.clip(pixels, -(2**28), 2**28).astype(np.int32)[mesh.faces]
    for k in order.tolist():
        cv2.fillConvexPoly(faces, points[k], k, 8, _SHIFT)
    rows, columns = np.nonzero(faces >= 0)
    if len(rows) == 0:
        return None
    samples = _Samples(window, scale, faces[rows, columns], rows.astype(np.int32), columns.astype(np.int32))
    return _place(mesh, camera, samples, quads)


def _window(mesh: Mesh, camera: Camera) -> tuple[int, int, int, int] | None:
    box = bounding_box(mesh, camera)
    if box is None:
        return None
    x0, y0 = max(math.floor(box[0]) - 1, 0), max(math.floor(box[1]) - 1, 0)
    x1, y1 = min(math.ceil(box[2]) + 1, camera.width), min(math.ceil(box[3]) + 1, camera.height)
    return x0, y0, x1 - x0, y1 - y0


@dataclass(frozen=True)
class _Samples:
    """Samples (N) of a window: the face that each one shows, and where it lies in the window."""

    window: tuple[int, int, int, int]
    scale: int
    face: Ints
    rows: Ints
    columns: Ints


@dataclass(frozen=True)
class _Quads:
    """Faces as planes: middle, two spanning directions and their cross product, (F, 3) each."""

    centre: Doubles
    e1: Doubles
    e2: Doubles
    plane: Doubles


def _quads(vertices: Floats, faces: Ints) -> _Quads:
    corners = vertices[faces].astype(np.float64)  # (F, 4, 3)
    e1, e2 = _edges(corners)
    return _Quads(corners.mean(1), e1, e2, np.cross(e1, e2))


def _edges(corners: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Half-diagonal frame of each quad: the directions along which its corners differ."""
    a, b, c, d = (corners[:, k] for k in range(4))
    return (b + c - a - d) / 2, (c + d - a - b) / 2


def _place(mesh: Mesh, camera: Camera, samples: _Samples, quads: _Quads) -> Fragments:
    """Cut every sample's ray with its face and carry the vertices' values there."""
    x0, y0, _, _ = samples.window
    face, rows, columns, scale = samples.face, samples.rows, samples.columns, samples.scale
    centre, e1, e2, plane = quads.centre, quads.e1, quads.e2, quads.plane
    away = centre - np.array(camera.position)
    rays = camera.rays(
        ((columns + 0.5) / scale + x0).astype(np.float32), ((rows + 0.5) / scale + y0).astype(np.float32)
    )
    square = np.maximum((plane * plane).sum(1, keepdims=True), 1e-14)
    g1 = np.cross(e2, plane) / square  # dual basis: g1·e1 = 1, g1·e2 = 0
    g2 = np.cross(plane, e1) / square
    offset = (plane * away).sum(1).astype(np.float32)
    slope = (plane.astype(np.float32)[face] * rays).sum(1)
    reach = offset[face] / np.where(np.abs(slope) < 1e-9, -1e-9, slope)
    near = np.linalg.norm(away, axis=1).astype(np.float32)[face] / np.linalg.norm(rays, axis=1)
    size = np.sqrt(square[:, 0]).astype(np.float32)[face] ** 0.5
    reach = np.clip(reach, near - 2 * size - 0.2, near + 2 * size + 0.2)
    origin = np.array(camera.position, np.float32)
    position = origin + rays * reach[:, None]
    inside = position - centre.astype(np.float32)[face]
    s = np.clip((inside * g1.astype(np.float32)[face]).sum(1), -0.5, 0.5)[:, None]
    t = np.clip((inside * g2.astype(np.float32)[face]).sum(1), -0.5, 0.5)[:, None]

    def spread(values: Floats) -> Floats:
        corner = values[mesh.faces]
        d1, d2 = _edges(corner)
        return np.asarray(corner.mean(1)[face] + s * d1[face] + t * d2[face])

    normal = spread(mesh.normals)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    distance = np.linalg.norm(rays, axis=1) * reach
    view = -rays / np.linalg.norm(rays, axis=1, keepdims=True)
    facing = (normal * view).sum(1)
    if mesh.two_sided:
        normal[facing < 0] *= -1
    return Fragments(
        samples.window,
        rows,
        columns,
        position,
        normal,
        spread(mesh.local),
        spread(mesh.local_normals),
        mesh.material[face],
        mesh.part[face],
        distance,
        view,
    )


def _surface(mesh: Mesh, found: Fragments, light: Light, shelter: Floats, sunlit: Floats) -> Floats:
    """Radiance (N, 3) of the fragments after each material's pattern."""
    albedo = np.array([m.albedo for m in mesh.materials], np.float32)[found.material]
    gloss = np.array([m.gloss for m in mesh.materials], np.float32)[found.material]
    rough = np.array([m.rough for m in mesh.materials], np.float32)[found.material]
    for number, material in enumerate(mesh.materials):
        if material.paint is None:
            continue
        chosen = np.flatnonzero(found.material == number)
        if len(chosen):
            a, g = albedo[chosen], gloss[chosen]
            material.paint(Patch(found.local[chosen], found.local_normal[chosen], a, g))
            albedo[chosen], gloss[chosen] = a, g
    radiance = shade(light, Finish(albedo, gloss, rough), Facing(found.normal, found.view, shelter, sunlit))
    glow = np.array([m.glow for m in mesh.materials], np.float32)[found.material]
    return radiance + albedo * glow[:, None]


def lit_share(mesh: Mesh, direction: Floats, position: Floats, spread_m: float) -> Floats:
    """Share (N,) of the light from a far, slightly wide source that the mesh leaves to its own points.

    direction (3,) is the unit vector to the source. The test is a depth map seen from there.
    """
    helper = np.array([1, 0, 0] if abs(direction[0]) < 0.8 else [0, 1, 0], np.float32)
    u = np.cross(helper, direction)
    u /= np.linalg.norm(u)
    basis = np.stack([u, np.cross(direction, u), direction]).astype(np.float32)
    points = mesh.vertices @ basis.T
    low, high = points.min(0), points.max(0)
    step = max(0.02, float((high - low)[:2].max()) / 240)
    depth = _depth_map(mesh, points, low, step, np.ceil((high - low)[:2] / step).astype(int) + 2)
    seen = position @ basis.T
    height = seen[:, 2] + 2.2 * step + 0.35 * spread_m
    free = np.zeros(len(seen), np.float32)
    taps = ((0, 0), (1, 0.4), (-0.4, 1), (-1, -0.4), (0.4, -1))
    for du, dv in taps:
        column = np.clip(((seen[:, 0] - low[0] + du * spread_m) / step).astype(int), 0, depth.shape[1] - 1)
        row = np.clip(((seen[:, 1] - low[1] + dv * spread_m) / step).astype(int), 0, depth.shape[0] - 1)
        free += depth[row, column] < height
    return free / len(taps)


def _depth_map(mesh: Mesh, points: Floats, low: Floats, step: float, size: Ints) -> Floats:
    """Height of the outermost surface over a grid that looks along the third axis of points (V, 3)."""
    quads = _quads(points, mesh.faces)
    centre, plane = quads.centre, quads.plane
    order = np.argsort(centre[:, 2], kind="stable")
    faces = np.full((int(size[1]), int(size[0])), -1, np.int32)
    grid = np.round((points[:, :2] - low[:2]) / step * (1 << _SHIFT)).astype(np.int32)[mesh.faces]
    for k in order.tolist():
        cv2.fillConvexPoly(faces, grid[k], k, 8, _SHIFT)
    rows, columns = np.nonzero(faces >= 0)
    face = faces[rows, columns]
    tilt = np.where(np.abs(plane[:, 2]) < 1e-9, 1e-9, plane[:, 2])
    slope = np.clip(plane[:, :2] / tilt[:, None], -4, 4)
    du, dv = (columns + 0.5) * step + low[0] - centre[face, 0], (rows + 0.5) * step + low[1] - centre[face, 1]
    reach = np.abs(points[mesh.faces][:, :, 2] - centre[:, None, 2]).max(1)[face]
    rise = np.clip(-(slope[face, 0] * du + slope[face, 1] * dv), -reach, reach)
    depth = np.full(faces.shape, -1e9, np.float32)
    depth[rows, columns] = centre[face, 2] + rise
    return depth
