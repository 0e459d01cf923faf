"""Cameras of one process: a thread for each, one detector per model version, one way to the API."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from detector.detector import Detector
from detector.errors import WrongUse
from detector.precision import Asked
from detector.registry import resolve
from ingest.fleet.claims import Claims
from ingest.fleet.cpu import camera_threads, rss_bytes, usable_cores
from ingest.fleet.guard import Guard
from ingest.fleet.memory import Tidy, share_arenas
from ingest.fleet.status import WorkerStatus
from ingest.fleet.tally import Rates
from ingest.fleet.watched import STOP_S, Surroundings, WatchedCamera
from ingest.pipeline import Handed
from ingest.site import Camera, Site
from ingest.uplink import Uplink

log = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """What the command line said, for all cameras of a group; goes to other processes, so plain values only.

    Args:
        model: name@version or name@alias in place of the cameras' own.
        backend, precision, device: of the detector. threads: CPU threads of each; None: all this process
            may use.
        gate: which frames are analysed.
        sends: post reports from this process. Without, they are kept on the disk for another process that
            has an `Uplink` over the same folder, as the supervisor on this machine does.
        claims: lease every camera at the API before watching it. Without, whoever adds it has seen to that.
    """

    model: str | None = None
    backend: str = "openvino"
    precision: Asked | None = None
    threads: int | None = None
    gate: str = "every"
    sends: bool = True
    claims: bool = False
    device: str | None = None


class CameraGroup:
    """Watch many cameras in this process. A context manager; cameras come and go while it runs.

    A camera that fails is tried again after a pause (2 s, doubled up to a minute); the others do not notice.

    Args:
        site: for its name and time zone; its cameras are not watched until they are added.
        settings: see `GroupSettings`.
        data: folder; the spool lies in its `outbox/`.
        api_url: address of the API. token: its bearer token, "" for none.
        worker: name in status; None: "host:pid".
        on_case: takes the Case JSON of every report that this process sent; called from one thread.
    """

    def __init__(
        self,
        site: Site,
        settings: GroupSettings,
        data: Path,
        api_url: str,
        token: str = "",
        worker: str | None = None,
        on_case: Callable[[Json], None] = lambda _: None,
    ) -> None:
        self.worker = worker or f"{socket.gethostname()}:{os.getpid()}"
        self._settings = settings
        self._detectors = Detectors(settings)
        self._uplink = Uplink(data, api_url, token, on_case, sends=settings.sends)
        self._claims = Claims(None, self._uplink.client, self.worker, self._lost) if settings.claims else None
        self._around = Surroundings(
            site, self.worker, settings.gate, self._detectors.of_camera, self._uplink, self._claims
        )
        self._cameras: dict[str, WatchedCamera] = {}
        self._lock = threading.RLock()
        self._rates = Rates()
        self._guard = Guard()
        self._memory = Tidy()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        share_arenas(len(usable_cores()))
        self._stack.enter_context(self._detectors)
        self._stack.enter_context(self._uplink)
        if self._claims:
            self._stack.enter_context(self._claims)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def load(self, models: Iterable[str]) -> None:
        """Load models before a camera needs them; one that stands for all, where one does.

        Raises:
            WrongUse, Failure: as `detector.Detector` and `detector.registry.resolve`.
        """
        for model in models:
            self._detectors.of_camera(model)

    def add(self, camera: Camera, handed: Handed | None = None) -> None:
        """Begin to watch a camera; returns at once.

        Args:
            camera: which, and how.
            handed: what its rules were counting in another group, by `let_go`.

        Raises:
            WrongUse: one of this id is watched already.
        """
        with self._lock:
            if camera.id in self._cameras:
                raise WrongUse(f"camera '{camera.id}' is watched already; change it or remove it first.")
            watched = WatchedCamera(camera, self._around, handed)
            self._cameras[camera.id] = watched
        watched.start()

    def change(self, camera: Camera, handed: Handed | None = None) -> None:
        """Watch a camera with other settings, counting from 0 again; one that is not there is added."""
        with self._lock:
            same = camera.id in self._cameras and self._cameras[camera.id].camera == camera
        if not same:
            self.remove(camera.id)
            self.add(camera, handed)

    def remove(self, camera_id: str) -> bool:
        """Stop watching a camera; False: there was none of this id."""
        return self.let_go(camera_id) is not None

    def let_go(self, camera_id: str) -> Handed | None:
        """Stop watching a camera; give what its rules were counting, None: there was none of this id."""
        with self._lock:
            watched = self._cameras.pop(camera_id, None)
        if watched is not None and not watched.stop():
            log.warning(
                "%s: its thread did not end in %.0f s; it ends when its read returns", camera_id, STOP_S
            )
        return None if watched is None else watched.counting

    def set_rates(self, fps: Mapping[str, float]) -> None:
        """Analyse these cameras at these rates (frames per second); unknown ids are passed over."""
        for watched in self._watched():
            if watched.camera.id in fps:
                watched.set_rate(fps[watched.camera.id])

    def cameras(self) -> tuple[str, ...]:
        """Give the ids of the cameras."""
        return tuple(watched.camera.id for watched in self._watched())

    def status(self) -> WorkerStatus:
        """Say how this process and its cameras are doing."""
        cpu_s = time.process_time()
        rates = self._rates.note(time.monotonic(), {"cpu": cpu_s})
        self._memory.tidy(time.monotonic())
        cameras = self._watched()
        threads = camera_threads()
        statuses = tuple(camera.status(threads.get(camera.camera.id, {})) for camera in cameras)
        self._hold_back(cameras, rates["cpu"])
        batches, refs, precisions = self._detectors.counted()
        return WorkerStatus(
            worker=self.worker,
            alive=True,
            cores=float(len(usable_cores())),
            cpu_share=rates["cpu"],
            cpu_s=cpu_s,
            rss_bytes=rss_bytes(),
            model=", ".join(refs),
            precision=", ".join(precisions),
            batches=dict(batches),
            cameras=statuses,
        )

    def _hold_back(self, cameras: Sequence[WatchedCamera], used: float) -> None:
        """Keep a camera that takes far more than the others from slowing them."""
        cores = {watched.camera.id: watched.cores for watched in cameras}
        threads = {watched.camera.id: list(watched.threads) for watched in cameras}
        self._guard.keep(cores, threads, used, float(len(usable_cores())))
        for watched in cameras:
            watched.times_usual = self._guard.held.get(watched.camera.id, 0.0)

    def close(self) -> None:
        """Stop all cameras, then let go of detectors and spool; a second call does nothing."""
        with self._lock:
            cameras, self._cameras = list(self._cameras.values()), {}
        _stop_all(cameras)
        self._stack.close()

    def _lost(self, camera_id: str, sentence: str) -> None:
        """End a camera's connection because another worker has its lease now."""
        log.warning("%s", sentence)
        for watched in self._watched():
            if watched.camera.id == camera_id:
                watched.interrupt()

    def _watched(self) -> list[WatchedCamera]:
        with self._lock:
            return list(self._cameras.values())


