"""What cameras cost, from what workers measure, and how many more fit. Pure.

A camera is reckoned with what it takes on average, not with what it could take: with `--gate lookback` it is
promised 5 analysed frames a second and needs them for seconds at a time. What all cameras need at once is the
governor's business (`ingest.fleet.fair`), which goes by a shorter memory.
"""

from __future__ import annotations

import statistics
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingest.fleet.fair import Demand
from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus

START_CORES = 0.08
"""Cores of a camera of which nothing is known: 1080p25 at 5 analysed fps, key frames first, five cases a
minute. `benchmarks/cameras_per_core.py`, 2026-11-26: 0.075 on a typical street, 0.095 on a busy one. Counts
only until one camera here was measured."""
START_FPS = 5.0
"""The rate at which that was measured."""
START_INFERENCE = START_CORES / 2
"""Of that, what is reckoned to fall with the rate."""
WARM_S = 15.0
"""What it took in the first seconds is passed over: all that stands there comes to rest anew, which takes
twice what the street takes afterwards (benchmark's typical street by RTSP: from the 5th to the 15th)."""
SETTLE_S = 10.0
"""A camera counts as measured after running for so long."""
MEMORY_S = 300.0
"""Time constant of the averages by which cameras are taken in: a busy half minute must not decide."""
RECENT_S = 30.0
"""And of those by which rates fall and rise."""
PRIOR_S = 20.0
"""What is usual for cameras alike counts like a measurement of so long at the beginning of a new one: what it
does in its first seconds says little."""
EVIDENCE_S, EVIDENCE_PRIOR_S = 300.0, 60.0
"""The same for making evidence. It comes in bursts: a camera that has just come reports all that stands
there, and must not look expensive for that. Before one was measured, none is usual."""
SEEN_ANYWAY_FPS = 0.5
"""Whatever a camera's rate, the gates see to it that it is looked at so often (`ingest.gate.FORCE_S`)."""
LATE_MAX = 1.0
"""What came too late to be analysed counts as needed, up to so many times what was not late."""
CAPPED_AT = 2.0
"""In the usual cost no camera's own threads count for more than so many times the median: floods are rare."""
FORGET_S = 600.0
"""What a worker told last is kept for so long."""
RUNS = frozenset({CameraState.RUNNING, CameraState.DEGRADED})


@dataclass(frozen=True, slots=True)
class Took:
    """What a camera took and did between two statuses.

    Args:
        past_s: seconds between them.
        fixed: cores of its own threads, without evidence. evidence: cores of those that make it.
        frames: analysed, and analysed per second. rate: frames per second that it was promised.
        still, late: due frames that were not analysed, per second: nothing had changed, there was no time.
    """

    past_s: float
    fixed: float
    evidence: float
    frames: int
    rate: float
    analysed: float
    still: float
    late: float


@dataclass(slots=True)
class Averages:
    """Means over the last `memory_s`, and before so long over all that was noted.

    Args:
        memory_s: time constant, seconds.
        past_s: of how many seconds they are the means so far; at first: how much those given weigh.
        fixed, rate, analysed, still, late: see `Took`.
    """

    memory_s: float
    past_s: float = 0.0
    fixed: float = 0.0
    rate: float = 0.0
    analysed: float = 0.0
    still: float = 0.0
    late: float = 0.0

    def note(self, took: Took) -> None:
        """Take what was measured."""
        self.past_s = min(self.memory_s, self.past_s + took.past_s)
        weight = min(1.0, took.past_s / self.past_s)
        self.fixed += weight * (took.fixed - self.fixed)
        self.rate += weight * (took.rate - self.rate)
        self.analysed += weight * (took.analysed - self.analysed)
        self.still += weight * (took.still - self.still)
        self.late += weight * (took.late - self.late)

    @property
    def needed(self) -> float:
        """How much more it needed than it got: 1 where nothing came too late."""
        handled = self.analysed + self.still
        return 1.0 + min(LATE_MAX, self.late / handled if handled > 0 else 0.0)

    @property
    def own(self) -> float:
        """Cores of its own threads, had nothing come too late: what is passed over is not decoded either."""
        return self.fixed * self.needed

    @property
    def activity(self) -> float:
        """Share of the time in which every frame that its rate promises is analysed: what the rate changes.

        >>> Averages(60.0, rate=5.0, analysed=5.0).activity, Averages(60.0, rate=5.0, analysed=0.5).activity
        (1.0, 0.0)
        """
        if self.rate <= 0:
            return 0.0
        seen = self.analysed * self.needed
        if self.rate < 2 * SEEN_ANYWAY_FPS:
            return seen / self.rate
        return min(seen / self.rate, max(0.0, seen - SEEN_ANYWAY_FPS) / (self.rate - SEEN_ANYWAY_FPS))

    @property
    def anyway(self) -> float:
        """Frames per second that are analysed whatever the rate."""
        return max(0.0, self.analysed * self.needed - self.activity * self.rate)


