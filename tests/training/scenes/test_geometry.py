"""The drawn mask, the projection and the way back to the ground agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.scenes import vehicles, waste
from training.scenes.camera import Camera, Place
from training.scenes.light import Light
from training.scenes.mesh import Material, Mesh, box, ellipsoid, rgb
from training.scenes.raster import bounding_box, draw

CAMERA = Camera(width=640, height=360)
GREY = Material(rgb(128, 128, 128))


def drawn_box(mesh: Mesh) -> tuple[float, float, float, float]:
    sprite = draw(mesh, CAMERA, Light())
    assert sprite is not None
    rows, columns = np.flatnonzero((sprite.cover > 0.3).any(1)), np.flatnonzero((sprite.cover > 0.3).any(0))
    return (
        float(sprite.x + columns[0]),
        float(sprite.y + rows[0]),
        float(sprite.x + columns[-1] + 1),
        float(sprite.y + rows[-1] + 1),
    )


@settings(max_examples=25, deadline=None)
@given(x=st.floats(9, 30), y=st.floats(-4, 4), yaw=st.floats(0, 360), size=st.floats(0.5, 3))
def test_the_mask_of_a_box_spans_its_projection(x: float, y: float, yaw: float, size: float) -> None:
    mesh = box((size, size * 0.6, size * 0.8), GREY).moved(x, y, 0, yaw)
    projected = bounding_box(mesh, CAMERA)
    assert projected is not None
    assert drawn_box(mesh) == pytest.approx(projected, abs=1.0)


@pytest.mark.parametrize(
    "model",
    [
        vehicles.car(vehicles.SEDAN, vehicles.PAINTS[0]),
        waste.bin_(waste.BIN_COLOURS[0]),
        ellipsoid(1, 1, 1, GREY).moved(z=1),
    ],
)
def test_the_mask_of_a_model_spans_its_projection(model: Mesh) -> None:
    mesh = model.moved(13, 0.5, 0, 160)
    assert drawn_box(mesh) == pytest.approx(bounding_box(mesh, CAMERA), abs=1.0)


@settings(max_examples=50, deadline=None)
@given(x=st.floats(8, 60), y=st.floats(-10, 8))
def test_a_pixel_on_the_ground_leads_back_to_its_point(x: float, y: float) -> None:
    xy, _ = CAMERA.project(np.array([(x, y, 0.0)]))
    back = CAMERA.ground(float(xy[0, 0]), float(xy[0, 1]))
    assert back == pytest.approx((x, y), abs=2e-3 * x)


def test_a_pixel_above_the_horizon_has_no_ground() -> None:
    with pytest.raises(ValueError, match="above the horizon"):
        Camera(pitch_deg=0.0).ground(640, 100)


def test_the_heading_is_that_of_the_optical_axis() -> None:
    camera = Camera(position=(0.0, 0.0, 6.0), yaw_deg=30.0)
    place = Place(31.0, 120.0, 90.0)
    ahead = camera.ground(camera.width / 2, camera.height / 2)
    lat, lon = place.geodetic(camera, *ahead)
    assert lat == pytest.approx(31.0, abs=1e-7)  # due east
    assert lon > 120.0


def test_what_is_behind_the_camera_is_not_drawn() -> None:
    assert draw(box((1, 1, 1), GREY).moved(-20, 0), CAMERA, Light()) is None
    assert bounding_box(box((1, 1, 1), GREY).moved(-20, 0), CAMERA) is None
