"""What the supervisor decides from what workers tell, with workers that only tell and listen."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from unittest.mock import patch

import pytest

from detector.errors import WrongUse
from ingest.fleet.admission import PROBATION_S
from ingest.fleet.claims import Claims
from ingest.fleet.group import GroupSettings
from ingest.fleet.orders import Leave, Open, Rates, Watch
from ingest.fleet.size import Size
from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus, cameras_of
from ingest.fleet.supervisor import Supervisor
from tests.ingest.fleet.sites import camera, site_of


class Told:
    """A worker's process that watches what it is told and tells what it would cost."""

    def __init__(self, number):
        self.pid, self.ready, self.refusal, self.orders = number, True, None, []
        self.heard_at = self.started_at = time.monotonic()
        self.status = None
        self.left, self.handed = {}, {}
        self.watched, self.cpu_s, self.rates = {}, {}, {}
        self.own_s, self.looked, self.still, self.made_s = 0.0, {}, {}, {}

    def tell(self, order):
        self.orders.append(order)
        if isinstance(order, Watch):
            self.watched |= {one.id: one for one in order.cameras}
            self.handed |= order.handed
        elif isinstance(order, Leave):
            for name in order.camera_ids:
                self.watched.pop(name)
                self.rates.pop(name, None)
                self.left[name] = {"illegal_parking": f"what {name} was counting"}
        elif isinstance(order, Rates):
            self.rates |= order.fps

    def live(self, now, own, per_frame, looks, evidence):
        """Let a second pass.

        Each camera's threads take `own` cores and `evidence` for it, each analysed frame `per_frame` s; `looks`
        gives how many of the frames of a rate are analysed.
        """
        cameras, before_s = [], self.own_s
        for name, one in self.watched.items():
            took = own[name] if isinstance(own, dict) else own
            took = took(name) if callable(took) else took
            self.cpu_s[name] = self.cpu_s.get(name, 0.0) + took + evidence
            self.made_s[name] = self.made_s.get(name, 0.0) + evidence
            fps = self.rates.get(name, one.fps)
            seen = looks(name, fps)
            self.looked[name] = self.looked.get(name, 0.0) + seen
            self.still[name] = self.still.get(name, 0.0) + fps - seen
            self.own_s += took + evidence + per_frame * seen
            cameras.append(
                CameraStatus(
                    name,
                    f"host:{self.pid}",
                    CameraState.RUNNING,
                    fps_analysed=seen,
                    fps_wanted=fps,
                    analysed=self.looked[name],
                    dropped={"still": self.still[name]},
                    cpu_s=self.cpu_s[name],
                    evidence_cpu_s=self.made_s[name],
                )
            )
        self.status = WorkerStatus(
            f"host:{self.pid}",
            alive=True,
            cpu_share=self.own_s - before_s,
            cpu_s=self.own_s,
            cameras=tuple(cameras),
        )
        self.heard_at = now

    def alive(self):
        return True

    def exit_code(self):
        return None

    def quiet_s(self):
        return 0.0


class Machine:
    """A supervisor over such workers, each with `cap` of a core, and a clock that runs by the second."""

    def __init__(self, tmp_path, cameras, workers=1, cap=0.85):
        order = Open(site_of(*cameras), GroupSettings(sends=False), tmp_path, "http://127.0.0.1:9", "")
        with patch("ingest.fleet.supervisor.usable_cores", return_value=[0]):  # whatever this machine has
            self.supervisor = Supervisor(order, Size(workers), Claims(None, None), busy=self.busy)
        self.others = 0.0
        self.busy_s = 0.0
        self.workers = [Told(number) for number in range(workers)]
        for slot, worker in zip(self.supervisor._slots, self.workers, strict=True):
            slot.process, slot.cap, slot.cores = worker, cap, 1.0
        self.cores = self.supervisor._slots[0].order.cores
        self.now = self.begun = time.monotonic()

    def busy(self):
        """All cores together were busy with the workers and with other programs, at normal priority."""
        return {core: self.busy_s / len(self.cores) for core in self.cores}

    def run(self, seconds, own=0.05, per_frame=0.01, looks=lambda _, fps: fps, evidence=0.0):
        for _ in range(seconds):
            self.now += 1.0
            for worker in self.workers:
                worker.live(self.now, own, per_frame, looks, evidence)
            used = sum(worker.status.cpu_share - evidence * len(worker.watched) for worker in self.workers)
            self.busy_s += used + self.others * len(self.cores)
            self.supervisor.tick(self.now)

    def refused(self):
        rows = cameras_of(self.supervisor.status())
        return {row.camera_id: row.fault for row in rows if row.state is CameraState.REFUSED}