@dataclass(slots=True)
class Inference:
    """What a worker used beside its cameras' own threads, over the frames that were analysed.

    Sums that fade, not a mean of quotients: a second with half a frame would count for as much as a busy one.
    """

    cpu_s: float = 0.0
    frames: float = 0.0

    def note(self, cpu_s: float, frames: int, past_s: float) -> None:
        """Take what was used; less than nothing, where clocks were read apart, counts as well."""
        kept = max(0.0, 1.0 - past_s / RECENT_S)
        self.cpu_s = kept * self.cpu_s + cpu_s
        self.frames = kept * self.frames + frames

    @property
    def per_frame(self) -> float | None:
        """CPU seconds of a frame; None before one was analysed."""
        return max(0.0, self.cpu_s) / self.frames if self.frames > 0 else None


@dataclass(slots=True)
class Measured:
    """One camera's averages.

    Args:
        lasting, recent: with a long and a short memory.
        evidence: cores of the threads that make evidence.
        per_frame: CPU seconds of inference for a frame where it is watched; None: not known yet.
        seconds: how long it was measured; below 0 it is still getting warm.
        look: codec and class of size: what makes cameras alike.
    """

    lasting: Averages
    recent: Averages
    evidence: float
    per_frame: float | None = None
    seconds: float = -WARM_S
    look: tuple[str, int] = ("", 0)

    def note(self, took: Took, per_frame: float | None) -> None:
        """Take what was measured of it, and per frame in its worker."""
        self.seconds += took.past_s
        lived_s = self.seconds + WARM_S + EVIDENCE_PRIOR_S
        self.evidence += min(1.0, took.past_s / min(EVIDENCE_S, lived_s)) * (took.evidence - self.evidence)
        if per_frame is not None:
            self.per_frame = per_frame
        if self.seconds > 0:
            self.lasting.note(took)
            self.recent.note(took)

    @property
    def settled(self) -> bool:
        """It has run for long enough to know what it costs."""
        return self.seconds >= SETTLE_S


@dataclass(frozen=True, slots=True)
class Usual:
    """What a camera of a kind usually takes.

    Args:
        fixed, evidence: cores. per_frame: CPU seconds.
        activity, anyway: see `Averages`.
    """

    fixed: float = START_CORES - START_INFERENCE
    evidence: float = 0.0
    activity: float = 1.0
    anyway: float = 0.0
    per_frame: float = START_INFERENCE / START_FPS

    def demand(self, fps: float, fps_min: float) -> Demand:
        """Give what one of it wants and costs."""
        fixed = self.fixed + self.evidence + self.per_frame * self.anyway
        return Demand(fps, fps_min, fixed, self.per_frame * self.activity)

    def averages(self, memory_s: float, past_s: float, rate: float) -> Averages:
        """Give what `past_s` seconds of it would have been noted as."""
        analysed = self.anyway + self.activity * rate
        return Averages(memory_s, past_s, self.fixed, rate, analysed, max(0.0, rate - analysed))


