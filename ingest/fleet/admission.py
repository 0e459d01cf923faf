"""Which worker has which camera: who is taken in, who is refused and why, who must leave again."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence

from ingest.fleet.claims import Claims
from ingest.fleet.cost import CAPPED_AT, START_FPS, Books, load_of, no_room, room_for
from ingest.fleet.cpu import memory_left_bytes
from ingest.fleet.fair import LOWER_BY, Demand
from ingest.fleet.guard import outliers
from ingest.fleet.orders import Rates
from ingest.fleet.placement import Place, Placed, place
from ingest.fleet.process import WorkerProcess
from ingest.fleet.roster import Roster
from ingest.fleet.slots import Slot
from ingest.fleet.status import CameraState, WorkerStatus
from ingest.fleet.suspects import Suspects
from ingest.pipeline import Handed
from ingest.site import Camera

log = logging.getLogger(__name__)

TRY_AGAIN_S = 5.0
"""Pause before cameras for which there was no room are tried again."""
BALANCE_S = 30.0
"""Pause between two moves of a camera from a worker that has too much to do to one that has not."""
PROBATION_S = 300.0
"""A camera taken in on an estimate may be refused again for what it was measured to cost, for so long."""
JUDGED_S = 30.0
"""Unless it stands out, it must have been measured for so long: few streets are average in ten seconds."""
HELD_S = 60.0
"""So long a camera that was refused again is not tried: it must not come and go with the street's minutes."""
ESTIMATE_AGAIN_S = 600.0
"""After so long a camera that was refused for its measured cost gets another try on an estimate."""
NAMED_MAX = 5
"""More refusals at once than this are one sentence."""
LEFT_S = 15.0
"""A camera's thread that hangs so long is waited for no more: another worker gets the camera."""
HANDED_S = 60.0
"""What a camera's rules were counting is good for so long."""


