"""How cameras and workers are doing: what a worker tells, and what status, metrics and `top` show (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

STATUS_PORT = 8766
"""Where `serve` shows its status, and `top` looks for it, unless told otherwise."""


class CameraState(StrEnum):
    """What a camera is doing. `fault` says why where it is not RUNNING."""

    STARTING = "starting"
    RUNNING = "running"
    RECONNECTING = "reconnecting"
    SILENT = "silent"
    """Connected, but no frame for longer than it should take."""
    DEGRADED = "degraded"
    """Analysed more rarely than its site file wants, because the machine is full."""
    REFUSED = "refused"
    """Not taken: no room, or another worker has it."""
    FAILED = "failed"
    """Its pipeline broke; it is tried again."""
    ENDED = "ended"
    """A file that was read to its end."""


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One camera as its worker sees it. Counters only grow while the worker lives; rates are of the last 5 s.

    Args:
        camera_id: its id in the site file.
        worker: where it runs: "host:pid" or an actor's name.
        state: what it is doing.
        fault: one sentence while something is wrong, else "".
        fps_in: frames per second that the camera sends.
        fps_analysed: frames per second that the detector saw.
        fps_wanted: analysed frames per second that it has now been promised; below the site file's under
            overload.
        frames_in: frames (packets of a picture) received.
        analysed: frames that the detector saw.
        dropped: frames not analysed although due, by reason: "late", "stale", "undecodable", "still" (nothing
            changed, or others told what it shows), "overload".
        reconnects: connections after the first.
        queue_age_s: how long the frame now in analysis had waited since it came.
        ages: analysed frames by how old they were when their analysis ended: upper end of the class in
            seconds ("inf" for the last) to number; see `ingest.fleet.ages`.
        lags: the same by how far the analysis was behind the camera; below the age where it looks back.
        last_frame_at: capture time of the last frame analysed.
        last_frame_age_s: time since a frame last came, seconds; None before the first.
        clock_error_s: the camera's own clock against ours, where it says its time; None where it does not.
        stage_s: seconds spent by stage, summed: "decode", "gate", "infer_wait", "infer", "track", "rules",
            "evidence".
        stage_n: how often each stage ran.
        events: confirmed events by kind.
        cpu_s: CPU seconds of the camera's own threads, without inference. evidence_cpu_s: of them, those of
            threads that make evidence.
        codec: "h264", "hevc", ... and size_px: width, height of the stream.
    """

    camera_id: str
    worker: str
    state: CameraState
    fault: str = ""
    fps_in: float = 0.0
    fps_analysed: float = 0.0
    fps_wanted: float = 0.0
    frames_in: int = 0
    analysed: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    reconnects: int = 0
    queue_age_s: float = 0.0
    ages: Mapping[str, int] = field(default_factory=dict)
    lags: Mapping[str, int] = field(default_factory=dict)
    last_frame_at: datetime | None = None
    last_frame_age_s: float | None = None
    clock_error_s: float | None = None
    stage_s: Mapping[str, float] = field(default_factory=dict)
    stage_n: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)
    cpu_s: float = 0.0
    evidence_cpu_s: float = 0.0
    codec: str = ""
    size_px: tuple[int, int] | None = None

    def as_json(self) -> dict[str, Any]:
        """Give what goes over a pipe or HTTP: plain dicts, numbers and ISO 8601 times."""
        row = asdict(self)
        row["last_frame_at"] = None if self.last_frame_at is None else self.last_frame_at.isoformat()
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> CameraStatus:
        """Read what `as_json` gave; what a newer version says besides is left out."""
        at, size = row.get("last_frame_at"), row.get("size_px")
        return cls(
            **{
                **_known(cls, row),
                "state": CameraState(row["state"]),
                "last_frame_at": None if at is None else datetime.fromisoformat(at),
                "size_px": None if size is None else (int(size[0]), int(size[1])),
            }
        )


@dataclass(frozen=True, slots=True)
class OutboxCount:
    """What waits in an outbox: letters pending, the age of the oldest (seconds, else 0), letters refused."""

    pending: int = 0
    oldest_age_s: float = 0.0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker process or actor.

    Args:
        worker: "host:pid" or an actor's name.
        alive: it answers. restarts: how often it was started again.
        cores: CPU cores it may use. cpu_share: CPU seconds per second of the last 5 s. cpu_s: CPU seconds so
            far.
        rss_bytes: resident memory.
        model: version in use. precision: arithmetic of the detector.
        batches: how many pictures the detector took at once: size -> times.
        room: how many more cameras of the average cost fit; None before it is known.
        cameras: its cameras.
        outbox: what waits in its outbox; None where another process sends for it.
        cores_left: cores that its cameras may take together; None where that is not known.
        cores_others: of its cores, those that other programs use.
        unlisted: further cameras that are refused, too many to be in `cameras`.
        place: name that stays when the worker is started again: "host/0" or an actor's name; "": `worker`
            does.
    """

    worker: str
    alive: bool
    restarts: int = 0
    cores: float = 0.0
    cpu_share: float = 0.0
    rss_bytes: int = 0
    model: str = ""
    precision: str = ""
    batches: Mapping[int, int] = field(default_factory=dict)
    room: int | None = None
    cameras: tuple[CameraStatus, ...] = ()
    outbox: OutboxCount | None = None
    place: str = ""
    cores_left: float | None = None
    cores_others: float = 0.0
    cpu_s: float = 0.0
    unlisted: int = 0

    @property
    def name(self) -> str:
        """What it is called in metrics."""
        return self.place or self.worker

    def as_json(self) -> dict[str, Any]:
        """Give what goes over a pipe or HTTP."""
        row = asdict(self)
        row["cameras"] = [camera.as_json() for camera in self.cameras]
        row["batches"] = {str(size): times for size, times in self.batches.items()}
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> WorkerStatus:
        """Read what `as_json` gave; what a newer version says besides is left out."""
        outbox = row.get("outbox")
        return cls(
            **{
                **_known(cls, row),
                "outbox": None if outbox is None else OutboxCount(**_known(OutboxCount, outbox)),
                "batches": {int(size): times for size, times in row.get("batches", {}).items()},
                "cameras": tuple(CameraStatus.from_json(camera) for camera in row.get("cameras", ())),
            }
        )


def _known(kind: type, row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in (known.name for known in fields(kind)) if name in row}


def cameras_of(workers: Iterable[WorkerStatus]) -> list[CameraStatus]:
    """Give every camera once, by id, whoever claims it.

    While a camera moves, two workers may tell of it: the one that lives and has it counts, then the one with
    the newer frame. What a worker that does not answer last said of its cameras is no longer so: they count
    as failed, and their rates as zero.
    """
    best: dict[str, tuple[tuple[bool, bool, float], CameraStatus]] = {}
    for worker in workers:
        for camera in worker.cameras:
            at = 0.0 if camera.last_frame_at is None else camera.last_frame_at.timestamp()
            rank = (worker.alive, camera.state is not CameraState.REFUSED, at)
            if camera.camera_id not in best or rank > best[camera.camera_id][0]:
                best[camera.camera_id] = rank, camera if worker.alive else _orphaned(camera)
    return [camera for _, (_, camera) in sorted(best.items())]


def _orphaned(camera: CameraStatus) -> CameraStatus:
    if camera.state in {CameraState.REFUSED, CameraState.ENDED}:
        return camera
    fault = camera.fault or f"its worker {camera.worker} does not answer."
    return replace(camera, state=CameraState.FAILED, fault=fault, fps_in=0.0, fps_analysed=0.0)
