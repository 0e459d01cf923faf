"""A camera group as a Ray actor: opened by its constructor alone, so that Ray can start it again anywhere."""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from detector.errors import Failure
from ingest.client import Refused, TryLater
from ingest.fleet.group import CameraGroup, GroupSettings
from ingest.fleet.ray_link import Notes, nodes
from ingest.fleet.ray_uploads import TaskClient, spool
from ingest.fleet.status import OutboxCount, WorkerStatus
from ingest.pipeline import Handed
from ingest.site import Camera, Site

log = logging.getLogger(__name__)

Json = dict[str, Any]

ORPHAN_S = 1800.0
"""A group whose supervisor has not asked for its status for so long ends: nobody wants it any more."""
API_S = 60.0
"""A camera that is new here waits so long for the API, which knows what was reported; then it is watched."""
RECEIPTS_S = 0.3
CASES_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Terms:
    """What all groups of a fleet have in common; goes to every node.

    Args:
        fleet: name. site: for its name and time zone; its cameras do not count here.
        settings: of every group. models: loaded before the first camera comes.
        data: folder on every node; each uses a part of its own in it.
        api_url, token: of the API, as every node can reach it.
        gpus: that each group reserves; a share of one, or whole ones.
    """

    fleet: str
    site: Site
    settings: GroupSettings
    models: tuple[str, ...]
    data: str
    api_url: str
    token: str = ""
    gpus: float = 0.0
    version: str = field(default_factory=lambda: version("kerbwatch"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a group is to watch; a later number replaces an earlier. Kept in the cluster's own store."""

    number: int
    cpus: float
    cameras: tuple[Camera, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What a group tells.

    Args:
        life: id of this process' run; another after a restart.
        pid: its process. node_id: where it runs. data: its node's folder.
        number: of the plan that it follows.
        refusal: why it cannot work at all, "" where it can.
        spool: what the node's spool holds, for all groups of the node.
        cases: Case JSON of reports that the API took and the asker has not seen, numbered in this life.
    """

    life: str
    pid: int
    node_id: str
    data: str
    number: int
    status: WorkerStatus
    refusal: str = ""
    spool: OutboxCount = field(default_factory=OutboxCount)
    cases: tuple[tuple[int, Json], ...] = ()


def folder_of(data: str, node: str) -> Path:
    """Give a node's part of the data folder: by its name, which it keeps when its Ray is started again.

    >>> folder_of("/var/kerbwatch", "10.0.0.7").as_posix()
    '/var/kerbwatch/nodes/10.0.0.7'
    """
    return Path(data) / "nodes" / (re.sub(r"[^\w.-]", "_", node).strip(".") or "node")


class GroupActor:
    """Watch the cameras of the plan that is kept under the group's name.

    Every camera is leased at the API first. A group has its leases in the name of itself and its node:
    started again on the same node it goes on at once, on another it waits until the leases of the former are
    over, because a node that only seems dead may still be watching.

    Args:
        name: the actor's. cpus: that it reserves. terms: of the fleet.
    """

    def __init__(self, name: str, cpus: float, terms: Terms) -> None:
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        self._name, self._cpus, self._terms = name, cpus, terms
        self._life = uuid4().hex
        self._node_id, node = _here()
        self._folder = folder_of(terms.data, node)
        self._worker = f"{name}@{node}"
        self._number = 0
        self._asked_at = time.monotonic()
        self._cases: deque[tuple[int, Json]] = deque(maxlen=CASES_KEPT)
        self._changing = threading.Lock()
        self._done = threading.Event()
        self._refusal = ""
        self._opened = False
        try:
            self._open()
        except Failure as failure:
            self._refusal = f"node {node}: {failure}"

    def _open(self) -> None:
        terms = self._terms
        if (mine := version("kerbwatch")) != terms.version:
            raise Failure(
                f"it has Kerbwatch {mine}, the supervisor {terms.version}; install the same on all."
            )
        _make(self._folder)
        threads = terms.settings.threads or math.ceil(self._cpus)
        settings = replace(terms.settings, threads=threads, sends=False, claims=True)
        self._group = CameraGroup(
            terms.site, settings, self._folder, terms.api_url, terms.token, worker=self._worker
        )
        self._group.load(terms.models)
        self._client = TaskClient(terms.api_url, terms.token)
        self._outbox = spool(self._folder, self._client).start()
        self._group.__enter__()
        self._opened = True
        for chore in (self._collect, self._watch_supervisor, self._first_plan):
            threading.Thread(target=chore, name=chore.__name__.strip("_"), daemon=True).start()

    def _first_plan(self) -> None:
        """Take up what is planned, without waiting for a supervisor: there may be none just now."""
        plan: Plan | None = Notes(self._terms.fleet).get(self._name)
        if plan is not None:
            self.follow(plan)

    # -- called by the supervisor --

    def follow(self, plan: Plan, handed: Mapping[str, Handed] | None = None) -> dict[str, Handed]:
        """Watch what a plan says and nothing else.

        Cameras that leave are let go of before others are taken.

        Args:
            plan: what to watch; an older one than that which is followed counts for nothing.
            handed: what the rules of cameras that come here were counting where they were.

        Returns:
            What the rules of the cameras that left were counting, by camera.
        """
        handed, left = handed or {}, {}
        with self._changing:
            if plan.number <= self._number or self._refusal:
                return {}
            wanted = {camera.id for camera in plan.cameras}
            for camera_id in self._group.cameras():
                if camera_id not in wanted and (counting := self._group.let_go(camera_id)) is not None:
                    left[camera_id] = counting
            if new := wanted.difference(self._group.cameras(), handed):
                self._wait_for_api(min(new))
            for camera in plan.cameras:
                self._group.change(camera, handed.get(camera.id))
            self._number = plan.number
            return left

    def _wait_for_api(self, camera_id: str) -> None:
        """Wait a while for an API that is away: only it knows what another node reported of new cameras."""
        until = time.monotonic() + API_S
        while not self._done.is_set():
            try:
                self._client.open_cases(camera_id)
            except TryLater as reason:
                if time.monotonic() > until:
                    log.warning("what is reported already could not be asked: %s", reason)
                    return
                self._done.wait(1.0)
            except Refused:
                return
            else:
                return

    def set_rates(self, fps: Mapping[str, float]) -> None:
        """Analyse these cameras at these rates, frames per second."""
        if not self._refusal:
            self._group.set_rates(fps)

    def tell(self, life: str = "", seen: int = 0) -> Told:
        """Say how the group is doing.

        Args:
            life: in which the supervisor last heard of it, "" for somebody who only looks.
            seen: number of the last case that it saw in that life; later ones are told, again if need be.
        """
        if life:
            self._asked_at = time.monotonic()
        seen = seen if life == self._life else 0
        return Told(
            life=self._life,
            pid=os.getpid(),
            node_id=self._node_id,
            data=str(self._folder),
            number=self._number,
            status=self._status(),
            refusal=self._refusal,
            spool=OutboxCount() if self._refusal else self._outbox.count(),
            cases=tuple(row for row in list(self._cases) if row[0] > seen) if life else (),
        )

    def _status(self) -> WorkerStatus:
        if self._refusal:
            return WorkerStatus(self._worker, alive=False, cores=self._cpus)
        return replace(self._group.status(), cores=self._cpus)

    def close(self) -> None:
        """Stop all cameras, give up their leases and send what is ready to go."""
        if self._done.is_set() or self._refusal or not self._opened:
            return
        self._done.set()
        with self._changing:
            self._number = 1 << 60  # no plan counts any more
            self._group.close()
        self._outbox.flush(10.0)
        self._outbox.close()
        self._client.close()

    def __ray_shutdown__(self) -> None:
        """Close where Ray ends the actor in an orderly way."""
        self.close()

    # -- threads --

    def _collect(self) -> None:
        seen: set[str] = set()
        while not self._done.wait(RECEIPTS_S):
            for report_id, case in self._outbox.receipts():
                if report_id not in seen:
                    seen.add(report_id)
                    self._cases.append((len(seen), case))

    def _watch_supervisor(self) -> None:
        import ray

        while not self._done.wait(10.0):
            if time.monotonic() - self._asked_at > ORPHAN_S:
                log.warning("%s: no supervisor for %.0f minutes; it ends", self._name, ORPHAN_S / 60)
                self.close()
                Notes(self._terms.fleet).drop(self._name)
                ray.kill(ray.get_actor(self._name))


def _here() -> tuple[str, str]:
    """Give id and name of the node that this process runs on."""
    import ray

    node_id = ray.get_runtime_context().get_node_id()
    return node_id, next((node.name for node in nodes() if node.node_id == node_id), node_id)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"the folder {folder} cannot be made ({error.strerror}): choose --data.") from error
    if not os.access(folder, os.W_OK):
        raise Failure(f"the folder {folder} cannot be written: choose another --data.")


def plan_of(number: int, cpus: float, cameras: Sequence[Camera]) -> Plan:
    """Give a plan over cameras in the order of their ids."""
    return Plan(number, cpus, tuple(sorted(cameras, key=lambda camera: camera.id)))