START = Usual()


@dataclass(slots=True)
class Books:
    """Costs of all cameras of a fleet, kept up to date by `note`."""

    _cameras: dict[str, Measured] = field(default_factory=dict)
    _last: dict[str, tuple[float, WorkerStatus]] = field(default_factory=dict)
    _inference: dict[str, Inference] = field(default_factory=dict)
    _usual: dict[Any, Usual] = field(default_factory=dict)

    def note(self, worker: WorkerStatus, now_s: float, live: Container[str] | None = None) -> None:
        """Take a worker's status: CPU time of its cameras' threads, and what it used beside.

        Args:
            worker: its newest status; each must be given once.
            now_s: when it was told, seconds of any steady clock.
            live: the cameras that are measured: a file is read as fast as can be. None: all.
        """
        self._usual.clear()
        before = self._last.get(worker.worker)
        self._last[worker.worker] = now_s, worker
        self._let_go(now_s)
        if before is None or now_s <= before[0] or worker.cpu_s < before[1].cpu_s:
            return
        past_s, cameras = now_s - before[0], {camera.camera_id: camera for camera in before[1].cameras}
        took = {
            camera.camera_id: found
            for camera in worker.cameras
            if (found := _took(cameras.get(camera.camera_id), camera, past_s)) is not None
        }
        inference = self._inference.setdefault(worker.worker, Inference())
        starting = any(camera.state is CameraState.STARTING for camera in worker.cameras)
        if took.keys() == cameras.keys() and len(took) == len(worker.cameras) and not starting:
            # Else what a camera took that has just come or gone, or a model that is loaded, would count.
            own_s = sum(found.fixed + found.evidence for found in took.values()) * past_s
            frames = sum(found.frames for found in took.values())
            inference.note(worker.cpu_s - before[1].cpu_s - own_s, frames, past_s)
        for camera in worker.cameras:
            measurable = live is None or camera.camera_id in live
            if measurable and camera.state in RUNS and camera.camera_id in took:
                if camera.camera_id not in self._cameras:
                    self._cameras[camera.camera_id] = self._begun(camera)
                self._cameras[camera.camera_id].look = look_of(camera)
                self._cameras[camera.camera_id].note(took[camera.camera_id], inference.per_frame)

    def _begun(self, camera: CameraStatus) -> Measured:
        """Begin to measure a camera: what is usual for its like counts at first, if it was measured."""
        alike = self._settled(look_of(camera))
        usual, weighs_s = (_usual_of(alike), PRIOR_S) if alike else (START, 0.0)
        lasting, recent = (
            usual.averages(memory_s, weighs_s, camera.fps_wanted) for memory_s in (MEMORY_S, RECENT_S)
        )
        return Measured(lasting, recent, usual.evidence)

    def _let_go(self, now_s: float) -> None:
        """Drop what workers told that are no more."""
        for name in [name for name, (at_s, _) in self._last.items() if now_s - at_s > FORGET_S]:
            del self._last[name]
            self._inference.pop(name, None)

    def forget(self, camera_id: str) -> None:
        """Drop a camera that is no longer watched."""
        self._cameras.pop(camera_id, None)
        self._usual.clear()

    def measured(self, camera_id: str, for_s: float = SETTLE_S) -> bool:
        """Say whether a camera has run for long enough to know what it costs."""
        found = self._cameras.get(camera_id)
        return found is not None and found.seconds >= for_s

    def demand(self, camera_id: str, fps: float, fps_min: float) -> Demand:
        """Give what a camera wants and costs over minutes; see `estimate` for one not measured yet."""
        return self._demand(camera_id, fps, fps_min, recent=False)

    def present(self, camera_id: str, fps: float, fps_min: float) -> Demand:
        """Give what a camera wants and costs now, by the last half minute."""
        return self._demand(camera_id, fps, fps_min, recent=True)

    def _demand(self, camera_id: str, fps: float, fps_min: float, *, recent: bool) -> Demand:
        found = self._cameras.get(camera_id)
        if found is None or not found.settled:
            return self.estimate(fps, fps_min, found.look if found else None)
        means = found.recent if recent else found.lasting
        per_frame = START.per_frame if found.per_frame is None else found.per_frame
        usual = Usual(means.own, found.evidence, means.activity, means.anyway, per_frame)
        return usual.demand(fps, fps_min)

    def estimate(self, fps: float, fps_min: float, look: tuple[str, int] | None = None) -> Demand:
        """Give the cost of a camera that was not measured.

        The mean of the measured ones of the same codec and class of size; where there are none, the mean of
        all measured ones; before any was measured, `START_CORES`. Means, because what few cameras take now
        another one takes the next minute; but a flood counts as little more than its like (`CAPPED_AT`).
        """
        return self._usually(look).demand(fps, fps_min)

    def _usually(self, look: tuple[str, int] | None) -> Usual:
        if look not in self._usual:
            alike = self._settled(look) or self._settled()
            self._usual[look] = _usual_of(alike) if alike else START
        return self._usual[look]

    def _settled(self, look: tuple[str, int] | None = None) -> list[Measured]:
        """Give the cameras that are measured: those of a look, or all."""
        return [found for found in self._cameras.values() if found.settled and look in {None, found.look}]


