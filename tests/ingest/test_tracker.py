from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.types import Detections
from ingest.rules.scripted import START, WH, Actor, moving, scenes, standing, visit
from ingest.tracker import Tracker

CAR = (200.0, 150.0, 300.0, 210.0)


def ids(filmed, label=None):
    return {track.track_id for scene in filmed for track in scene.tracks if label in (None, track.label)}


@pytest.mark.parametrize("fps", [2, 5, 12.5, 25])
def test_one_car_driving_past_is_one_track_and_never_at_rest(fps):
    filmed = list(scenes([Actor("car", moving((-90, 150, 10, 210), (90, 0)))], 8, fps=fps))
    assert len(ids(filmed)) == 1
    assert all(track.anchor is None for scene in filmed for track in scene.tracks)


def test_two_cars_that_pass_each_other_keep_their_ids():
    there = Actor("car", moving((-100, 100, 0, 160), (100, 0)))
    back = Actor("car", moving((640, 175, 740, 235), (-100, 0)))
    filmed = list(scenes([there, back], 6))
    assert len(ids(filmed)) == 2
    lefts = {track.track_id: [] for scene in filmed for track in scene.tracks}
    for scene in filmed:
        for track in scene.tracks:
            if track.last_at == scene.at:
                lefts[track.track_id].append(track.xyxy[0])
    assert all(np.all(np.diff(places) > 0) or np.all(np.diff(places) < 0) for places in lefts.values())


def test_a_standing_car_is_at_rest_since_it_was_first_seen():
    *_, last = scenes([Actor("car", standing(CAR))], 10)
    (track,) = last.tracks
    assert track.at_rest_since == START
    assert track.anchor == pytest.approx(CAR)
    assert (track.hits, track.first_at, track.last_at) == (50, START, last.at)


def test_a_car_that_drives_up_is_at_rest_since_it_stopped():
    *_, last = scenes([Actor("car", visit(CAR, (60, 0), arrive=4, leave=60))], 12)
    (track,) = last.tracks
    assert abs((track.at_rest_since - START).total_seconds() - 4) < 0.7


def test_a_car_that_drives_off_is_no_longer_at_rest():
    *_, last = scenes([Actor("car", visit(CAR, (60, 0), arrive=0, leave=6))], 8)
    (track,) = last.tracks
    assert track.anchor is None


def test_a_crawl_is_not_rest():
    filmed = list(scenes([Actor("car", moving(CAR, (3.0, 0)))], 40))  # three metres in 22 s
    rests = {track.at_rest_since for scene in filmed for track in scene.tracks}
    longest = max(
        (s.at - t.at_rest_since).total_seconds() for s in filmed for t in s.tracks if t.at_rest_since
    )
    assert len(ids(filmed)) == 1
    assert len(rests) > 5
    assert longest < 8


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_jitter_does_not_move_a_standing_car(seed):
    random = np.random.default_rng(seed)

    def shaking(_):
        return tuple((np.array(CAR) + random.normal(0, 2.0, 4)).tolist())

    *_, last = scenes([Actor("car", shaking)], 12)
    (track,) = last.tracks
    assert track.at_rest_since is not None
    assert (track.at_rest_since - START).total_seconds() < 3


def test_a_bus_in_front_hides_a_part_and_then_all_of_a_standing_car():
    """Somebody drives past between camera and car; the car keeps its id and its rest."""

    def half_hidden(second):
        if 4 <= second < 5:
            return (250.0, 150.0, 300.0, 210.0)
        return None if 5 <= second < 9 else CAR

    bus = Actor("bus", moving((-200, 120, 0, 260), (80, 0), since=1))
    filmed = list(scenes([Actor("car", half_hidden), bus], 12))
    cars = [track for track in filmed[-1].tracks if track.label == "car" and track.last_at == filmed[-1].at]
    assert [(car.track_id, car.at_rest_since) for car in cars] == [(1, START)]
    coasting = [track for track in filmed[35].tracks if track.track_id == 1]
    assert coasting[0].last_at < filmed[35].at


def test_a_label_that_flickers_is_voted():
    flicker = Actor(lambda second: "truck" if int(second * 5) % 3 == 0 else "car", standing(CAR))
    filmed = list(scenes([flicker], 8))
    assert len(ids(filmed)) == 1
    assert {track.label for scene in filmed[10:] for track in scene.tracks} == {"car"}


def test_a_bin_changes_its_label_only_when_it_keeps_overflowing():
    one_frame = Actor(lambda second: "bin_overflow" if second == 5.0 else "bin", standing(CAR))
    assert ids(scenes([one_frame], 10), "bin_overflow") == set()
    for_good = Actor(lambda second: "bin_overflow" if second >= 5.0 else "bin", standing(CAR))
    *_, last = scenes([for_good], 15)
    assert [track.label for track in last.tracks] == ["bin_overflow"]


def test_labels_that_cannot_be_one_thing_are_two_tracks():
    filmed = list(scenes([Actor("car", standing(CAR)), Actor("person", standing(CAR))], 3))
    assert len(ids(filmed)) == 2