def test_what_other_programs_use_for_minutes_is_not_given_to_cameras_and_comes_back(tmp_path):
    machine = Machine(tmp_path, live_cameras(12))
    machine.run(60)
    assert len(machine.workers[0].watched) == 8
    machine.others = 0.45  # of the one core that the worker has
    machine.run(20)
    assert machine.supervisor.status()[0].cores_left == 0.85, (
        "something that runs for seconds changes nothing"
    )
    machine.run(400)
    (worker, _) = machine.supervisor.status()
    assert worker.cores_others == pytest.approx(0.45, abs=0.1)
    assert worker.cores_left == pytest.approx(0.55, abs=0.1)
    assert worker.room == 0
    assert max(machine.workers[0].rates.values()) < 5.0, "those that are watched share what is left"
    assert "other programs use 0." in machine.refused()["cam-11"]
    machine.others = 0.0
    machine.run(400)
    (worker, _) = machine.supervisor.status()
    assert (worker.cores_left, worker.cores_others) == (0.85, pytest.approx(0.0, abs=0.1))
    assert set(machine.workers[0].rates.values()) == {5.0}


@pytest.mark.parametrize("others", [0.0, 0.45])
def test_evidence_is_made_at_low_priority_and_says_nothing_of_what_others_use(tmp_path, others):
    machine = Machine(tmp_path, live_cameras(3))
    machine.others = others
    machine.run(400, evidence=0.1)
    (worker,) = machine.supervisor.status()
    assert worker.cores_others == pytest.approx(others, abs=0.1)
    assert worker.cores_left == pytest.approx(min(0.85, 1.0 - others), abs=0.1)


def test_bursts_of_cameras_are_not_taken_for_other_programs(tmp_path):
    """What a worker used is read up to a second apart from what its core did."""
    machine = Machine(tmp_path, live_cameras(3))
    apart = iter([0.0, 0.9] * 400)
    real = machine.supervisor._busy
    machine.supervisor._busy = lambda: {
        core: s + late for late in [next(apart)] for core, s in real().items()
    }
    machine.run(400)
    (worker,) = machine.supervisor.status()
    assert (worker.cores_left, worker.cores_others) == (0.85, 0.0)


def test_whatever_others_do_half_of_what_cameras_may_use_is_reckoned_with(tmp_path):
    machine = Machine(tmp_path, live_cameras(3))
    machine.others = 5.0
    machine.run(600)
    assert machine.supervisor.status()[0].cores_left == pytest.approx(0.425)
    assert len(machine.workers[0].watched) == 3


@pytest.mark.parametrize(
    ("size", "workers"),
    [(Size(gpu_share=1.0), 1), (Size(gpu_share=0.5), 2), (Size(3, gpu_share=0.25), 3), (Size(4), 4)],
)
def test_a_gpu_has_as_many_workers_as_have_their_share_of_it(tmp_path, size, workers):
    order = Open(site_of(*live_cameras(9)), GroupSettings(sends=False), tmp_path, "http://127.0.0.1:9", "")
    assert len(Supervisor(order, size, Claims(None, None)).status()) == workers + 1  # and who waits


def test_more_workers_than_a_gpu_has_shares_for_are_refused():
    with pytest.raises(
        WrongUse, match=r"--workers 2: with 1 of a GPU each they do not fit; .* with --gpu-fraction 0\.5\."
    ):
        Size(2, gpu_share=1.0)
    with pytest.raises(WrongUse, match=r"--workers 6: .* --gpu-fraction 0\.166\."):
        Size(6, gpu_share=0.25)
    Size(6, gpu_share=0.166)


