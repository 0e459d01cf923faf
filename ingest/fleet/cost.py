"""What cameras cost, from what workers measure, and how many more fit. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Container, Iterable, Mapping
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
WARM_S = 5.0
"""What it took in the first seconds is passed over: models are compiled, decoders begin."""
SETTLE_S = 10.0
"""A camera counts as measured after running for so long."""
MEMORY_S = 30.0
"""Time constant of the averages: a street's busy seconds must not decide alone."""
EVIDENCE_S = 300.0
"""Time constant of what making evidence takes. It comes in bursts: a camera that has just come reports all
that stands there, and must not look expensive for that."""
RUNS = frozenset({CameraState.RUNNING, CameraState.DEGRADED})


@dataclass(frozen=True, slots=True)
class Own:
    """What a camera's threads took over the last `past_s`, cores: without evidence, and for it."""

    fixed: float
    evidence: float
    past_s: float


@dataclass(slots=True)
class Measured:
    """One camera's averages.

    Args:
        fixed: cores of its own threads (receiving, decoding, tracking).
        evidence: cores of those that make evidence.
        per_frame: CPU seconds of the worker beside that, for each frame it had analysed: inference.
        seconds: how long it was measured; below 0 it is still getting warm.
    """

    fixed: float = 0.0
    per_frame: float = 0.0
    evidence: float = 0.0
    seconds: float = -WARM_S
    look: tuple[str, int] = ("", 0)
    """Codec and class of size: what makes cameras similar."""

    def note(self, own: Own, per_frame: float | None) -> None:
        """Take what was measured of its threads and per frame; None where no frame was analysed."""
        fixed, past_s = own.fixed, own.past_s
        self.seconds += past_s
        self.evidence += min(1.0, past_s / EVIDENCE_S) * (own.evidence - self.evidence)
        if self.seconds <= 0:
            return
        weight = min(1.0, past_s / min(MEMORY_S, self.seconds))
        self.fixed += weight * (fixed - self.fixed)
        if per_frame is not None:
            self.per_frame += (weight if self.per_frame else 1.0) * (per_frame - self.per_frame)

    def cores(self, fps: float) -> float:
        """Give what it takes at a rate."""
        return self.own + self.per_frame * fps

    @property
    def own(self) -> float:
        """What it takes whatever the rate, cores."""
        return self.fixed + self.evidence


@dataclass(slots=True)
class Books:
    """Costs of all cameras of a fleet, kept up to date by `note`."""

    _cameras: dict[str, Measured] = field(default_factory=dict)
    _last: dict[str, tuple[float, CameraStatus]] = field(default_factory=dict)
    _estimates: dict[tuple[Any, ...], Demand] = field(default_factory=dict)

    def note(self, worker: WorkerStatus, now_s: float, live: Container[str] | None = None) -> None:
        """Take a worker's status: CPU time of its cameras' threads, and what it used beside.

        Args:
            worker: its newest status; each must be given once.
            now_s: when it was told, seconds of any steady clock.
            live: the cameras that are measured: a file is read as fast as can be. None: all.
        """
        self._estimates.clear()
        own = {camera.camera_id: self._own(camera, now_s) for camera in worker.cameras}
        known = {camera_id: found for camera_id, found in own.items() if found is not None}
        beside = max(0.0, worker.cpu_share - sum(found.fixed + found.evidence for found in known.values()))
        frames = sum(camera.fps_analysed for camera in worker.cameras)
        # What a camera took that has only just come is not known yet, and would count as inference.
        per_frame = beside / frames if frames > 0 and len(known) == len(worker.cameras) else None
        for camera in worker.cameras:
            measurable = live is None or camera.camera_id in live
            if measurable and camera.state in RUNS and camera.camera_id in known:
                measured = self._cameras.setdefault(camera.camera_id, Measured())
                measured.look = look_of(camera)
                measured.note(known[camera.camera_id], per_frame if camera.fps_analysed > 0 else None)

    def _own(self, camera: CameraStatus, now_s: float) -> Own | None:
        """Give what the camera's threads took since the last status; None at first."""
        before = self._last.get(camera.camera_id)
        self._last[camera.camera_id] = now_s, camera
        if before is None or camera.cpu_s < before[1].cpu_s or now_s <= before[0]:
            return None
        past_s, made_s = now_s - before[0], max(0.0, camera.evidence_cpu_s - before[1].evidence_cpu_s)
        all_s = camera.cpu_s - before[1].cpu_s
        return Own(max(0.0, all_s - made_s) / past_s, made_s / past_s, past_s)

    def forget(self, camera_id: str) -> None:
        """Drop a camera that is no longer watched."""
        self._cameras.pop(camera_id, None)
        self._last.pop(camera_id, None)
        self._estimates.clear()

    def measured(self, camera_id: str) -> bool:
        """Say whether a camera has run for long enough to know what it costs."""
        found = self._cameras.get(camera_id)
        return found is not None and found.seconds >= SETTLE_S

    def demand(self, camera_id: str, fps: float, fps_min: float) -> Demand:
        """Give what a camera wants and costs; see `estimate` for one that is not measured yet."""
        found = self._cameras.get(camera_id)
        if found is not None and found.seconds >= SETTLE_S:
            return Demand(fps, fps_min, found.own, found.per_frame)
        return self.estimate(fps, fps_min, found.look if found else None)

    def estimate(self, fps: float, fps_min: float, look: tuple[str, int] | None = None) -> Demand:
        """Give the cost of a camera that was not measured.

        The median of the measured ones of the same codec and class of size; where there are none, the median
        of all measured ones; before any was measured, `START_CORES`.
        """
        asked = fps, fps_min, look
        if asked not in self._estimates:
            self._estimates[asked] = self._estimate(fps, fps_min, look)
        return self._estimates[asked]

    def _estimate(self, fps: float, fps_min: float, look: tuple[str, int] | None) -> Demand:
        settled = [found for found in self._cameras.values() if found.seconds >= SETTLE_S]
        alike = [found for found in settled if found.look == look] or settled
        if not alike:
            return Demand(fps, fps_min, START_CORES / 2, START_CORES / 2 / START_FPS)
        return Demand(
            fps,
            fps_min,
            statistics.median(found.own for found in alike),
            statistics.median(found.per_frame for found in alike),
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