def test_one_thing_boxed_twice_under_two_labels_is_one_track():
    filmed = list(
        scenes([Actor("car", standing(CAR)), Actor("truck", standing((201, 151, 301, 211)), 0.5)], 3)
    )
    assert len(ids(filmed)) == 1


def test_doubtful_boxes_keep_a_track_alive_but_begin_none():
    fading = [Actor("car", standing(CAR, until=3)), Actor("car", standing(CAR, since=3), score=0.12)]
    filmed = list(scenes(fading, 20))
    assert ids(filmed) == {1}
    assert filmed[-1].tracks[0].last_at == filmed[-1].at
    assert ids(scenes([Actor("car", standing(CAR), score=0.2)], 5)) == set()


def test_one_flash_is_no_track():
    assert ids(scenes([Actor("car", lambda second: CAR if second == 1.0 else None)], 5)) == set()


def test_ids_are_counted_per_tracker():
    assert [ids(scenes([Actor("car", standing(CAR))], 2)) for _ in range(2)] == [{1}, {1}]


def test_stills_a_minute_apart_are_followed():
    filmed = list(scenes([Actor("car", standing(CAR))], 600, fps=1 / 60))
    assert ids(filmed) == {1}
    assert filmed[-1].tracks[0].at_rest_since == START


def test_a_thing_is_forgotten_when_it_is_gone():
    *_, last = scenes(
        [Actor("car", standing(CAR, until=5)), Actor("person", standing((0, 0, 20, 50), until=5))], 40
    )
    assert last.tracks == ()


CONFUSING = {"stall": 0.3, "bus": 0.3, "tricycle": 0.3, "car": 0.3}


def told(frames):
    """Give the tracks after each frame, a list of (label, score) for the one place."""
    tracker = Tracker("run")
    names = tuple(CONFUSING)
    for index, seen in enumerate(frames):
        boxes = np.array([(200.0 + place, 150.0, 300.0, 210.0) for place in range(len(seen))], np.float32)
        labels = np.array([names.index(label) for label, _ in seen], np.int64)
        found = Detections(boxes.reshape(-1, 4), np.array([score for _, score in seen]), labels, names)
        yield tracker.update(index, START + timedelta(seconds=index / 5), found, CONFUSING, WH)


def test_a_stall_that_is_taken_for_a_bus_too_is_one_thing():
    """Also where for a moment only the wrong name is given."""
    alone = [[("stall", 0.6)]] * 15
    both = [[("stall", 0.35), ("bus", 0.4)]] * 10
    *_, tracks = told([*alone, *both, *[[("bus", 0.5)]] * 7, *both])
    assert [track.label for track in tracks] == ["stall"]


def test_a_thing_whose_other_name_is_much_surer_for_long_takes_it():
    *_, tracks = told([*[[("stall", 0.6)]] * 12, *[[("stall", 0.12), ("bus", 0.9)]] * 60])
    assert [track.label for track in tracks] == ["bus"]


def test_a_bus_that_comes_where_a_stall_was_is_another_thing():
    frames = [*[[("stall", 0.6)]] * 15, *[[]] * 8, *[[("bus", 0.8)]] * 15]
    *_, tracks = told(frames)
    now = max(track.last_at for track in tracks)
    assert [track.label for track in tracks if track.last_at == now] == ["bus"]


def test_a_stall_on_a_tricycle_is_both():
    *_, tracks = told([[("tricycle", 0.6), ("stall", 0.5)]] * 15)
    assert sorted(track.label for track in tracks) == ["stall", "tricycle"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=10, max_size=40), st.randoms(use_true_random=False))
def test_clocks_that_jump_break_nothing(jumps, random):
    tracker, at = Tracker("run"), START
    for index, jump in enumerate(jumps):
        at += timedelta(seconds=jump)
        boxes = [CAR] if random.random() < 0.7 else []
        found = Detections(np.array(boxes), np.full(len(boxes), 0.8), np.zeros(len(boxes)), ("car",))
        for track in tracker.update(index, at, found, {}, WH):
            assert track.first_at <= track.last_at <= at
            assert track.at_rest_since is None or track.at_rest_since <= at


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_seen_track_has_a_box_of_this_frame_and_none_is_given_twice(seed):
    random = np.random.default_rng(seed)
    tracker = Tracker("run")
    names = ("car", "truck", "person", "litter")
    for index in range(20):
        number = int(random.integers(0, 8))
        corner = random.uniform(0, 500, (number, 2))
        boxes = np.hstack([corner, corner + random.uniform(5, 120, (number, 2))])
        found = Detections(boxes, random.uniform(0.05, 1, number), random.integers(0, 4, number), names)
        at = START + timedelta(seconds=index / 5)
        tracks = tracker.update(index, at, found, {"car": 0.5}, WH)
        seen = [track.xyxy for track in tracks if track.last_at == at]
        assert len(seen) == len(set(seen))
        assert all(any(np.allclose(box, one, atol=1e-3) for one in found.xyxy) for box in seen)
        assert len({track.track_id for track in tracks}) == len(tracks)
