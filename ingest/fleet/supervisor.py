"""The supervisor: worker processes, and which of them watches which camera.

One thread looks after everything every half second: it starts fallen workers again, reads a changed site
file, takes cameras in where there is room, and lowers rates where there is not (`admission`). Cameras are
claimed by the supervisor, for all its workers: they end with it.
"""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from ingest.config import read_camera
from ingest.fleet.admission import Admission
from ingest.fleet.claims import Claims
from ingest.fleet.cores import busy_seconds, quota_cores
from ingest.fleet.cpu import allow_many_files, usable_cores
from ingest.fleet.orders import Open
from ingest.fleet.roster import Roster
from ingest.fleet.site_file import Changes, SiteFile
from ingest.fleet.size import Size
from ingest.fleet.slots import START_S, Slot, shares_of
from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus
from ingest.fleet.status_server import NoSuchCamera, Refusal
from ingest.fleet.supervising import Supervising

log = logging.getLogger(__name__)

OTHERS_S = 2.0
"""Pause between two looks at what other programs use."""
SHOWN_MAX = 200
"""Refused cameras named in status; the others are counted in the log's sentence."""


class Supervisor(Supervising):
    """Watch the cameras of a site in worker processes. A context manager; also a `status_server.Fleet`.

    Args:
        order: what each worker is opened with; cores and models are filled in.
        size: how many workers.
        claims: of this process; what they lose is watched no more.
        site_file: followed while cameras are watched; None: the cameras of `order.site`, and those sent.
        busy: gives the seconds that each core was busy so far.

    Raises:
        WrongUse, Failure: on entry; a worker cannot be opened: a model is missing, a backend not installed.
    """

    def __init__(
        self,
        order: Open,
        size: Size,
        claims: Claims,
        site_file: SiteFile | None = None,
        busy: Callable[[], Mapping[int, float]] = busy_seconds,
    ) -> None:
        super().__init__("supervisor")
        self._site = order.site
        claims.lost = self._on_lost
        self._roster = Roster(order.site, site_file)
        self._slots = _slots_of(order, size)
        self._admission = Admission(self._roster, self._slots, claims)
        self._busy = busy
        self._was_busy: tuple[float, Mapping[int, float]] = (-math.inf, {})
        self._was_own = [slot.own_s for slot in self._slots]

    def _begin(self) -> None:
        """Start the workers.

        Raises:
            WrongUse, Failure: a worker cannot be opened: a model is missing, a backend not installed.
        """
        allow_many_files()
        for process in [slot.start() for slot in self._slots]:
            process.wait_ready(START_S)

    def _end(self) -> None:
        processes = [slot.process for slot in self._slots if slot.process is not None]
        for process in processes:
            process.stop()
        for process in processes:
            process.join()

    # -- what people and the status server ask; see `status_server.Fleet` --

    def status(self) -> list[WorkerStatus]:
        """Give every worker, and the cameras that none has (yet) under a row of the supervisor's own."""
        rows = [slot.shown(self._admission.room(slot)) for slot in self._slots]
        refused = dict(self._admission.refused)
        told = {camera.camera_id for row in rows for camera in row.cameras}
        waiting = [
            CameraStatus(camera_id, "", CameraState.REFUSED, sentence, fps_wanted=0.0)
            for camera_id, sentence in list(refused.items())[:SHOWN_MAX]
        ] + [
            CameraStatus(camera_id, "", CameraState.STARTING, "waits for a worker.", fps_wanted=camera.fps)
            for camera_id, camera in list(self._roster.wanted.items())
            if camera_id not in told and camera_id not in refused
        ]
        name = f"{socket.gethostname()}:supervisor"
        unlisted = max(0, len(refused) - SHOWN_MAX)
        own = WorkerStatus(name, alive=True, cameras=tuple(waiting), unlisted=unlisted)
        return [*rows, own] if waiting else rows

    def add(self, table: dict[str, Any]) -> None:
        """Watch a camera, written as a `[[camera]]` table, until it is removed or this process ends.

        Raises:
            WrongUse: it is wrong. Refusal: there is no room, or another has it.
        """
        camera = read_camera(table, self._site)
        with self._lock:
            known = camera.id in self._roster.wanted
            if not known and (
                sentence := self._admission.place([camera], time.monotonic()).refused.get(camera.id)
            ):
                raise Refusal(f"camera '{camera.id}' is refused: {sentence.rstrip('.')}.")
            todo = self._roster.send(camera)
            if known:
                self._apply(todo)

    def remove(self, camera_id: str) -> None:
        """Watch a camera no more, until the site file changes it. Raises: NoSuchCamera."""
        with self._lock:
            if camera_id not in self._roster.wanted:
                raise NoSuchCamera(f"there is no camera '{camera_id}'.")
            self._apply(self._roster.delete(camera_id))

    def read_site_again(self) -> None:
        """Read the site file at once; may be called by a signal handler."""
        if self._roster.site_file:
            self._roster.site_file.ask()

    def _on_lost(self, camera_id: str, sentence: str) -> None:
        """Stop watching a camera because another has its lease now."""
        with self._lock:
            self._admission.drop(camera_id)
            self._admission.refused[camera_id] = sentence
        log.warning("%s", sentence)

    # -- the thread --

    def _look_after_all(self) -> None:
        with self._lock:
            self.tick(time.monotonic())

    def tick(self, now: float) -> None:
        """Look after everything once."""
        self._keep_workers(now)
        self._note(now)
        self._apply(self._roster.follow())
        for slot in self._slots:
            if slot.ready:
                self._admission.balance(slot, now)
        if now >= self._admission.next_try and not self._coming(now):
            self._admission.place_waiting(now)

    def _coming(self, now: float) -> bool:
        """Say whether a worker will be ready in a moment, so that its cameras had better wait for it."""
        return any(
            slot.starting and slot.process and now - slot.process.started_at < 10 for slot in self._slots
        )

    def _keep_workers(self, now: float) -> None:
        for slot in self._slots:
            if why := slot.broken():
                pid = slot.process.pid if slot.process else 0
                if slot.crashed():
                    self._admission.suspects.fell(set(slot.cameras), now)
                orphans = slot.fall(now)
                log.error("worker %d %s; its %d cameras get another", pid, why, len(orphans))
                for camera in orphans:
                    self._admission.where.pop(camera.id, None)
                self._admission.next_try = now
            if slot.process is None and now >= slot.next_start:
                slot.start()
                self._admission.next_try = now

    def _note(self, now: float) -> None:
        """Take in what the workers told, and what other programs use."""
        for slot in self._slots:
            status = slot.process.status if slot.process else None
            if status is None or status is slot.noted or slot.process is None:
                continue
            slot.note(status)
            self._admission.note(slot, status, slot.process.heard_at)
        self._admission.note_left()
        self._note_others(now)

    def _note_others(self, now: float) -> None:
        """See how busy the cores were beyond what the workers used."""
        before_s, before = self._was_busy
        if now - before_s < OTHERS_S:
            return
        busy = self._busy()
        own = [slot.own_s - was for slot, was in zip(self._slots, self._was_own, strict=True)]
        self._was_busy, self._was_own = (now, busy), [slot.own_s for slot in self._slots]
        for slot in self._slots:
            cores = slot.order.cores
            if not all(core in before and core in busy for core in cores) or not cores:
                continue
            used_s = sum(busy[core] - before[core] for core in cores)
            own_s = sum(
                took for other, took in zip(self._slots, own, strict=True) if other.order.cores == cores
            )
            part = slot.cores / len(cores)
            slot.others.note((used_s - own_s) / (now - before_s) * part, slot.cores, now)

    # -- what is wanted --

    def _apply(self, todo: Changes) -> None:
        for camera_id in todo.removed:
            self._admission.remove(camera_id)
        for camera in (*todo.changed, *todo.added):
            self._admission.forget(camera)
        if todo:
            self._admission.next_try = 0.0


def _slots_of(order: Open, size: Size) -> list[Slot]:
    """Make the workers' places: cores for each, and what its cameras may use of them."""
    cores = usable_cores()
    usable = min(float(len(cores)), quota_cores() or math.inf)
    workers = size.count(math.ceil(usable), len(order.site.cameras))
    models = tuple(sorted({camera.model for camera in order.site.cameras}))
    part = min(1.0, len(cores) / workers)  # where there are more workers than cores
    load = size.max_load * usable / len(cores)
    return [
        Slot(
            _opened(order, mine, models),
            load * len(mine) * part,
            f"{socket.gethostname()}/{number}",
            len(mine) * part,
        )
        for number, mine in enumerate(shares_of(cores, workers))
    ]


def _opened(order: Open, cores: tuple[int, ...], models: tuple[str, ...]) -> Open:
    return Open(
        order.site.model_copy(update={"cameras": order.site.cameras[:1]}),  # they come one by one
        order.settings,
        order.data,
        order.api_url,
        order.token,
        cores,
        models,
        order.log_level,
    )
