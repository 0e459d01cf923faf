"""Prometheus metrics of the fleet, made from `WorkerStatus` alone: workers know nothing of Prometheus.

Counters are handed through as workers count them. They begin again at 0 when a worker is started again or a
camera moves to another worker; Prometheus takes a counter that has become smaller for one that began again,
so look at them through `rate` and `increase`, never by themselves. Series of a camera carry no worker label:
a camera that moves stays one series, and `kerbwatch_camera_info` says where it runs.

Labels are bounded: cameras by the site file, workers by their places (a worker that is started again keeps
its place, not its process id), all others by the code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Final, Generic, TypeVar

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request

from ingest.fleet.status import CameraState, CameraStatus, OutboxCount, WorkerStatus, cameras_of
from ingest.fleet.status_server import Extend, Fleet

DROP_REASONS: Final = ("late", "stale", "undecodable", "still", "overload")
"""Always told, at 0 before the first, so that the first one is an increase."""
BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
"""Upper bounds of the buckets of the batch histogram."""

Status = TypeVar("Status")
Rows = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class _Reading(Generic[Status]):
    """One metric: its type, what it means, its further labels, and how a status is read.

    `rows` gives (values of `labels`, value); nothing where there is nothing to say yet.
    """

    family: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    means: str
    rows: Callable[[Status], Rows]
    labels: tuple[str, ...] = ()


def _one(value: float) -> Rows:
    return (((), value),)


def _known(value: float | None) -> Rows:
    return () if value is None else (((), value),)


def _unix_s(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _by(counts: Mapping[str, float]) -> Rows:
    return [((name,), value) for name, value in sorted(counts.items())]


CAMERA: Final[tuple[_Reading[CameraStatus], ...]] = (
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_camera_state",
        "1 for the state that the camera is in, 0 for the others.",
        lambda camera: [((state.value,), float(camera.state is state)) for state in CameraState],
        ("state",),
    ),
    _Reading(
        CounterMetricFamily,
        "kerbwatch_camera_frames_received_total",
        "Frames that the camera sent and the worker took in, decoded or not.",
        lambda camera: _one(camera.frames_in),
    ),
    _Reading(
        CounterMetricFamily,
        "kerbwatch_camera_frames_analysed_total",
        "Frames that the detector saw.",
        lambda camera: _one(camera.analysed),
    ),
    _Reading(
        CounterMetricFamily,
        "kerbwatch_camera_frames_dropped_total",
        "Frames that were due and not analysed. still: nothing had changed, or others told what it shows, as "
        "intended; late: analysis was slower than the camera; overload: decoding was; stale: too old when "
        "their turn came; undecodable: damaged packets.",
        lambda camera: _by({**dict.fromkeys(DROP_REASONS, 0), **camera.dropped}),
        ("reason",),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_camera_received_fps",
        "Frames per second that the camera sends, over the last 5 s.",
        lambda camera: _one(camera.fps_in),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_camera_analysed_fps",
        "Frames per second that the detector saw, over the last 5 s; low and healthy where nothing moves.",
        lambda camera: _one(camera.fps_analysed),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_camera_wanted_fps",
        "Analysed frames per second that the camera may have now; under overload less than its site file "
        "says.",
        lambda camera: _one(camera.fps_wanted),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_camera_queue_age_seconds",
        "How long the frame now in analysis had waited since it came, seconds.",
        lambda camera: _one(camera.queue_age_s),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_camera_last_frame_age_seconds",
        "Time since a frame last came from the camera, seconds; absent before the first.",
        lambda camera: _known(camera.last_frame_age_s),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_camera_last_analysed_timestamp_seconds",
        "Capture time of the last frame analysed, or seen to show what that one did, Unix seconds; absent "
        "before the first.",
        lambda camera: _known(_unix_s(camera.last_frame_at)),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_camera_clock_error_seconds",
        "The camera's own clock less ours, seconds; absent where the camera does not tell its time.",
        lambda camera: _known(camera.clock_error_s),
    ),
    _Reading(
        CounterMetricFamily,
        "kerbwatch_camera_reconnects_total",
        "Connections to the camera after the first.",
        lambda camera: _one(camera.reconnects),
    ),
    _Reading(
        CounterMetricFamily,
        "kerbwatch_camera_events_total",
        "Confirmed events: still there after the dwell, and reported.",
        lambda camera: _by(camera.events),
        ("kind",),
    ),
    _Reading(
        CounterMetricFamily,
        "kerbwatch_camera_cpu_seconds_total",
        "CPU seconds of the camera's own threads (decoding, gate, tracking, rules, evidence), without "
        "inference.",
        lambda camera: _one(camera.cpu_s),
    ),
)

WORKER: Final[tuple[_Reading[WorkerStatus], ...]] = (
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_worker_up",
        "1 while the worker answers, else 0.",
        lambda worker: _one(float(worker.alive)),
    ),
    _Reading(
        CounterMetricFamily,
        "kerbwatch_worker_restarts_total",
        "How often the worker was started again.",
        lambda worker: _one(worker.restarts),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_worker_cameras",
        "Cameras that the worker has.",
        lambda worker: _one(len(worker.cameras)),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_worker_room_cameras",
        "How many more cameras of the average cost fit; absent before that is known.",
        lambda worker: _known(worker.room),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_worker_cpu_used_cores",
        "CPU seconds per second that the worker used, over the last 5 s: 1 is one core.",
        lambda worker: _one(worker.cpu_share),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_worker_cpu_allowed_cores",
        "CPU cores that the worker may use.",
        lambda worker: _one(worker.cores),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_worker_cpu_others_cores",
        "Of those, CPU cores that other programs use, as admission reckons with them: a mean of minutes.",
        lambda worker: _one(worker.cores_others),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_worker_cpu_left_cores",
        "CPU cores that the worker's cameras may take beside other programs; absent where not known.",
        lambda worker: _known(worker.cores_left),
    ),
    _Reading(
        GaugeMetricFamily,
        "kerbwatch_worker_resident_memory_bytes",
        "Resident memory of the worker, bytes.",
        lambda worker: _one(worker.rss_bytes),
    ),
)


Workers = Callable[[], Sequence[WorkerStatus]]
Spool = Callable[[], OutboxCount]


class FleetCollector(Collector):
    """Read the fleet whenever somebody scrapes.

    Args:
        workers: gives the present status of all workers; called once per scrape.
        spool: counts the outbox of the process that sends for all workers; None: each worker sends itself.
    """

    def __init__(self, workers: Workers, spool: Spool | None = None) -> None:
        self._workers = workers
        self._spool = spool

    def describe(self) -> Iterator[Metric]:
        """Give the families without samples, so that registering does not ask the fleet."""
        return families(())

    def collect(self) -> Iterator[Metric]:
        """Give all families with what the workers say now."""
        return families(self._workers(), self._spool() if self._spool else None)


def families(workers: Sequence[WorkerStatus], spool: OutboxCount | None = None) -> Iterator[Metric]:
    """Give all metric families of a fleet; `spool`: what waits in the process that sends for all."""
    workers = list({worker.name: worker for worker in sorted(workers, key=lambda one: one.alive)}.values())
    places = {worker.worker: worker.name for worker in workers}
    cameras = cameras_of(workers)
    named = [(camera.camera_id, camera) for camera in cameras]
    for reading in CAMERA:
        yield _read("camera", reading, named)
    yield _stages(cameras)
    yield _camera_info(cameras, places)
    # A supervisor's row, which holds the cameras that no worker has, is no worker: it has no cores.
    working = [worker for worker in workers if worker.cores or not worker.alive]
    for of_worker in WORKER:
        yield _read("worker", of_worker, [(places[worker.worker], worker) for worker in working])
    yield _batches(working)
    yield _worker_info(working)
    yield GaugeMetricFamily(
        "kerbwatch_fleet_refused_cameras",
        "Cameras that are not watched because there is no room or another has them; of very many, not every "
        "one has a series of its own.",
        value=sum(camera.state is CameraState.REFUSED for camera in cameras)
        + sum(worker.unlisted for worker in workers),
    )
    yield from _outboxes(workers, spool)
    yield InfoMetricFamily(
        "kerbwatch_build",
        "Always 1: the version of the program that runs.",
        value={"version": version("kerbwatch")},
    )


def _read(owner: str, reading: _Reading[Status], named: Sequence[tuple[str, Status]]) -> Metric:
    family = reading.family(reading.name, reading.means, labels=(owner, *reading.labels))
    for name, status in named:
        for values, value in reading.rows(status):
            family.add_metric((name, *values), value)
    return family


def _stages(cameras: Iterable[CameraStatus]) -> Metric:
    family = SummaryMetricFamily(
        "kerbwatch_camera_stage_seconds",
        "Time that a frame spent in a stage, seconds: _sum over all frames, _count how often the stage ran.",
        labels=("camera", "stage"),
    )
    for camera in cameras:
        for stage, spent_s in sorted(camera.stage_s.items()):
            family.add_metric(
                (camera.camera_id, stage), count_value=camera.stage_n.get(stage, 0), sum_value=spent_s
            )
    return family


def _camera_info(cameras: Iterable[CameraStatus], places: Mapping[str, str]) -> Metric:
    labels = ("camera", "worker", "codec", "width", "height")
    family = GaugeMetricFamily(
        "kerbwatch_camera_info", "Always 1: where the camera runs, and what it sends.", labels=labels
    )
    for camera in cameras:
        width, height = camera.size_px or ("", "")
        place = places.get(camera.worker, camera.worker)
        family.add_metric((camera.camera_id, place, camera.codec, str(width), str(height)), 1)
    return family


def _batches(workers: Iterable[WorkerStatus]) -> Metric:
    family = HistogramMetricFamily(
        "kerbwatch_worker_inference_batch_pictures",
        "How many pictures the detector took at once.",
        labels=("worker",),
    )
    for worker in workers:
        buckets = [
            (f"{size:.1f}", sum(times for taken, times in worker.batches.items() if taken <= size))
            for size in BATCH_SIZES
        ]
        buckets.append(("+Inf", sum(worker.batches.values())))
        family.add_metric(
            (worker.name,),
            buckets,
            sum(taken * times for taken, times in worker.batches.items()),
        )
    return family


def _worker_info(workers: Iterable[WorkerStatus]) -> Metric:
    family = GaugeMetricFamily(
        "kerbwatch_worker_info",
        "Always 1: which model version the worker runs, and in which arithmetic.",
        labels=("worker", "model", "precision"),
    )
    for worker in workers:
        family.add_metric((worker.name, worker.model, worker.precision), 1)
    return family


def _outboxes(workers: Iterable[WorkerStatus], spool: OutboxCount | None) -> Iterator[Metric]:
    counts = [(worker.name, worker.outbox) for worker in workers if worker.outbox is not None]
    if spool is not None:
        counts.append(("supervisor", spool))
    means = (
        ("pending_letters", "Reports and ends of events that the API has not taken yet; kept on the disk."),
        ("oldest_age_seconds", "Age of the oldest letter that the API has not taken yet, seconds; else 0."),
        ("dead_letters", "Letters that the API refused for good; they wait for a person."),
    )
    pending, age, dead = (
        GaugeMetricFamily(f"kerbwatch_outbox_{name}", text, labels=("sender",)) for name, text in means
    )
    for sender, count in counts:
        pending.add_metric((sender,), count.pending)
        age.add_metric((sender,), count.oldest_age_s)
        dead.add_metric((sender,), count.dead)
    yield from (pending, age, dead)


def registry_of(workers: Workers, spool: Spool | None = None) -> CollectorRegistry:
    """Give a registry of the fleet's metrics alone; for the arguments see `FleetCollector`."""
    registry = CollectorRegistry()
    registry.register(FleetCollector(workers, spool))
    return registry


def exposition(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """Give the body and the content type of an answer to a scrape.

    Args:
        registry: what to tell.
        accept: the Accept header of the request: OpenMetrics where asked for, else Prometheus' text format.
    """
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def metrics_route(spool: Spool | None = None) -> Extend:
    """Give what adds `/metrics` to the status server; for `spool` see `FleetCollector`."""

    def extend(app: FastAPI, fleet: Fleet) -> None:
        registry = registry_of(fleet.status, spool)

        @app.get("/metrics")
        def metrics(request: Request) -> Response:
            body, content_type = exposition(registry, request.headers.get("accept", ""))
            return Response(body, headers={"content-type": content_type})

        app.add_middleware(GZipMiddleware, minimum_size=1000)

    return extend
