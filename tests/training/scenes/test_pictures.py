"""A rendered picture depends on its seed alone, and its labels on what is visible."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.scenes import story, waste
from training.scenes.camera import Camera
from training.scenes.compose import CLASSES, Lens, Sensor, Thing, Truth, compose, draw_thing, floor_of
from training.scenes.light import Light
from training.scenes.mesh import Material, box, join, rgb
from training.scenes.pictures import kept, label_lines, picture, write_lists
from training.scenes.plan import Street
from training.scenes.street import Backdrop, render_street

CAMERA = Camera(width=320, height=180)
GREY = Material(rgb(128, 128, 128))


def empty() -> Backdrop:
    flat = np.full((CAMERA.height, CAMERA.width, 3), 0.3, np.float32)
    return Backdrop(flat, np.ones(flat.shape[:2], np.float32), np.full(3, 0.6, np.float32))


def truth_of(*things: Thing) -> list[Truth]:
    drawn = [d for d in (draw_thing(t, CAMERA, Light()) for t in things) if d is not None]
    return compose(floor_of(empty(), ()), drawn)[1]


def test_a_picture_repeats_from_its_seed() -> None:
    first, boxes = picture(3, 1, 320, 180)
    again, boxes_again = picture(3, 1, 320, 180)
    other, _ = picture(3, 2, 320, 180)
    assert first.shape == (180, 320, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert boxes == boxes_again
    assert not np.array_equal(first, other)


def test_the_empty_street_repeats_and_has_ground_sky_and_front() -> None:
    camera, street = Camera(width=160, height=90), Street(seed=3)
    a, b = render_street(street, camera, Light(), 1), render_street(street, camera, Light(), 1)
    assert np.array_equal(a.radiance, b.radiance)
    assert np.isfinite(a.radiance).all()
    assert a.radiance.min() >= 0
    assert 0.3 < a.ground.mean() < 0.95


def test_a_hidden_part_is_cut_from_the_box() -> None:
    near = Thing(box((0.5, 6, 2.0), GREY).moved(9, 0), "car", name="near")
    tall = Thing(box((0.5, 0.5, 3.0), GREY).moved(12, 0), "person", name="tall")
    alone = truth_of(tall)[0]
    behind = next(t for t in truth_of(near, tall) if t.name == "tall")
    assert alone.visible == 1.0
    assert behind.visible < 1.0
    assert behind.xyxy[3] < alone.xyxy[3]
    assert behind.xyxy[1] == alone.xyxy[1]


def test_a_rider_and_the_bike_are_labelled_apart() -> None:
    both = join(
        [box((1, 0.5, 0.8), GREY).as_part(0), box((0.4, 0.4, 0.9), GREY).moved(z=0.8).as_part(1)]
    ).moved(12, 0)
    found = truth_of(Thing(both, "motorcycle", name="a", part_labels=("motorcycle", "person")))
    assert [t.label for t in found] == ["motorcycle", "person"]
    assert found[1].xyxy[1] < found[0].xyxy[1]


def test_a_thing_darkens_the_ground_beside_it() -> None:
    drawn = draw_thing(Thing(waste.bin_(waste.BIN_COLOURS[0]).moved(12, 0)), CAMERA, Light())
    assert drawn is not None
    lit, _ = compose(floor_of(empty(), ()), [drawn])
    still, _ = compose(floor_of(empty(), [drawn]))
    assert np.allclose(lit, still, atol=1e-6)
    beside = lit[drawn.shade_y : drawn.shade_y + drawn.no_sun.shape[0]]
    assert beside.min() < 0.25


def test_the_sensor_keeps_the_range() -> None:
    ramp = np.linspace(0, 20, 320 * 180 * 3, dtype=np.float32).reshape(180, 320, 3)
    image = Sensor(Lens(), 1.0, (320, 180), 1).expose(ramp, 5)
    assert image.dtype == np.uint8
    assert image[-1].min() > image[0].max()


def test_labels_name_class_and_shares() -> None:
    text = label_lines([Truth("bin_overflow", "b", (10, 20, 30, 60), 1.0)], 100, 200)
    assert text == "11 0.200000 0.200000 0.200000 0.200000\n"
    assert len(CLASSES) == 12


def test_small_and_hidden_objects_are_not_asked_for() -> None:
    assert kept(Truth("car", "c", (0, 0, 50, 30), 0.9))
    assert not kept(Truth("car", "c", (0, 0, 50, 30), 0.1))
    assert not kept(Truth("bin", "b", (0, 0, 5, 9), 1.0))


def test_the_lists_split_the_set(tmp_path: Path) -> None:
    write_lists(tmp_path, [f"p{k}" for k in range(20)])
    train, val = ((tmp_path / f).read_text().split() for f in ("train.txt", "val.txt"))
    assert len(train) == 18
    assert len(val) == 2
    assert not set(train) & set(val)
    assert "11: bin_overflow" in (tmp_path / "data.yaml").read_text()


def test_a_path_stays_where_it_ends() -> None:
    path = story.Path(((1.0, 50.0, -5.0), (5.0, 13.0, -1.3)), stays=True)
    assert path.at(0.5) is None
    assert path.at(30.0) == path.at(5.0)
    there = path.at(30.0)
    assert there is not None
    assert 170 < abs(there[2]) <= 180
    assert not path.moving(30.0)
    assert path.moving(3.0)
