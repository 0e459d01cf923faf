"""The demo's files: a repeatable encoding, a site file that reads, a truth with every expected event."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from training.scenes import clip, story
from training.scenes.compose import Picture, Truth

DEMO = Path(__file__).parents[3] / "datasets" / "demo"


def grey_frames(count: int) -> Iterator[tuple[Picture, list[Truth]]]:
    for k in range(count):
        yield np.full((90, 160, 3), 40 + 5 * k, np.uint8), [Truth("car", "c", (1, 2, 30, 40), 1.0)]


def test_the_same_frames_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        truth = clip.encode(tmp_path / name, grey_frames(20), (160, 90))
        assert len(truth) == 20
    digests = {hashlib.sha256((tmp_path / n).read_bytes()).hexdigest() for n in ("a.mp4", "b.mp4")}
    assert len(digests) == 1


def test_there_is_a_key_frame_every_second(tmp_path: Path) -> None:
    clip.encode(tmp_path / "a.mp4", grey_frames(2 * story.FPS + 1), (160, 90))
    with av.open(str(tmp_path / "a.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [k for k, f in enumerate(frames) if f.key_frame] == [0, story.FPS, 2 * story.FPS]


def test_the_site_text_is_toml_with_points_and_zones_inside_the_picture() -> None:
    site = tomllib.loads(clip.site_text(story.CAMERA, "street.mp4"))
    camera = site["camera"][0]
    assert len(camera["ground_points"]) >= 4
    inside = [p["xy"] for p in camera["ground_points"]] + [c for z in camera["zone"] for c in z["polygon"]]
    assert all(0 <= v <= 1 for xy in inside for v in xy)
    assert {z["kind"] for z in camera["zone"]} == {"no_parking", "no_vending", "public"}


def test_the_committed_site_file_is_the_scenes() -> None:
    assert (DEMO / "site.toml").read_text() == clip.site_text(story.CAMERA, "street.mp4")


def test_the_committed_truth_holds_every_expected_event() -> None:
    truth = json.loads((DEMO / "truth.json").read_text())
    assert [e["kind"] for e in truth["events"]] == [e.kind for e in story.EXPECTED]
    assert all(e["xyxy"] for e in truth["events"])
    with av.open(str(DEMO / "street.mp4")) as container:
        stream = container.streams.video[0]
        assert [stream.width, stream.height] == truth["size"]
        assert float(stream.duration * stream.time_base) == pytest.approx(truth["seconds"], abs=0.1)
    assert (DEMO / "street.mp4").stat().st_size <= 3_000_000


def test_the_car_that_waits_is_gone_before_the_dwell() -> None:
    actor = next(a for a in story.cast() if a.name == "car-waits")
    still = [
        s
        for s in np.arange(0, story.SECONDS, 0.2)
        if actor.path.at(float(s)) and not actor.path.moving(float(s))
    ]
    assert 3 < still[-1] - still[0] < 8
