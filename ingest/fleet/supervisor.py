"""The supervisor: worker processes, and which of them watches which camera.

One thread looks after everything every half second: it starts fallen workers again, reads a changed site
file, takes cameras in where there is room, and lowers rates where there is not. Cameras are claimed by the
supervisor, for all its workers: they end with it.
"""

from __future__ import annotations

import logging
import socket
import statistics
import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from detector.errors import Failure
from ingest.config import read_camera
from ingest.fleet.claims import Claims
from ingest.fleet.cost import Books, load_of, no_room, room_for
from ingest.fleet.cpu import allow_many_files, memory_left_bytes, usable_cores
from ingest.fleet.fair import LOWER_BY, Demand
from ingest.fleet.guard import outliers
from ingest.fleet.orders import Open, Rates
from ingest.fleet.placement import Place, Placed, place
from ingest.fleet.roster import Roster
from ingest.fleet.site_file import Changes, SiteFile
from ingest.fleet.size import Size
from ingest.fleet.slots import START_S, Slot, shares_of
from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus
from ingest.fleet.status_server import NoSuchCamera, Refusal
from ingest.fleet.suspects import Suspects
from ingest.site import Camera

log = logging.getLogger(__name__)

TICK_S = 0.5
TRY_AGAIN_S = 5.0
"""Pause before cameras for which there was no room are tried again."""
BALANCE_S = 30.0
"""Pause between two moves of a camera from a worker that has too much to do to one that has not."""
PROBATION_S = 120.0
"""A camera taken in on an estimate may be refused again for what it was measured to cost, for so long."""
ESTIMATE_AGAIN_S = 600.0
"""After so long a camera that was refused for its measured cost gets another try on an estimate."""
SHOWN_MAX = 200
"""Refused cameras named in status; the others are counted in the log's sentence."""
NAMED_MAX = 5
"""More refusals at once than this are one sentence."""


