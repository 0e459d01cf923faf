"""A group as its supervisor holds it: the actor's handle, what it is to watch, what it last told."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from ingest.fleet.health import as_of_now
from ingest.fleet.ray_group import GroupActor, Plan, Terms, Told, plan_of
from ingest.fleet.ray_link import NAMESPACE, Notes
from ingest.fleet.ray_plan import Group
from ingest.fleet.ray_uploads import sweep
from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus
from ingest.pipeline import Handed
from ingest.site import Camera

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Calls that a group answers side by side: its status must not wait for a camera that is slow to leave."""
FRESH_S = 6.0
"""A group that told nothing for so long is shown as one that does not answer."""
CLOSE_S = 25.0
WAITING = "its group has no place on the cluster yet: it waits for {:.2f} free CPUs on one node"


class Member:
    """One group. `cameras`: by id, what it is to watch; `told`: the last it said; `held`: a hand-over is on.

    Args:
        name: of actor and plan. cpus: that it reserves.
        terms: of the fleet. notes: where its plan is kept.
    """

    def __init__(self, name: str, cpus: float, terms: Terms, notes: Notes) -> None:
        self.name, self.cpus = name, cpus
        self.cameras: dict[str, Camera] = {}
        self.number = 0
        self.told: Told | None = None
        self.heard_at = self.born_at = time.monotonic()
        self.restarts = 0
        self.dead = ""
        self.held = False
        self._terms, self._notes = terms, notes
        self._handle: Any = None
        self._asked: Any = None
        self._following: Any = None
        self._life, self._seen = "nobody's", 0

    @classmethod
    def adopted(cls, name: str, plan: Plan, terms: Terms, notes: Notes) -> Member | None:
        """Take over a group that a former supervisor made; None: it is no more."""
        import ray

        member = cls(name, plan.cpus, terms, notes)
        try:
            member._handle = ray.get_actor(name, namespace=NAMESPACE)
        except ValueError:
            return None
        member.number = plan.number
        member.cameras = {camera.id: camera for camera in plan.cameras}
        return member

    def start(self, node_id: str | None = None) -> None:
        """Make the actor: on a node, or where Ray finds room, away from the others where it can.

        It belongs to nobody ("detached"): it outlives its supervisor, and Ray starts it again where it fell.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        where: Any = NodeAffinitySchedulingStrategy(node_id, soft=True) if node_id else "SPREAD"
        self._keep()
        self._handle = (
            ray.remote(GroupActor)
            .options(
                name=self.name,
                namespace=NAMESPACE,
                lifetime="detached",
                num_cpus=self.cpus,
                num_gpus=self._terms.gpus or None,
                max_restarts=-1,
                max_concurrency=AT_ONCE,
                scheduling_strategy=where,
            )
            .remote(self.name, self.cpus, self._terms)
        )

    @property
    def node_id(self) -> str | None:
        """Where it runs; None: it has not told yet."""
        return self.told.node_id if self.told else None

    @property
    def refusal(self) -> str:
        """Why it cannot work at all."""
        return self.told.refusal if self.told else ""

    def group(self) -> Group:
        """Give what the planner wants to know."""
        return Group(self.name, self.cpus, self.node_id, tuple(self.cameras))

    def plan(self) -> Plan:
        """Give what it is to watch."""
        return plan_of(self.number, self.cpus, list(self.cameras.values()))

    def change(self, take: Iterable[Camera] = (), leave: Iterable[str] = ()) -> None:
        """Plan anew and keep the plan; the group hears of it by `poll` or `follow`."""
        for camera in take:
            self.cameras[camera.id] = camera
        for camera_id in leave:
            self.cameras.pop(camera_id, None)
        self.number += 1
        self._keep()

    def _keep(self) -> None:
        self._notes.put(self.name, self.plan())

    # -- talking to it --

    def poll(self, now: float) -> Told | None:
        """Look, without waiting, for what it told since, and ask again; give it if there is something new."""
        fresh = self._heard(now)
        if self._asked is None and not self.dead:
            self._asked = self._handle.tell.remote(self._life, self._seen)
        behind = self.told is not None and not self.refusal and self.told.number != self.number
        if behind and not self.held and not self.dead and self._settled():
            self._following = self._handle.follow.remote(self.plan())
        return fresh

    def _heard(self, now: float) -> Told | None:
        import ray
        from ray.exceptions import ActorDiedError, RayError

        if self._asked is None or not ray.wait([self._asked], timeout=0)[0]:
            return None
        asked, self._asked = self._asked, None
        try:
            told: Told = ray.get(asked)
        except ActorDiedError as error:
            self.dead = " ".join(str(error).split())[:300]
            return None
        except RayError as error:  # it is just being started again
            log.debug("%s: %s", self.name, error)
            return None
        new = told.life != self._life
        if self.told is not None and new:
            self.restarts += 1
            log.warning("%s was started again (%s)", self.name, told.status.worker)
        self.told, self.heard_at, self._life = told, now, told.life
        self._seen = max((number for number, _ in told.cases), default=0 if new else self._seen)
        return told

    def _settled(self) -> bool:
        import ray

        return self._following is None or bool(ray.wait([self._following], timeout=0)[0])

    def follow(
        self, handed: Mapping[str, Handed] | None = None, timeout_s: float = 15.0
    ) -> dict[str, Handed]:
        """Tell it its plan and wait until it follows.

        Args:
            handed: what the rules of cameras that come to it were counting.
            timeout_s: how long to wait.

        Returns:
            What the rules of cameras that left it were counting; nothing where it does not answer.
        """
        import ray
        from ray.exceptions import RayError

        try:
            left: dict[str, Handed] = ray.get(
                self._handle.follow.remote(self.plan(), handed), timeout=timeout_s
            )
        except RayError as error:
            log.warning("%s does not follow: %s", self.name, type(error).__name__)
            return {}
        return left

    def set_rates(self, fps: Mapping[str, float]) -> None:
        """Have these cameras analysed at these rates, frames per second; nobody waits for it."""
        self._handle.set_rates.remote(fps)

    def restart(self) -> None:
        """Have Ray start it again: its process hangs."""
        import ray

        ray.kill(self._handle, no_restart=False)

    def begin_close(self) -> Any:
        """Ask it to end in order; give what `end` waits for."""
        return None if self.dead or self.told is None else self._handle.close.remote()

    def end(self, closing: Any = None) -> None:
        """End the actor, waiting for `closing` a while, and forget its plan."""
        import ray
        from ray.exceptions import RayError

        if closing is not None:
            try:
                ray.get(closing, timeout=CLOSE_S)
            except RayError as error:
                log.warning("%s did not end in order: %s", self.name, type(error).__name__)
        self._notes.drop(self.name)
        if self._handle is not None and not self.dead:
            ray.kill(self._handle)

    def sweep(self) -> None:
        """Have what lies in its node's spool sent, without a group there."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if self.told is None or not self.told.spool.pending:
            return
        where = NodeAffinitySchedulingStrategy(self.told.node_id, soft=False)
        task = ray.remote(num_cpus=0, max_retries=0)(sweep).options(scheduling_strategy=where)
        task.remote(self.told.data, self._terms.api_url, self._terms.token)

    # -- status --

    def status(self, now: float) -> WorkerStatus:
        """Give what is shown of it."""
        if self.told is None:
            sentence = WAITING.format(self.cpus) if now - self.born_at > FRESH_S else ""
            state = CameraState.REFUSED if sentence else CameraState.STARTING
            return self._without(state, sentence)
        if self.refusal or self.dead:
            return self._without(CameraState.FAILED, self.refusal or self.dead)
        quiet_s = now - self.heard_at
        alive = quiet_s < FRESH_S
        live = {name for name, camera in self.cameras.items() if camera.live}
        told = as_of_now(self.told.status, quiet_s, live) if alive else self.told.status
        return replace(told, alive=alive, restarts=self.restarts, place=self.name)

    def _without(self, state: CameraState, sentence: str) -> WorkerStatus:
        worker = self.told.status.worker if self.told else self.name
        rows = tuple(CameraStatus(camera_id, worker, state, sentence) for camera_id in self.cameras)
        alive = state is CameraState.STARTING
        return WorkerStatus(worker, alive=alive, cores=self.cpus, cameras=rows, place=self.name)


def new_name(fleet: str) -> str:
    """Give a group a name that none had before it."""
    return f"{fleet}-{uuid4().hex[:8]}"
