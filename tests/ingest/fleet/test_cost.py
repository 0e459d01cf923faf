"""Costs are taken from what workers measure; estimates only stand in until then."""

from __future__ import annotations

import doctest
from dataclasses import replace

import pytest

from ingest.fleet import cost
from ingest.fleet.cost import CAPPED_AT, SETTLE_S, START_CORES, WARM_S, Books, no_room
from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus

CAMERA = CameraStatus(
    "one", "host:1", CameraState.RUNNING, fps_wanted=5.0, codec="h264", size_px=(1920, 1080)
)
KNOWN_S = int(WARM_S + SETTLE_S) + 1
LARGE = ("h264", (1920 * 1080).bit_length())


class Street:
    """A worker that tells the books of each second; what it counted so far goes on from call to call."""

    def __init__(self, books, cameras, worker="host:1", now=0.0):
        self.books, self.cameras, self.worker, self.now = books, list(cameras), worker, now
        self.cpu_s = 0.0
        self.tell()

    def tell(self):
        told = WorkerStatus(self.worker, alive=True, cpu_s=self.cpu_s, cameras=tuple(self.cameras))
        self.books.note(told, self.now)

    def run(
        self, seconds, own=0.1, per_frame=0.02, looks=lambda rate: rate, evidence=0.0, late=0.0, beside=0.0
    ):
        """Let seconds pass; `looks` gives the frames a second that are analysed at a rate, none of them late."""
        for _ in range(seconds):
            self.now += 1.0
            for n, one in enumerate(self.cameras):
                took = own[one.camera_id] if isinstance(own, dict) else own
                seen = looks(one.fps_wanted) * (1 - late)
                dropped = {
                    "still": one.dropped.get("still", 0)
                    + (one.fps_wanted - looks(one.fps_wanted)) * (1 - late),
                    "late": one.dropped.get("late", 0) + one.fps_wanted * late,
                }
                self.cameras[n] = replace(
                    one,
                    cpu_s=one.cpu_s + took + evidence,
                    evidence_cpu_s=one.evidence_cpu_s + evidence,
                    analysed=one.analysed + seen,
                    dropped=dropped,
                )
                self.cpu_s += took + evidence + per_frame * seen
            self.cpu_s += beside
            self.tell()
        return self

    def promise(self, rate):
        """Give the cameras another rate."""
        self.cameras = [replace(one, fps_wanted=rate) for one in self.cameras]
        return self


def cores(demand, fps=None):
    return demand.cost(demand.fps if fps is None else fps)


def key_frames_first(activity):
    """A camera whose gate looks every 2 s whatever the rate, and at all that is due for a share of the time."""
    return lambda rate: 0.5 + activity * (rate - 0.5)


def test_the_examples_are_right():
    assert doctest.testmod(cost).failed == 0


def test_before_anything_was_measured_the_start_estimate_counts():
    assert cores(Books().demand("one", 5.0, 1.0)) == pytest.approx(START_CORES)


def test_own_threads_are_a_cameras_own_and_inference_is_shared_by_frames():
    books = Books()
    Street(books, [CAMERA, replace(CAMERA, camera_id="two", fps_wanted=15.0)]).run(KNOWN_S)
    one, two = books.demand("one", 5.0, 1.0), books.demand("two", 15.0, 1.0)
    assert one.fixed == pytest.approx(0.1)
    assert one.per_frame == pytest.approx(0.02)
    assert cores(one) + cores(two) == pytest.approx(0.6)


def test_a_camera_is_reckoned_with_what_it_takes_and_not_with_what_it_could_take():
    books = Books()
    Street(books, [CAMERA]).run(60, own=0.06, per_frame=0.02, looks=key_frames_first(0.05))
    assert cores(books.demand("one", 5.0, 1.0)) == pytest.approx(0.06 + 0.02 * 0.725)


@pytest.mark.parametrize("activity", [0.0, 0.05, 0.5, 1.0])
def test_what_it_costs_at_a_rate_is_the_same_whatever_rate_is_in_force(activity):
    looks = key_frames_first(activity)
    true = {rate: 0.06 + 0.02 * looks(rate) for rate in (1.0, 2.0, 5.0)}
    books = Books()
    street = Street(books, [CAMERA]).run(300, own=0.06, looks=looks)
    for rate in (1.0, 5.0, 2.0):  # measured at 5, then at 1, then at both, then at 2 as well
        demand = books.demand("one", 5.0, 1.0)
        assert {fps: cores(demand, fps) for fps in true} == pytest.approx(true, abs=0.001)
        street.promise(rate).run(40, own=0.06, looks=looks)


def test_what_comes_too_late_is_wanted_all_the_same():
    """A full machine hides what cameras want: of 5 frames a second one comes too late, and costs nothing."""
    books = Books()
    Street(books, [CAMERA]).run(60, own=0.08, per_frame=0.02, late=0.2)
    assert cores(books.demand("one", 5.0, 1.0)) == pytest.approx(0.1 + 0.02 * 5)