def _took(before: CameraStatus | None, now: CameraStatus, past_s: float) -> Took | None:
    """Give what a camera took between two statuses; None: it has begun anew, or has no rate."""
    if before is None or now.cpu_s < before.cpu_s or now.fps_wanted <= 0:
        return None
    frames = max(0, now.analysed - before.analysed)
    made_s = max(0.0, now.evidence_cpu_s - before.evidence_cpu_s)
    own_s = max(0.0, now.cpu_s - before.cpu_s - made_s)
    still, late = (max(0, now.dropped.get(why, 0) - before.dropped.get(why, 0)) for why in ("still", "late"))
    return Took(
        past_s,
        own_s / past_s,
        made_s / past_s,
        frames,
        now.fps_wanted,
        frames / past_s,
        still / past_s,
        late / past_s,
    )


def _usual_of(cameras: Sequence[Measured]) -> Usual:
    most = CAPPED_AT * statistics.median(found.lasting.own for found in cameras)
    per_frame = [found.per_frame for found in cameras if found.per_frame is not None]
    return Usual(
        statistics.fmean(min(most, found.lasting.own) for found in cameras),
        statistics.fmean(found.evidence for found in cameras),
        statistics.fmean(found.lasting.activity for found in cameras),
        statistics.fmean(found.lasting.anyway for found in cameras),
        statistics.fmean(per_frame) if per_frame else START.per_frame,
    )


def look_of(camera: CameraStatus) -> tuple[str, int]:
    """Give codec and class of size, a class for each doubling of the number of pixels."""
    pixels = camera.size_px[0] * camera.size_px[1] if camera.size_px else 0
    return camera.codec, pixels.bit_length()


def room_for(demand: Demand, load: float, capacity: float) -> int:
    """Give how many more cameras of a cost fit.

    >>> room_for(Demand(5, 1, 0.05, 0.01), load=1.0, capacity=1.7)
    7
    """
    one = demand.cost(demand.fps)
    return max(0, int((capacity - load) / one + 1e-9)) if one > 0 else 0


def no_room(demand: Demand, load: float, capacity: float, watched: int) -> str:
    """Say why a camera does not fit, for people."""
    return (
        f"no room: it would take {demand.cost(demand.fps):.2f} cores, and {watched} cameras use {load:.2f} "
        f"of the {capacity:.2f} that may be used; lower fps, use substreams, or raise --max-load"
    )


def load_of(demands: Mapping[str, Demand] | Iterable[Demand]) -> float:
    """Give the cores that cameras take at the rates they want."""
    rows = demands.values() if isinstance(demands, Mapping) else demands
    return sum(demand.cost(demand.fps) for demand in rows)
