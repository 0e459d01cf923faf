"""The places of a fleet's workers: each holds one process after another, and the cameras it has now."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingest.fleet.fair import LOWER_BY, Governor, Swings
from ingest.fleet.health import as_of_now
from ingest.fleet.orders import Leave, Open, Watch
from ingest.fleet.others import Others, cores_left
from ingest.fleet.process import WorkerProcess
from ingest.fleet.status import WorkerStatus
from ingest.fleet.turns import NICE
from ingest.pipeline import Handed
from ingest.site import Camera

log = logging.getLogger(__name__)

HANG_S = 20.0
"""A worker that tells nothing for so long hangs; it is killed."""
DOUBT_S = 5.0
"""After so long without a word it counts as not answering in status."""
START_S = 60.0
"""A worker may take so long to load its models."""
BACKOFF_S = (1.0, 60.0)
"""Pause before the second restart within `RECENT_S`, and the longest; the first comes at once."""
RECENT_S = 300.0
BURST = 1.15
"""For half a minute cameras may take so many times what they may on average, where the cores are free."""
CRASHES = frozenset(
    -number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
)
"""Ways to end that a broken decoder or network has; somebody's kill is none."""


def shares_of(cores: Sequence[int], workers: int) -> list[tuple[int, ...]]:
    """Give each worker its cores; where there are more workers than cores, some share one.

    >>> shares_of([0, 1, 2], 2), shares_of([4], 2)
    ([(0, 2), (1,)], [(4,), (4,)])
    """
    if workers >= len(cores):
        return [(cores[number % len(cores)],) for number in range(workers)]
    return [tuple(cores[number::workers]) for number in range(workers)]


def _weighty_s(before: WorkerStatus, now: WorkerStatus) -> float:
    """Give the CPU seconds of a process between two statuses, without evidence, which has a low priority."""
    made = {camera.camera_id: camera.evidence_cpu_s for camera in before.cameras}
    light_s = sum(
        max(0.0, camera.evidence_cpu_s - made[camera.camera_id])
        for camera in now.cameras
        if camera.camera_id in made
    )
    return max(0.0, now.cpu_s - before.cpu_s - (light_s if NICE > 0 else 0.0))


@dataclass(slots=True, eq=False)
class Slot:
    """One worker's place.

    Args:
        order: what its process is opened with; `order.cores` are its cores.
        cap: cores that its cameras may use together where no other program wants any; see `left`.
        place: its name, whichever process it holds.
        cores: how many it has, below 1 where it shares one with other workers.
        own_s: CPU seconds that its processes took so far, as far as `cores.busy_seconds` counts them.
    """

    order: Open
    cap: float
    place: str
    cores: float
    process: WorkerProcess | None = None
    cameras: dict[str, Camera] = field(default_factory=dict)
    governor: Governor = field(default_factory=Governor)
    rates: dict[str, float] = field(default_factory=dict)
    restarts: int = 0
    next_start: float = 0.0
    noted: WorkerStatus | None = None
    others: Others = field(default_factory=Others)
    own_s: float = 0.0
    swings: Swings = field(default_factory=Swings)
    _falls: list[float] = field(default_factory=list)

    def start(self) -> WorkerProcess:
        """Start a process."""
        self.process = WorkerProcess(self.order)
        return self.process

    @property
    def left(self) -> float:
        """Cores that its cameras may use together beside other programs."""
        return cores_left(self.cap, self.cores, self.others.used)

    @property
    def room_left(self) -> float:
        """Cores that its cameras may take on average when one more is taken in."""
        return max(0.0, self.left - self.swings.cores)

    @property
    def most(self) -> float:
        """Cores above which the rates of its cameras fall: some of what is kept free serves bursts."""
        return max(self.left * (1 + LOWER_BY), min(self.left * BURST, self.cores - self.others.used))

    def note(self, status: WorkerStatus) -> None:
        """Take what its process told."""
        if self.noted is not None:
            self.own_s += _weighty_s(self.noted, status)
        self.noted = status

    @property
    def ready(self) -> bool:
        """It has a process that takes orders."""
        return self.process is not None and self.process.ready and self.process.alive()

    @property
    def starting(self) -> bool:
        """It has a process that is not ready yet but may become so."""
        return self.process is not None and not self.process.ready and self.process.alive()

    def broken(self) -> str | None:
        """Say what is wrong with the process; None: nothing, or there is none."""
        process = self.process
        if process is None:
            return None
        if not process.alive():
            code = process.exit_code() or 0
            if process.refusal:
                return f"could not start: {process.refusal.sentence}"
            return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        quiet_s = process.quiet_s()
        if quiet_s > (HANG_S if process.ready else START_S):
            return f"has told nothing for {quiet_s:.0f} s and is killed"
        return None

    def crashed(self) -> bool:
        """Say whether a process that is broken went down by itself: a camera's doing, perhaps."""
        if self.process is None or self.process.refusal:
            return False
        return self.process.alive() or (self.process.exit_code() or 0) in CRASHES

    def fall(self, now: float) -> list[Camera]:
        """Kill what is left of the process, plan the next one; give the cameras that have no worker now."""
        if self.process is not None:
            self.process.kill()
        self._falls = [at for at in self._falls if now - at < RECENT_S] + [now]
        before = len(self._falls) - 1
        pause_s = min(BACKOFF_S[1], BACKOFF_S[0] * 2.0 ** (before - 1)) if before else 0.0
        self.process, self.noted, self.next_start = None, None, now + pause_s
        self.restarts += 1
        orphans = list(self.cameras.values())
        self.cameras, self.rates, self.governor, self.swings = {}, {}, Governor(), Swings()
        return orphans

    def watch(self, cameras: Sequence[Camera], handed: Mapping[str, Handed] | None = None) -> None:
        """Have cameras watched, or watched with other settings.

        Args:
            cameras: which.
            handed: what the rules of some were counting with another worker.
        """
        self.cameras |= {camera.id: camera for camera in cameras}
        for camera in cameras:
            self.rates.pop(camera.id, None)
        if self.process is not None and cameras:
            self.process.tell(Watch(tuple(cameras), handed or {}))

    def leave(self, camera_id: str) -> None:
        """Have a camera watched no more."""
        self.cameras.pop(camera_id, None)
        self.rates.pop(camera_id, None)
        if self.process is not None:
            self.process.tell(Leave((camera_id,)))

    def shown(self, room: int | None) -> WorkerStatus:
        """Give what status shows of it."""
        process = self.process
        if process is None or process.status is None:
            name = f"{socket.gethostname()}:{process.pid if process else 0}"
            told = WorkerStatus(name, alive=False, cores=float(len(self.order.cores)))
        else:
            quiet_s = process.quiet_s()
            alive = process.alive() and quiet_s < DOUBT_S
            told = as_of_now(process.status, quiet_s, self.live) if alive else process.status
            told = replace(told, alive=alive)
        left, others = round(self.left, 3), self.others.used
        return replace(
            told, restarts=self.restarts, room=room, place=self.place, cores_left=left, cores_others=others
        )

    @property
    def live(self) -> frozenset[str]:
        """Give the ids of its cameras that are live."""
        return frozenset(name for name, camera in list(self.cameras.items()) if camera.live)