def live_cameras(number, **keys):
    return [camera(f"cam-{n}", f"rtsp://127.0.0.1:9/{n}", **keys) for n in range(number)]


def test_estimates_let_some_in_and_measured_costs_let_in_as_many_as_fit(tmp_path):
    machine = Machine(tmp_path, live_cameras(12))
    machine.run(3)
    assert len(machine.workers[0].watched) == 10  # 0.08 each
    machine.run(60)  # measured: 0.05 and 5 frames of 0.01 s each: 0.1
    assert len(machine.workers[0].watched) == 8
    assert len(machine.refused()) == 4
    assert "it would take 0.10 cores, and 8 cameras use 0.80 of the 0.85" in machine.refused()["cam-11"]


def test_cameras_that_turn_out_too_dear_are_refused_and_the_others_keep_their_rates(tmp_path):
    machine = Machine(tmp_path, live_cameras(5))
    machine.run(100, own=0.25)  # 0.3 each: two fit; rates are lowered until those that came have left
    assert len(machine.workers[0].watched) == 2
    assert len(machine.refused()) == 3
    assert all(
        "(as measured)" in said or "it would take 0.30 cores" in said for said in machine.refused().values()
    )
    assert lowered(machine) == {}


def test_a_flood_is_refused_and_not_the_others(tmp_path):
    machine = Machine(tmp_path, live_cameras(5))
    costs = {f"cam-{n}": 0.05 for n in range(5)} | {"cam-2": 0.8}
    machine.run(40, own=costs)
    assert set(machine.refused()) == {"cam-2"}
    assert machine.workers[0].rates == {}


def test_when_streets_get_busier_all_rates_fall_to_one_level_and_rise_again(tmp_path):
    machine = Machine(tmp_path, live_cameras(8, fps_min=2.0))
    machine.run(int(PROBATION_S) + 60)
    assert len(machine.workers[0].watched) == 8
    assert machine.workers[0].rates == {}
    machine.run(90, per_frame=0.02)  # 0.05 and 0.1 each: 1.2 cores
    rates = machine.workers[0].rates
    assert len(set(rates.values())) == 1
    assert len(machine.workers[0].watched) == 8
    assert 2.0 <= rates["cam-0"] < 3.5
    assert 8 * (0.05 + 0.02 * rates["cam-0"]) == pytest.approx(0.85, rel=0.1)
    machine.run(200)
    assert machine.workers[0].rates["cam-0"] == 5.0


def test_no_rate_falls_below_what_the_camera_declares(tmp_path):
    machine = Machine(tmp_path, live_cameras(8, fps_min=2.0))
    machine.run(int(PROBATION_S) + 60)
    machine.run(90, per_frame=0.2)
    assert set(machine.workers[0].rates.values()) == {2.0}


def test_where_another_worker_has_room_a_camera_moves(tmp_path):
    machine = Machine(tmp_path, live_cameras(6), workers=2)
    machine.run(int(PROBATION_S) + 60)
    one, other = machine.workers
    assert (len(one.watched), len(other.watched)) == (3, 3)
    others = set(other.watched)
    dear = {name: 0.35 if name in one.watched else 0.05 for name in (*one.watched, *other.watched)}
    machine.run(120, own=dear)
    assert (len(one.watched), len(other.watched)) == (2, 4)
    (moved,) = set(other.watched) - others
    assert other.handed[moved] == {"illegal_parking": f"what {moved} was counting"}, "it goes on counting"
    assert set(one.watched) | set(other.watched) == set(dear)


def test_a_worker_that_falls_gives_its_cameras_to_the_others_as_far_as_they_have_room(tmp_path):
    machine = Machine(tmp_path, live_cameras(6), workers=2)
    machine.run(40)
    slot = machine.supervisor._slots[0]
    orphans = slot.cameras.copy()
    slot.process = None
    slot.cameras, slot.next_start = {}, machine.now + 1000
    for name in orphans:
        del machine.supervisor._admission.where[name]
    machine.workers = machine.workers[1:]
    machine.run(10)
    assert len(machine.workers[0].watched) == 6
    assert replace(machine.supervisor.status()[0]).alive is False