def test_what_is_needed_now_is_known_sooner_than_what_is_needed_over_minutes():
    books = Books()
    street = Street(books, [CAMERA]).run(600, own=0.05, looks=key_frames_first(0.0))
    street.run(30, own=0.05, looks=key_frames_first(1.0))
    now, lasting = cores(books.present("one", 5.0, 1.0)), cores(books.demand("one", 5.0, 1.0))
    assert 0.05 + 0.02 * 0.5 < lasting < 0.09 < 0.11 < now < 0.05 + 0.02 * 5


def test_a_second_with_half_a_frame_says_as_little_of_what_a_frame_costs_as_it_should():
    """What a worker uses beside is there when no frame is; it must not be taken for a frame's cost."""
    books = Books()
    street = Street(books, [CAMERA])
    for _ in range(6):
        street.run(8, per_frame=0.02, looks=lambda _: 0, beside=0.004)
        street.run(2, per_frame=0.02, looks=lambda rate: rate, beside=0.004)
    demand = books.demand("one", 5.0, 1.0)
    assert cores(demand) == pytest.approx(0.1 + 0.02 * 1.0 + 0.004, abs=0.005)


def test_what_a_camera_took_that_has_just_come_does_not_count_as_inference():
    books = Books()
    street = Street(books, [CAMERA]).run(30)
    street.cameras.append(replace(CAMERA, camera_id="two", state=CameraState.STARTING))
    street.run(10, own={"one": 0.1, "two": 0.0}, beside=0.9)  # its model is compiled
    assert books.demand("one", 5.0, 1.0).per_frame == pytest.approx(0.02)


def test_a_burst_of_evidence_does_not_make_a_camera_look_expensive():
    """It reports two things that stand there: 0.6 CPU-s within 10 s."""
    books = Books()
    street = Street(books, [CAMERA]).run(10, own=0.05, evidence=0.06)
    street.run(KNOWN_S, own=0.05)
    assert 0.05 < books.demand("one", 5.0, 1.0).fixed < 0.06


def test_evidence_that_goes_on_counts_in_full_after_minutes():
    books = Books()
    Street(books, [CAMERA]).run(1800, own=0.05, evidence=0.1)
    assert books.demand("one", 5.0, 1.0).fixed == pytest.approx(0.15, abs=0.001)


def test_a_camera_not_measured_yet_counts_as_similar_ones_do_on_average():
    books = Books()
    small = [replace(CAMERA, camera_id=f"s{n}", size_px=(640, 360)) for n in range(3)]
    large = [replace(CAMERA, camera_id=f"l{n}") for n in range(3)]
    Street(books, small, "host:1").run(KNOWN_S, own={"s0": 0.01, "s1": 0.02, "s2": 0.03})
    Street(books, large, "host:2").run(KNOWN_S, own=0.2)
    assert books.estimate(5.0, 1.0, ("h264", (640 * 360).bit_length())).fixed == pytest.approx(0.02)
    assert books.estimate(5.0, 1.0, LARGE).fixed == pytest.approx(0.2)
    assert books.estimate(5.0, 1.0).fixed == pytest.approx(0.11)


def test_a_flood_hardly_changes_what_is_usual():
    books = Books()
    own = {f"c{n}": 0.05 for n in range(5)} | {"c2": 0.9}
    Street(books, [replace(CAMERA, camera_id=name) for name in own]).run(KNOWN_S, own=own)
    assert books.estimate(5.0, 1.0, LARGE).fixed == pytest.approx(0.05 * (4 + CAPPED_AT) / 5)


def test_what_is_usual_counts_for_a_new_camera_at_first():
    """The first seconds of a camera with something going on say little of what it will take."""
    books = Books()
    one = Street(books, [CAMERA], "host:1").run(300, own=0.05)
    two = Street(books, [replace(CAMERA, camera_id="two")], "host:2", one.now).run(KNOWN_S, own=0.2)
    assert books.measured("two")
    assert books.demand("two", 5.0, 1.0).fixed < 0.12
    two.run(600, own=0.2)
    assert books.demand("two", 5.0, 1.0).fixed == pytest.approx(0.2, abs=0.005)


def test_a_camera_counts_as_measured_after_a_while_and_is_forgotten_on_leaving():
    books = Books()
    street = Street(books, [CAMERA]).run(KNOWN_S - 2)
    assert not books.measured("one")
    street.run(2)
    assert books.measured("one")
    books.forget("one")
    assert not books.measured("one")


def test_a_camera_that_moved_begins_to_count_its_cpu_time_anew():
    books = Books()
    one = Street(books, [CAMERA], "host:1").run(30)
    Street(books, [CAMERA], "host:2", one.now).run(30)
    assert books.demand("one", 5.0, 1.0).fixed == pytest.approx(0.1)


def test_a_worker_that_was_started_again_under_its_name_begins_anew():
    books = Books()
    street = Street(books, [CAMERA]).run(30)
    Street(books, [CAMERA], "host:1", street.now + 5).run(30)
    assert cores(books.demand("one", 5.0, 1.0)) == pytest.approx(0.2)


def test_a_refusal_names_the_figures():
    sentence = no_room(Books().demand("one", 5.0, 1.0), 1.6, 1.7, 10)
    assert sentence.startswith("no room: it would take 0.08 cores, and 10 cameras use 1.60 of the 1.70")
