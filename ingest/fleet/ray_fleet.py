"""Many machines: camera groups as actors on a Ray cluster, and the supervisor that plans them.

Ray finds a place for each group by the CPUs (and GPU fraction) that it reserves, spreads them over the nodes,
and starts a group again when its process or node dies. What Ray cannot know is here: which cameras share a
group, what they were measured to cost, that a group which says nothing hangs, and how cameras change hands.

Nobody analyses a camera twice: every group leases each camera at the API. Nobody reports twice: a camera that
begins anew asks the API, and its node's spool, what is reported already. For uploads see `ray_uploads`.

The supervisor may die. Groups go on without it, each by the plan kept in the cluster's own store; the next
`serve --fleet ray` for the same site takes them over. A group without a supervisor for half an hour ends.
"""

from __future__ import annotations

import hashlib
import logging
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from detector.errors import Failure
from ingest.client import ApiClient
from ingest.config import read_camera
from ingest.fleet.cost import Books
from ingest.fleet.ray_group import Plan, Terms
from ingest.fleet.ray_hands import HandOver
from ingest.fleet.ray_link import Notes, free_cpus, nodes
from ingest.fleet.ray_member import Member
from ingest.fleet.ray_missed import Shown
from ingest.fleet.ray_placing import Placing
from ingest.fleet.ray_plan import Node, next_move
from ingest.fleet.ray_shares import Shares
from ingest.fleet.ray_supervise import supervise
from ingest.fleet.site_file import Changes, SiteFile, changes
from ingest.fleet.status import CameraState, CameraStatus, OutboxCount, WorkerStatus
from ingest.fleet.status_server import NoSuchCamera, Refusal
from ingest.fleet.supervising import Supervising
from ingest.site import Camera, Site

log = logging.getLogger(__name__)

Json = dict[str, Any]

LOOK_S = 3.0
"""Pause between two looks at the nodes, and for cameras without a place."""
MOVE_S = 20.0
"""Pause between two moves for fit or balance: a camera that moves is not watched for some seconds."""
SETTLED_S = 60.0
"""A camera must have been measured for so long before what it costs moves it: it comes in bursts."""
SILENT_S = 10.0
"""A group that says nothing for so long is made anew on another node: Ray needs up to a minute to be sure."""
HANGS_S = 30.0
"""Where there is no other node, its process is started again after so long."""
PENDING_S = 60.0
"""A group that found no place for so long is broken up into smaller ones, or not made."""
READY_S = 120.0
"""How long the first group may take to open."""
SHOWN_MAX = 200


def fleet_name(site: Site) -> str:
    """Name a site's fleet: readable where it can be, the same for the same site.

    >>> from ingest.site import Site
    >>> fleet_name(Site.model_construct(name="Changzhou North"))
    'changzhou-north-b1d1ca'
    """
    readable = re.sub(r"[^a-z0-9]+", "-", site.name.lower()).strip("-")[:30] or "site"
    return f"{readable}-{hashlib.sha256(site.name.encode()).hexdigest()[:6]}"