def _stop_all(cameras: Iterable[WatchedCamera]) -> None:
    cameras = list(cameras)
    for camera in cameras:
        camera.ask_to_stop()
    until = time.monotonic() + STOP_S
    for camera in cameras:
        camera.stop(max(0.0, until - time.monotonic()))


class Detectors:
    """The detectors of a process: one per version, however many aliases lead to it, opened when needed."""

    def __init__(self, settings: GroupSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._open: dict[tuple[Path, str], Detector] = {}

    def of_camera(self, model: str) -> Detector:
        """Give the detector for a camera's model, or for the one that stands for all.

        Raises:
            WrongUse, Failure: as `detector.Detector` and `detector.registry.resolve`.
        """
        spec = resolve(self._settings.model or model)
        key = (spec.folder, spec.ref)
        with self._lock:
            if key not in self._open:
                settings = self._settings
                log.info("%s is %s", self._settings.model or model, spec.ref)
                self._open[key] = Detector(
                    spec,
                    settings.backend,
                    settings.threads,
                    settings.precision,
                    "throughput",
                    settings.device,
                )
            return self._open[key]

    def counted(self) -> tuple[Counter[int], list[str], list[str]]:
        """Give how many pictures were taken at once, by size of batch, the versions and their arithmetic."""
        detectors = list(
            self._open.values()
        )  # without the lock: a model being loaded must not hold up status
        batches: Counter[int] = Counter()
        for detector in detectors:
            batches.update(detector.batches)
        refs = sorted(detector.model_ref for detector in detectors)
        return batches, refs, sorted({detector.precision for detector in detectors})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            opened, self._open = list(self._open.values()), {}
        for detector in opened:
            detector.close()