class Admission:
    """Who is watched where. Called under the supervisor's lock.

    `where`: the worker's place of each camera that has one; `refused`: sentences of those that have none.

    Args:
        roster: the cameras that are wanted.
        slots: the workers' places.
        claims: asked before a camera is watched.
    """

    def __init__(self, roster: Roster, slots: Sequence[Slot], claims: Claims) -> None:
        self.where: dict[str, Slot] = {}
        self.refused: dict[str, str] = {}
        self.suspects = Suspects()
        self.next_try = 0.0
        self._roster, self._slots, self._claims = roster, slots, claims
        self._books = Books()
        self._told: set[str] = set()
        self._ended: set[str] = set()
        self._came: dict[str, tuple[float, float]] = {}  # when it was taken in, cores there were then
        self._leaving: dict[str, tuple[WorkerProcess | None, float]] = {}
        self._handed: dict[str, tuple[float, Handed]] = {}
        self._evicted: dict[str, float] = {}
        self._next_balance = 0.0

    # -- what workers tell --

    def note(self, slot: Slot, status: WorkerStatus, heard_at: float) -> None:
        """Take a worker's new status into the books."""
        self._books.note(status, heard_at, slot.live)
        self._ended |= {
            camera.camera_id
            for camera in status.cameras
            if camera.state is CameraState.ENDED and camera.camera_id in slot.cameras
        }

    def note_left(self) -> None:
        """See which cameras have left their workers, so that another may have them."""
        now = time.monotonic()
        for camera_id, (process, since) in list(self._leaving.items()):
            counting = process.left.pop(camera_id, None) if process and process.alive() else {}
            if counting is not None or now - since > LEFT_S:
                del self._leaving[camera_id]
                self._handed[camera_id] = now, counting or {}
        for camera_id in [name for name, (at, _) in self._handed.items() if now - at > HANDED_S]:
            del self._handed[camera_id]

    # -- what is wanted --

    def forget(self, camera: Camera) -> None:
        """Drop what is known of a camera that is new or was changed; watch it with its new settings."""
        self.suspects.forget(camera.id)
        self._ended.discard(camera.id)
        self._books.forget(camera.id)
        self._evicted.pop(camera.id, None)
        if camera.id in self.where:
            self.where[camera.id].watch([camera])
            self._came[camera.id] = time.monotonic(), self.where[camera.id].left

    def remove(self, camera_id: str) -> None:
        """Watch a camera no more; others may have it."""
        self.drop(camera_id)
        self._handed.pop(camera_id, None)
        self.refused.pop(camera_id, None)
        self.suspects.forget(camera_id)
        self._claims.give_up([camera_id])

    def drop(self, camera_id: str) -> None:
        """Take a camera away from its worker."""
        slot = self.where.pop(camera_id, None)
        self._ended.discard(camera_id)
        self._came.pop(camera_id, None)
        if slot is not None:
            slot.leave(camera_id)
            self._leaving[camera_id] = slot.process, time.monotonic()

    # -- who is taken in --

    def demand(self, camera: Camera) -> Demand:
        """Give what a camera wants and costs."""
        return self._books.demand(camera.id, camera.fps, min(camera.fps_min, camera.fps))

    def _demands(self, slot: Slot) -> dict[str, Demand]:
        """Give what the cameras of a worker want; a file that was read to its end wants nothing."""
        return {name: self.demand(camera) for name, camera in slot.cameras.items() if name not in self._ended}

    def _present(self, slot: Slot) -> dict[str, Demand]:
        """Give what the live cameras of a worker want now; see `Books.present`."""
        cameras = [slot.cameras[name] for name in slot.live if name not in self._ended]
        return {
            camera.id: self._books.present(camera.id, camera.fps, min(camera.fps_min, camera.fps))
            for camera in cameras
        }

    def place_waiting(self, now: float) -> None:
        """Take in of those that wait what fits, and say why the others have to wait on."""
        self.next_try = now + TRY_AGAIN_S
        for name in [name for name, at in self._evicted.items() if now - at > ESTIMATE_AGAIN_S]:
            del self._evicted[name]
            self._books.forget(name)
        waiting, refused = [], {}
        for name, camera in self._roster.wanted.items():
            if name in self.where or name in self._leaving:
                continue
            if sentence := self.suspects.held_back(name, now):
                refused[name] = sentence
            elif now - self._evicted.get(name, -HELD_S) < HELD_S:
                continue  # its sentence stands
            elif self.suspects.may_start(name, now):
                waiting.append(camera)
        if waiting or refused:
            self._tell_refused({**refused, **(self.place(waiting, now).refused if waiting else {})})

    def place(self, cameras: list[Camera], now: float) -> Placed:
        """Take in what fits and is free; keep the sentences of the others."""
        slots = [slot for slot in self._slots if slot.ready]
        places = [
            Place(load_of(self._demands(slot)), slot.room_left, len(slot.cameras), slot.others.used)
            for slot in slots
        ]
        placed = place(cameras, places, self.demand, memory_left_bytes())
        names = [camera.id for found in placed.taken.values() for camera in found]
        taken_elsewhere = self._claims.take(names) if names else {}
        for number, found in placed.taken.items():
            mine = [camera for camera in found if camera.id not in taken_elsewhere]
            handed = {
                camera.id: self._handed.pop(camera.id)[1] for camera in mine if camera.id in self._handed
            }
            slots[number].watch(mine, handed)
            for camera in mine:
                self.where[camera.id] = slots[number]
                self._came[camera.id] = now, slots[number].left
                self.refused.pop(camera.id, None)
                self._told.discard(camera.id)
        placed.refused |= taken_elsewhere
        return placed

    def _tell_refused(self, refused: Mapping[str, str]) -> None:
        """Log new refusals, each in a sentence or all in one."""
        self.refused |= {name: sentence for name, sentence in refused.items() if name in self._roster.wanted}
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
            len(self.where),
        )

    def room(self, slot: Slot) -> int:
        """Give how many more cameras of the usual cost fit."""
        demands = self._demands(slot).values()
        fps = statistics.median(demand.fps for demand in demands) if demands else START_FPS
        return room_for(self._books.estimate(fps, 0.0), load_of(demands), slot.room_left)

    # -- when there is too little --

    def balance(self, slot: Slot, now: float) -> None:
        """Where a worker has too much to do: refuse who is new, move one, or lower all rates fairly."""
        lasting = {name: demand for name, demand in self._demands(slot).items() if name in slot.live}
        if not lasting or self._give_back(slot, lasting, now):
            return
        demands = self._present(slot)
        slot.swings.note(load_of(demands), load_of(lasting), now)
        for name in outliers({name: demand.fixed for name, demand in demands.items()}):
            # What it takes beyond the others' usual is what they leave (`guard`): it lowers nobody's rate.
            others = [demand.fixed for other, demand in demands.items() if other != name]
            own = demands[name]
            demands[name] = Demand(own.fps, own.fps_min, statistics.median(others), own.per_frame)
        rates = slot.governor.decide(demands, slot.left, now, slot.most)
        changed = {name: fps for name, fps in rates.items() if abs(slot.rates.get(name, 0.0) - fps) > 0.01}
        full = {name for name in changed if name not in slot.rates and changed[name] == demands[name].fps}
        slot.rates |= changed
        if told := {name: fps for name, fps in changed.items() if name not in full}:
            if slot.process is not None:
                slot.process.tell(Rates(told))
            log.info("rates of %d cameras: %s", len(told), _range(told.values()))
        if slot.governor.level is not None and now >= self._next_balance:
            self._move_one(slot, lasting, now)

    def _give_back(self, slot: Slot, demands: Mapping[str, Demand], now: float) -> bool:
        """Where cameras taken in on an estimate turn out to cost more than there is, refuse one again.

        The others must not pay for it. Gives True if one was refused: their rates stay as they are.

        Args:
            slot: a worker.
            demands: of its live cameras, over minutes.
            now: monotonic seconds.
        """
        load, new = load_of(demands), []
        for name in demands:
            since, left = self._came.get(name, (-PROBATION_S, 0.0))
            dear = load > max(left, slot.left) * (1 + LOWER_BY)  # and not: others want more than they did
            if dear and self._books.measured(name) and now - since < PROBATION_S:
                new.append(name)
        if not new or len(demands) == 1:
            return False
        costs = {name: demand.cost(demand.fps) for name, demand in demands.items()}
        dearest = max(new, key=lambda name: costs[name])
        stands_out = costs[dearest] > CAPPED_AT * statistics.median(
            cost for name, cost in costs.items() if name != dearest
        )
        judged = [name for name in new if self._books.measured(name, JUDGED_S)]
        if stands_out or judged:
            newest = max(judged, key=lambda name: self._came[name], default=dearest)
            self._refuse(slot, dearest if stands_out else newest, demands, now, keep=stands_out)
        return stands_out or bool(judged)

    def _refuse(
        self, slot: Slot, name: str, demands: Mapping[str, Demand], now: float, *, keep: bool
    ) -> None:
        """Refuse a camera again; `keep`: by what it was measured to cost, when it is tried again."""
        own = demands[name].cost(demands[name].fps)
        sentence = no_room(demands[name], load_of(demands) - own, slot.left, len(demands) - 1)
        self.drop(name)
        self._claims.give_up([name])
        self._evicted[name] = now
        if not keep:
            self._books.forget(name)  # it is tried again on what is usual
        self._tell_refused({name: f"{sentence} (as measured)"})

    def _move_one(self, slot: Slot, demands: Mapping[str, Demand], now: float) -> None:
        """Move the cheapest camera to a worker that has room for it."""
        self._next_balance = now + BALANCE_S
        name = min(demands, key=lambda name: demands[name].cost(demands[name].fps))
        cores = demands[name].cost(demands[name].fps)
        for other in self._slots:
            if other is not slot and other.ready and load_of(self._demands(other)) + cores <= other.room_left:
                log.info("camera '%s' moves to a worker with more room", name)
                self.drop(name)
                self.next_try = 0.0
                return


def _range(values: Iterable[float]) -> str:
    found = sorted(values)
    return f"{found[0]:.2g} to {found[-1]:.2g} analysed frames a second"