class RayFleet(Supervising):
    """Watch the cameras of a site on a cluster. A context manager; also a `status_server.Fleet`.

    Args:
        terms: of all groups. cameras: to be watched.
        show: takes the Case JSON of every report that the API took, once; called from one thread at a time.
            What a group had not told yet when it was killed is asked of the API.
        site_file: followed while cameras are watched; None: the cameras given and those sent.
    """

    def __init__(
        self,
        terms: Terms,
        cameras: Iterable[Camera],
        show: Callable[[Json], None] = lambda _: None,
        site_file: SiteFile | None = None,
    ) -> None:
        super().__init__("ray-fleet")
        self._terms, self._site_file = terms, site_file
        self._notes = Notes(terms.fleet)
        self._wanted = {camera.id: camera for camera in cameras}
        self._shown = Shown(show, ApiClient(terms.api_url, terms.token or None), self._wanted.keys)
        self._sent: dict[str, Camera] = {}
        self._members: dict[str, Member] = {}
        self._nodes: list[Node] = []
        self._books = Books()
        self._shares = Shares()
        self._placing = Placing(terms, self._notes, self._wanted, self._members, self._books)
        self._next_look = self._next_move = 0.0
        self._chores = ThreadPoolExecutor(1, thread_name_prefix="hand-over")
        self._chore: Future[None] | None = None
        self._hands = HandOver(self._lock, self._members, self._placing.new, self._done)
        self._supervisorship: Any = None

    def __enter__(self) -> Self:
        """Begin, as the only supervisor of this site.

        Raises:
            Failure: another supervises it, or no group can be opened; the sentence is the node's.
        """
        self._supervisorship = supervise(self._terms.fleet, self._terms.site.name)
        return super().__enter__()

    def _begin(self) -> None:
        """Take over or make the groups."""
        self._take_over()
        with self._lock:
            self._look(time.monotonic())
        self._wait_for_first()

    def _end(self) -> None:
        """End all groups: this is an orderly end, not a supervisor's death."""
        self._done.set()
        self._chores.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            members = list(self._members.values())
            self._members.clear()
        closings = [(member, member.begin_close()) for member in members]
        for member, closing in closings:
            member.end(closing)
        self._shown.close()
        self._notes.drop("terms")
        self._supervisorship = None

    def _take_over(self) -> None:
        """Keep the groups that a former supervisor left, if they work on the same terms; end others."""
        same = self._notes.get("terms") == self._terms
        for name in self._notes.names():
            plan = self._notes.get(name)
            if not isinstance(plan, Plan):
                continue
            member = Member.adopted(name, plan, self._terms, self._notes)
            if member is not None and same:
                self._members[name] = member
            elif member is not None:
                member.end()
            else:
                self._notes.drop(name)
        self._notes.put("terms", self._terms)
        if self._members:
            log.info("%d groups of a former supervisor go on", len(self._members))
        self._reconcile()

    def _reconcile(self) -> None:
        """Make the groups' cameras those that are wanted, each in one group."""
        seen: set[str] = set()
        for member in self._members.values():
            wanted = {name: self._wanted[name] for name in member.cameras if name in self._wanted}
            mine = {name: camera for name, camera in wanted.items() if name not in seen}
            seen |= mine.keys()
            if mine != member.cameras:
                member.change(take=mine.values(), leave=[name for name in member.cameras if name not in mine])
        self._placing.waiting = {name: "" for name in self._wanted if name not in seen}

    def _wait_for_first(self) -> None:
        """Wait until a group works, and tell what is wrong if none can."""
        until = time.monotonic() + READY_S
        while self._members and not self._done.wait(0.1):
            now = time.monotonic()
            with self._lock:
                for member in self._members.values():
                    member.poll(now)
                told = [member for member in self._members.values() if member.told or member.dead]
            if any(member.told and not member.refusal for member in told):
                return
            if told and len(told) == len(self._members):
                raise Failure(_first_line(told[0].refusal or told[0].dead))
            if now > until:
                log.warning("no group could be opened in %.0f s; it is tried on", READY_S)
                return

    # -- what people and the status server ask; see `status_server.Fleet` --

    def status(self) -> list[WorkerStatus]:
        """Give every group, and the cameras that none has under a row of the supervisor's own."""
        now = time.monotonic()
        with self._lock:
            rows = [member.status(now) for member in self._members.values()]
            waiting = list(self._placing.waiting.items())
        cameras = tuple(
            CameraStatus(name, "", CameraState.REFUSED, sentence or "it waits for a place on the cluster.")
            for name, sentence in waiting[:SHOWN_MAX]
        )
        name = f"{socket.gethostname()}:supervisor"
        unlisted = max(0, len(waiting) - SHOWN_MAX)
        return (
            [*rows, WorkerStatus(name, alive=True, cameras=cameras, unlisted=unlisted)] if cameras else rows
        )

    def spooled(self) -> OutboxCount:
        """Count what waits in the spools of all nodes that have a group."""
        with self._lock:
            counts = {m.told.data: m.told.spool for m in self._members.values() if m.told is not None}
        return OutboxCount(
            pending=sum(count.pending for count in counts.values()),
            oldest_age_s=max((count.oldest_age_s for count in counts.values()), default=0.0),
            dead=sum(count.dead for count in counts.values()),
        )

    def add(self, table: dict[str, Any]) -> None:
        """Watch a camera, written as a `[[camera]]` table, until it is removed or the fleet ends.

        Raises:
            WrongUse: it is wrong. Refusal: there is no room.
        """
        camera = read_camera(table, self._terms.site)
        with self._lock:
            self._sent[camera.id] = camera
            if camera.id in self._wanted:
                self._apply(Changes(changed=(camera,)))
                return
            self._apply(Changes(added=(camera,)))
            self._placing.place(nodes(), ask=False)
            if sentence := self._placing.waiting.get(camera.id):
                self._sent.pop(camera.id)
                self._apply(Changes(removed=(camera.id,)))
                raise Refusal(f"camera '{camera.id}' is refused: {sentence}")

    def remove(self, camera_id: str) -> None:
        """Watch a camera no more. Raises: NoSuchCamera."""
        with self._lock:
            if camera_id not in self._wanted:
                raise NoSuchCamera(f"there is no camera '{camera_id}'.")
            self._sent.pop(camera_id, None)
            self._apply(Changes(removed=(camera_id,)))

    def read_site_again(self) -> None:
        """Read the site file at once; may be called by a signal handler."""
        if self._site_file:
            self._site_file.ask()

    def _apply(self, found: Changes) -> None:
        for camera in found.added:
            self._wanted[camera.id] = camera
            self._placing.waiting[camera.id] = ""
        for camera in found.changed:
            self._wanted[camera.id] = camera
            if (member := self._member_of(camera.id)) is not None:
                member.change(take=[camera])
        for camera_id in found.removed:
            self._wanted.pop(camera_id, None)
            self._placing.waiting.pop(camera_id, None)
            self._books.forget(camera_id)
            if (member := self._member_of(camera_id)) is not None:
                member.change(leave=[camera_id])

    def _member_of(self, camera_id: str) -> Member | None:
        return next((member for member in self._members.values() if camera_id in member.cameras), None)

    # -- the thread --

    def _look_after_all(self) -> None:
        now = time.monotonic()
        with self._lock:
            cases = list(self._tick(now))
        self._shown.take(cases)
        self._shown.catch_up(now)

    def _tick(self, now: float) -> Iterator[Json]:
        """Look after everything once; give the cases that came."""
        if self._site_file and (site := self._site_file.poll()):
            after = {camera.id: camera for camera in site.cameras} | self._sent
            self._apply(changes(self._wanted, after))
        for member in list(self._members.values()):
            lives = member.restarts
            if told := member.poll(now):
                live = {name for name, camera in member.cameras.items() if camera.live}
                self._books.note(told.status, now, live)
                yield from (case for _, case in told.cases)
            if member.restarts != lives:
                self._shown.fell(now)
            if member.dead or member.refusal:
                self._placing.dissolve(member, _first_line(member.dead or member.refusal))
                self._shown.fell(now)
        if now >= self._next_look:
            self._next_look = now + LOOK_S
            self._look(now)

    def _look(self, now: float) -> None:
        """Look at the nodes: groups that say nothing, cameras without a place, what to move."""
        self._nodes = nodes()
        for member in list(self._members.values()):
            self._look_after(member, now)
        self._placing.place(self._nodes)
        self._share(now)
        if self._chore is None or self._chore.done():
            self._chore = self._next_chore(now)

    def _next_chore(self, now: float) -> Future[None] | None:
        for member in self._members.values():
            if not member.cameras and member.told is not None and member.told.number == member.number:
                return self._chores.submit(self._hands.retire, member)
        groups = [member.group() for member in self._members.values()]
        settled = frozenset(name for name in self._wanted if self._books.measured(name, SETTLED_S))
        if self._placing.gpu_groups(self._nodes) == 0:
            return None  # whoever moves needs a second share for a while
        move = next_move(self._nodes, groups, self._placing.costs(), settled)
        if move is None or (now < self._next_move and "drain" not in move.reason):
            return None
        self._next_move = now + MOVE_S
        return self._chores.submit(self._hands.move, move)

    def _share(self, now: float) -> None:
        """Where a node has too much to do, lower the rates of its cameras fairly."""
        demands = {
            name: self._books.present(name, camera.fps, min(camera.fps_min, camera.fps))
            for name, camera in self._wanted.items()
            if self._books.measured(name)
        }
        groups = [(member.group(), member.told.life) for member in self._members.values() if member.told]
        for name, rates in self._shares.decide(self._nodes, groups, demands, now).items():
            log.info("%s: its node is full, or no longer is: %d rates change", name, len(rates))
            self._members[name].set_rates(rates)

    # -- groups that fail --

    def _look_after(self, member: Member, now: float) -> None:
        quiet_s = now - member.heard_at
        if member.told is None:
            if quiet_s > PENDING_S and len(member.cameras) > 1 and max(free_cpus().values()) < member.cpus:
                self._placing.dissolve(member, "no node had room for all its cameras together")
            return
        if quiet_s < SILENT_S or member.held:
            return
        here = next((node for node in self._nodes if node.node_id == member.node_id), None)
        if here is None or not here.usable:
            return  # Ray knows, and is starting it again elsewhere
        others = {node.node_id for node in self._nodes if node.usable} - {member.node_id}
        room = {node_id: free for node_id, free in free_cpus().items() if node_id in others}
        best = max(room, key=lambda node_id: room[node_id], default=None)
        if best is not None and room[best] >= member.cpus:
            log.warning("%s says nothing for %.0f s; its cameras go elsewhere", member.name, quiet_s)
            self._shown.fell(now)
            self._members.pop(member.name)
            member.end()
            self._placing.new(member.cpus, member.cameras.values(), best)
        elif quiet_s > HANGS_S:
            log.warning("%s says nothing for %.0f s; its process is started again", member.name, quiet_s)
            member.heard_at = now
            member.restart()


def _first_line(text: str) -> str:
    """Give the sentence of an error that Ray wrapped in its own."""
    if "ModuleNotFoundError" in text:
        return "a node of the cluster has no Kerbwatch: install the same version on all of them."
    return text