def watched(machine):
    return sum(len(worker.watched) for worker in machine.workers)


def left(machine):
    """How often a camera had to leave its worker."""
    return sum(isinstance(order, Leave) for worker in machine.workers for order in worker.orders)


def lowered(machine):
    return {name: fps for worker in machine.workers for name, fps in worker.rates.items() if fps < 5.0}


def quiet(_, fps):
    """What `--gate lookback` looks at on a typical street: a key frame every 2 s, and a little more."""
    return 0.5 + 0.037 * (fps - 0.5)


def rush(_, fps):
    return 0.5 + 0.6 * (fps - 0.5)


def test_as_many_cameras_as_fit_by_what_they_take_are_let_in_within_seconds(tmp_path):
    """26 of 0.076 cores each on 2: by what each would take if it were analysed 5 times a second, 12."""
    machine = Machine(tmp_path, live_cameras(28), workers=2, cap=1.0)
    machine.run(40, own=0.0627, per_frame=0.02, looks=quiet)
    assert watched(machine) == 26
    machine.run(600, own=0.0627, per_frame=0.02, looks=quiet)
    assert watched(machine) == 26
    assert left(machine) == 0
    assert lowered(machine) == {}
    assert all(
        "it would take 0.08 cores, and 26 cameras use 1.98 of the 2.00" in said
        for said in machine.refused().values()
    )


def test_a_rush_hour_lowers_all_rates_and_nobody_leaves_and_afterwards_all_is_as_before(tmp_path):
    machine = Machine(tmp_path, live_cameras(26), workers=2, cap=1.0)
    machine.run(300, own=0.0627, per_frame=0.02, looks=quiet)
    machine.run(30, own=0.0627, per_frame=0.02, looks=rush)
    assert len(lowered(machine)) == 26, "it is noticed within half a minute"
    machine.run(300, own=0.0627, per_frame=0.02, looks=rush)
    rates = set(machine.workers[0].rates.values())
    assert len(rates) == 1
    assert 1.0 <= rates.pop() < 1.5
    assert all(worker.status.cpu_share < 1.04 for worker in machine.workers)
    machine.run(120, own=0.0627, per_frame=0.02, looks=quiet)
    assert lowered(machine) == {}
    assert watched(machine) == 26
    assert left(machine) == 0


class Bursts:
    """Streets on which now here, now there something goes on for 15 s, a quarter of the time."""

    def __init__(self, machine):
        self.machine, self.seen = machine, {}

    def on(self, name):
        key = name, int(self.machine.now - self.machine.begun) // 15
        if key not in self.seen:
            self.seen[key] = random.Random(f"{key}").random() < 0.25
        return self.seen[key]

    def own(self, name):
        return 0.13 if self.on(name) else 0.04  # 0.0625 on average

    def looks(self, name, fps):
        return fps if self.on(name) else 0.5


@pytest.mark.parametrize("cap", [0.85, 1.0])
def test_bursts_make_cameras_neither_come_and_go_nor_lose_their_rates_for_long(tmp_path, cap):
    machine = Machine(tmp_path, live_cameras(40), workers=2, cap=cap)
    streets = Bursts(machine)
    keys = {
        "own": dict.fromkeys((f"cam-{n}" for n in range(40)), streets.own),
        "per_frame": 0.02,
        "looks": streets.looks,
    }
    machine.run(300, **keys)
    begun, seconds_lowered = left(machine), 0
    for _ in range(1800):
        machine.run(1, **keys)
        seconds_lowered += bool(lowered(machine))
    fit = 2 * cap / (0.0625 + 0.02 * (0.25 * 5 + 0.75 * 0.5))
    assert 0.85 * fit <= watched(machine) <= 1.1 * fit
    assert left(machine) - begun <= 4, "in half an hour"
    assert cap == 1.0 or seconds_lowered < 0.2 * 1800, "what is kept free serves bursts"