class Supervisor:
    """Watch the cameras of a site in worker processes. A context manager; also a `status_server.Fleet`.

    Args:
        order: what each worker is opened with; cores and models are filled in.
        size: how many workers.
        claims: of this process; what they lose is watched no more.
        site_file: followed while cameras are watched; None: the cameras of `order.site`, and those sent.
    """

    def __init__(self, order: Open, size: Size, claims: Claims, site_file: SiteFile | None = None) -> None:
        self._site = order.site
        self._claims = claims
        claims.lost = self._on_lost
        self._roster = Roster(order.site, site_file)
        self._suspects = Suspects()
        self._books = Books()
        cameras = order.site.cameras
        cores = usable_cores()
        workers = size.count(len(cores), len(cameras))
        models = tuple(sorted({camera.model for camera in cameras}))
        self._slots = [
            Slot(
                _opened(order, share, models),
                size.max_load * len(share) * min(1.0, len(cores) / workers),
                f"{socket.gethostname()}/{number}",
            )
            for number, share in enumerate(shares_of(cores, workers))
        ]
        self._where: dict[str, Slot] = {}
        self._refused: dict[str, str] = {}
        self._told: set[str] = set()
        self._ended: set[str] = set()
        self._since: dict[str, float] = {}
        self._leaving: dict[str, tuple[Slot, float]] = {}
        self._evicted: dict[str, float] = {}
        self._next_try = self._next_balance = 0.0
        self._lock = threading.RLock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        """Start the workers and begin.

        Raises:
            WrongUse, Failure: a worker cannot be opened: a model is missing, a backend not installed.
        """
        allow_many_files()
        try:
            for process in [slot.start() for slot in self._slots]:
                process.wait_ready(START_S)
        except BaseException:
            self._end()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(timeout=30)
        self._end()

    def _end(self) -> None:
        processes = [slot.process for slot in self._slots if slot.process is not None]
        for process in processes:
            process.stop()
        for process in processes:
            process.join()

    # -- what people and the status server ask; see `status_server.Fleet` --

    def status(self) -> list[WorkerStatus]:
        """Give every worker, and the cameras that none has (yet) under a row of the supervisor's own."""
        rows = [slot.shown(self._room(slot)) for slot in self._slots]
        refused = dict(self._refused)
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
        return [*rows, WorkerStatus(name, alive=True, cameras=tuple(waiting))] if waiting else rows

    def add(self, table: dict[str, Any]) -> None:
        """Watch a camera, written as a `[[camera]]` table, until it is removed or this process ends.

        Raises:
            WrongUse: it is wrong. Refusal: there is no room, or another has it.
        """
        camera = read_camera(table, self._site)
        with self._lock:
            known = camera.id in self._roster.wanted
            if not known and (sentence := self._place([camera]).refused.get(camera.id)):
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
            self._drop(camera_id)
            self._refused[camera_id] = sentence
        log.warning("%s", sentence)

    # -- the thread --

    def _run(self) -> None:
        while not self._done.wait(TICK_S):
            try:
                with self._lock:
                    self.tick(time.monotonic())
            except Failure as failure:
                log.error("%s", failure)  # noqa: TRY400 - the sentence says it
            except Exception:  # the process loop: cameras go on being watched
                log.exception("the supervisor stumbled; it goes on")

    def tick(self, now: float) -> None:
        """Look after everything once."""
        self._keep_workers(now)
        self._note()
        self._apply(self._roster.follow())
        for slot in self._slots:
            if slot.ready:
                self._balance(slot, now)
        if now >= self._next_try and not self._coming(now):
            self._next_try = now + TRY_AGAIN_S
            self._place_waiting(now)

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
                    self._suspects.fell(set(slot.cameras), now)
                orphans = slot.fall(now)
                log.error("worker %d %s; its %d cameras get another", pid, why, len(orphans))
                for camera in orphans:
                    self._where.pop(camera.id, None)
                self._next_try = now
            if slot.process is None and now >= slot.next_start:
                slot.start()
                self._next_try = now

    def _note(self) -> None:
        """Take the workers' new statuses into the books."""
        for slot in self._slots:
            status = slot.process.status if slot.process else None
            if status is None or status is slot.noted or slot.process is None:
                continue
            slot.noted = status
            self._books.note(
                status, slot.process.heard_at, {name for name in slot.cameras if self._live(name)}
            )
            self._ended |= {
                camera.camera_id
                for camera in status.cameras
                if camera.state is CameraState.ENDED and camera.camera_id in slot.cameras
            }
        for camera_id, (slot, since) in list(self._leaving.items()):
            process = slot.process
            told = process.status if process and process.ready else None
            if process is None or (
                told is not None
                and process.heard_at > since + TICK_S
                and all(camera.camera_id != camera_id for camera in told.cameras)
            ):
                del self._leaving[camera_id]

    # -- what is wanted --

    def _apply(self, todo: Changes) -> None:
        for camera_id in todo.removed:
            self._drop(camera_id)
            self._refused.pop(camera_id, None)
            self._suspects.forget(camera_id)
            self._claims.give_up([camera_id])
        for camera in (*todo.changed, *todo.added):
            self._suspects.forget(camera.id)
            self._ended.discard(camera.id)
            self._books.forget(camera.id)
            if camera.id in self._where:
                self._where[camera.id].watch([camera])
                self._since[camera.id] = time.monotonic()
        if todo:
            self._next_try = 0.0

    def _drop(self, camera_id: str) -> None:
        """Take a camera away from its worker."""
        slot = self._where.pop(camera_id, None)
        self._ended.discard(camera_id)
        self._since.pop(camera_id, None)
        if slot is not None:
            slot.leave(camera_id)
            self._leaving[camera_id] = slot, time.monotonic()

    # -- who is taken in --

    def _live(self, camera_id: str) -> bool:
        camera = self._roster.wanted.get(camera_id)
        return camera is not None and "://" in (camera.source or "")

    def _demand(self, camera: Camera) -> Demand:
        return self._books.demand(camera.id, camera.fps, min(camera.fps_min, camera.fps))

    def _demands(self, slot: Slot) -> dict[str, Demand]:
        """Give what the cameras of a worker want; a file that was read to its end wants nothing."""
        return {
            name: self._demand(camera) for name, camera in slot.cameras.items() if name not in self._ended
        }

    def _place_waiting(self, now: float) -> None:
        for name in [name for name, at in self._evicted.items() if now - at > ESTIMATE_AGAIN_S]:
            del self._evicted[name]
            self._books.forget(name)
        waiting, refused = [], {}
        for name, camera in self._roster.wanted.items():
            if name in self._where or name in self._leaving:
                continue
            if sentence := self._suspects.held_back(name, now):
                refused[name] = sentence
            elif self._suspects.may_start(name, now):
                waiting.append(camera)
        if waiting or refused:
            self._tell_refused({**refused, **(self._place(waiting).refused if waiting else {})})

    def _place(self, cameras: list[Camera]) -> Placed:
        """Take in what fits and is free; keep the sentences of the others."""
        slots = [slot for slot in self._slots if slot.ready]
        places = [Place(load_of(self._demands(slot)), slot.cap, len(slot.cameras)) for slot in slots]
        placed = place(cameras, places, self._demand, memory_left_bytes())
        names = [camera.id for found in placed.taken.values() for camera in found]
        taken_elsewhere = self._claims.take(names) if names else {}
        for number, found in placed.taken.items():
            mine = [camera for camera in found if camera.id not in taken_elsewhere]
            slots[number].watch(mine)
            for camera in mine:
                self._where[camera.id] = slots[number]
                self._since[camera.id] = time.monotonic()
                self._refused.pop(camera.id, None)
                self._told.discard(camera.id)
        placed.refused |= taken_elsewhere
        return placed

    def _tell_refused(self, refused: Mapping[str, str]) -> None:
        """Log new refusals, each in a sentence or all in one."""
        self._refused |= {name: sentence for name, sentence in refused.items() if name in self._roster.wanted}
        new = [name for name in refused if name not in self._told]
        self._told |= set(new)
        if len(new) <= NAMED_MAX:
            for name in new:
                log.warning("camera '%s' is refused: %s; it is tried again", name, refused[name].rstrip("."))
            return
        log.warning(
            "%d of %d cameras are refused, from '%s' on: %s; they are tried again, and %d are watched",
            len(refused),
            len(self._roster.wanted),
            new[0],
            refused[new[0]].rstrip("."),
            len(self._where),
        )

    def _room(self, slot: Slot) -> int | None:
        demands = list(self._demands(slot).values())
        if not demands:
            demands = [self._books.estimate(5.0, 1.0)]
            return room_for(demands[0], 0.0, slot.cap)
        usual = Demand(
            statistics.median(demand.fps for demand in demands),
            0.0,
            statistics.median(demand.fixed for demand in demands),
            statistics.median(demand.per_frame for demand in demands),
        )
        return room_for(usual, load_of(demands), slot.cap)

    # -- when there is too little --

    def _balance(self, slot: Slot, now: float) -> None:
        """Where a worker has too much to do: refuse who is new, move one, or lower all rates fairly."""
        demands = {name: demand for name, demand in self._demands(slot).items() if self._live(name)}
        if not demands:
            return
        load = load_of(demands)
        if load > slot.cap * (1 + LOWER_BY) and self._refuse_newest(slot, demands, load, now):
            return
        for name in outliers({name: demand.fixed for name, demand in demands.items()}):
            # What it takes beyond the others' usual is what they leave (`guard`): it lowers nobody's rate.
            others = [demand.fixed for other, demand in demands.items() if other != name]
            own = demands[name]
            demands[name] = Demand(own.fps, own.fps_min, statistics.median(others), own.per_frame)
        rates = slot.governor.decide(demands, slot.cap, now)
        changed = {name: fps for name, fps in rates.items() if abs(slot.rates.get(name, 0.0) - fps) > 0.01}
        full = {name for name in changed if name not in slot.rates and changed[name] == demands[name].fps}
        slot.rates |= changed
        if told := {name: fps for name, fps in changed.items() if name not in full}:
            if slot.process is not None:
                slot.process.tell(Rates(told))
            log.info("rates of %d cameras: %s", len(told), _range(told.values()))
        if slot.governor.level is not None and now >= self._next_balance:
            self._move_one(slot, demands, now)

    def _refuse_newest(self, slot: Slot, demands: Mapping[str, Demand], load: float, now: float) -> bool:
        """Give back the dearest camera that was taken in on an estimate and turns out to cost more."""
        new = [
            name
            for name in demands
            if self._books.measured(name) and now - self._since.get(name, 0.0) < PROBATION_S
        ]
        if not new or len(demands) == 1:
            return False
        name = max(new, key=lambda name: demands[name].cost(demands[name].fps))
        own = demands[name].cost(demands[name].fps)
        sentence = no_room(demands[name], load - own, slot.cap, len(demands) - 1)
        self._drop(name)
        self._claims.give_up([name])
        self._evicted[name] = now
        self._tell_refused({name: f"{sentence} (as measured)"})
        return True

    def _move_one(self, slot: Slot, demands: Mapping[str, Demand], now: float) -> None:
        """Move the cheapest camera to a worker that has room for it."""
        self._next_balance = now + BALANCE_S
        name = min(demands, key=lambda name: demands[name].cost(demands[name].fps))
        cores = demands[name].cost(demands[name].fps)
        for other in self._slots:
            if other is not slot and other.ready and load_of(self._demands(other)) + cores <= other.cap:
                log.info("camera '%s' moves to a worker with more room", name)
                self._drop(name)
                self._next_try = 0.0
                return


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


def _range(values: Iterable[float]) -> str:
    found = sorted(values)
    return f"{found[0]:.2g} to {found[-1]:.2g} analysed frames a second"
