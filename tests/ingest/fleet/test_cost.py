"""Costs are taken from what workers measure; estimates only stand in until then."""

from __future__ import annotations

import doctest
from dataclasses import replace

import pytest

from ingest.fleet import cost
from ingest.fleet.cost import SETTLE_S, START_CORES, Books, no_room
from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus

CAMERA = CameraStatus(
    "one", "host:1", CameraState.RUNNING, fps_analysed=5.0, codec="h264", size_px=(1920, 1080)
)


def measure(books, cameras, cpu_share, seconds=20, cores=0.1):
    """Tell of `seconds` in which each camera's own threads took `cores`."""
    for second in range(seconds + 1):
        told = tuple(replace(camera, cpu_s=cores * second) for camera in cameras)
        books.note(WorkerStatus("host:1", alive=True, cpu_share=cpu_share, cameras=told), float(second))


def test_the_examples_are_right():
    assert doctest.testmod(cost).failed == 0


def test_before_anything_was_measured_the_start_estimate_counts():
    demand = Books().demand("one", 5.0, 1.0)
    assert demand.cost(5.0) == pytest.approx(START_CORES)


def test_own_threads_are_a_cameras_own_and_inference_is_shared_by_frames():
    books = Books()
    cameras = [CAMERA, replace(CAMERA, camera_id="two", fps_analysed=15.0)]
    measure(books, cameras, cpu_share=0.6)  # 0.2 in the cameras' threads, 0.4 for 20 frames a second
    one, two = books.demand("one", 5.0, 1.0), books.demand("two", 15.0, 1.0)
    assert one.fixed == pytest.approx(0.1)
    assert one.per_frame == pytest.approx(0.02)
    assert one.cost(5.0) + two.cost(15.0) == pytest.approx(0.6)


def test_a_burst_of_evidence_does_not_make_a_camera_look_expensive():
    """0.05 cores of its own, 0.4 of evidence for the first 20 s, then none."""
    books, made, last = Books(), 0.0, None
    for second in range(31):
        made += 0.4 if 0 < second <= 20 else 0.0
        told = replace(CAMERA, cpu_s=0.05 * second + made, evidence_cpu_s=made)
        share = 0.05 + (0.4 if 0 < second <= 20 else 0.0)
        books.note(WorkerStatus("host:1", alive=True, cpu_share=share, cameras=(told,)), float(second))
        last = books.demand("one", 5.0, 1.0)
    assert last.per_frame == pytest.approx(0.0)
    assert 0.06 < last.fixed < 0.08


def test_evidence_that_goes_on_counts_in_full_after_minutes():
    books = Books()
    for second in range(1800):
        told = replace(CAMERA, cpu_s=0.15 * second, evidence_cpu_s=0.1 * second)
        books.note(WorkerStatus("host:1", alive=True, cpu_share=0.15, cameras=(told,)), float(second))
    assert books.demand("one", 5.0, 1.0).fixed == pytest.approx(0.15, abs=0.001)


def test_a_camera_not_measured_yet_counts_as_the_median_of_similar_ones():
    books = Books()
    small = [replace(CAMERA, camera_id=f"s{n}", size_px=(640, 360)) for n in range(3)]
    large = [replace(CAMERA, camera_id=f"l{n}") for n in range(3)]
    measure(books, small, cpu_share=0.3, cores=0.02)
    measure(books, large, cpu_share=0.9, cores=0.2)
    assert books.estimate(5.0, 1.0, ("h264", (640 * 360).bit_length())).fixed == pytest.approx(0.02)
    assert books.estimate(5.0, 1.0, ("h264", (1920 * 1080).bit_length())).fixed == pytest.approx(0.2)
    assert 0.02 <= books.estimate(5.0, 1.0).fixed <= 0.2


def test_a_camera_counts_as_measured_after_a_while_and_is_forgotten_on_leaving():
    books = Books()
    measure(books, [CAMERA], cpu_share=0.2, seconds=int(SETTLE_S) - 1)
    assert not books.measured("one")
    measure(books, [CAMERA], cpu_share=0.2, seconds=int(SETTLE_S) + 1)
    assert books.measured("one")
    books.forget("one")
    assert not books.measured("one")


def test_a_camera_that_moved_begins_to_count_its_cpu_time_anew():
    books = Books()
    measure(books, [replace(CAMERA, cpu_s=0.0)], cpu_share=0.2)
    books.note(
        WorkerStatus("host:2", alive=True, cpu_share=0.2, cameras=(CAMERA,)), 21.0
    )  # from 2.0 back to 0
    assert books.demand("one", 5.0, 1.0).fixed == pytest.approx(0.1)


def test_a_refusal_names_the_figures():
    sentence = no_room(Books().demand("one", 5.0, 1.0), 1.6, 1.7, 10)
    assert sentence.startswith("no room: it would take 0.08 cores, and 10 cameras use 1.60 of the 1.70")
