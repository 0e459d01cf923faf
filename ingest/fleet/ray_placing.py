"""Cameras of a cluster without a group: they join one that has room, get a new one, or wait with a reason."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping, MutableMapping

from ingest.fleet.cost import Books
from ingest.fleet.ray_group import Terms
from ingest.fleet.ray_link import Notes, free_cpus, free_gpus
from ingest.fleet.ray_member import Member, new_name
from ingest.fleet.ray_plan import Node, group_for, new_groups, reservation
from ingest.site import Camera

log = logging.getLogger(__name__)

AGAIN_S = 15.0
"""Pause before cameras of a group that could not work get another."""


class Placing:
    """Which cameras wait, and the groups that are made for them.

    `waiting`: id to sentence, "" before the first look.

    Args:
        terms: of all groups. notes: where plans are kept.
        wanted: cameras by id; another changes it.
        members: groups by name; those made here are added.
        books: what cameras cost.
    """

    def __init__(
        self,
        terms: Terms,
        notes: Notes,
        wanted: Mapping[str, Camera],
        members: MutableMapping[str, Member],
        books: Books,
    ) -> None:
        self.waiting: dict[str, str] = {}
        self._terms, self._notes, self._books = terms, notes, books
        self._wanted, self._members = wanted, members
        self._next_group = 0.0

    def costs(self) -> dict[str, float]:
        """Give what each camera takes in cores: measured, or estimated from those that were."""
        found = {}
        for name, camera in self._wanted.items():
            demand = self._books.demand(name, camera.fps, camera.fps)
            found[name] = demand.cost(camera.fps)
        return found

    def new(self, cpus: float, cameras: Iterable[Camera], node_id: str | None = None) -> Member:
        """Make a group, on a node or where Ray finds room."""
        member = Member(new_name(self._terms.fleet), cpus, self._terms, self._notes)
        member.cameras = {camera.id: camera for camera in cameras}
        member.number = 1
        self._members[member.name] = member
        member.start(node_id)
        return member

    def dissolve(self, member: Member, sentence: str) -> None:
        """End a group that cannot work; its cameras wait for another."""
        log.warning("%s ends: %s", member.name, sentence)
        self._members.pop(member.name, None)
        self.waiting |= dict.fromkeys(member.cameras, sentence)
        member.end()
        self._next_group = time.monotonic() + AGAIN_S

    def gpu_groups(self, nodes: Iterable[Node]) -> int | None:
        """Give how many more groups find their share of a GPU; None: groups need none."""
        if not self._terms.gpus:
            return None
        free = free_gpus()
        room = sum(
            math.floor(free.get(node.node_id, 0.0) / self._terms.gpus + 1e-9) for node in nodes if node.usable
        )
        return max(0, room - sum(1 for member in self._members.values() if member.told is None))

    def place(self, nodes: list[Node], *, ask: bool = True) -> None:
        """Give waiting cameras a place: with others where there is room, else in new groups.

        Args:
            nodes: as they are.
            ask: make a group that does not fit, where none does.
        """
        if not self.waiting or time.monotonic() < self._next_group:
            return
        costs = self.costs()
        self._join(costs)
        free = free_cpus()
        room = [free.get(node.node_id, 0.0) for node in nodes if node.usable]
        pending = sum(member.cpus for member in self._members.values() if member.told is None)
        gpu_groups = self.gpu_groups(nodes)
        formed = new_groups({name: costs[name] for name in self.waiting}, room, pending, gpu_groups)
        for names in formed:
            self.new(reservation(sum(costs[name] for name in names)), [self._wanted[n] for n in names])
            for name in names:
                self.waiting.pop(name)
        if ask and self.waiting and not formed and not pending:
            self._ask_for_room(costs, sum(room), sum(node.cpus for node in nodes if node.usable))
        left = max(0.0, sum(room) - pending)
        for name in self.waiting:
            if gpu_groups == 0:
                self.waiting[name] = no_gpu(self._terms.gpus)
            else:
                self.waiting[name] = no_room(costs[name], left, nodes)

    def _join(self, costs: dict[str, float]) -> None:
        """Put waiting cameras into groups that have room."""
        refused = float("inf")
        for name in list(self.waiting):
            if costs[name] >= refused:  # ten thousand that all find no room are not tried one by one
                continue
            groups = [member.group() for member in self._members.values() if not member.held]
            found = group_for(costs[name], groups, costs)
            if found is None:
                refused = costs[name]
                continue
            self._members[found].change(take=[self._wanted[name]])
            self.waiting.pop(name)

    def _ask_for_room(self, costs: dict[str, float], free: float, total: float) -> None:
        """Make one group that Ray cannot place yet: by such a demand its autoscaler knows what to add."""
        name = next(iter(self.waiting))
        log.warning(
            "%d cameras have no place: %.2f of the cluster's %.2f CPUs are free, one takes %.2f",
            len(self.waiting),
            free,
            total,
            costs[name],
        )
        self.new(reservation(costs[name]), [self._wanted[name]])
        self.waiting.pop(name)


def no_room(cost: float, free: float, nodes: Iterable[Node]) -> str:
    """Say why a camera finds no place."""
    total = sum(node.cpus for node in nodes if node.usable)
    return (
        f"no room on the cluster: it would take {reservation(cost):.2f} CPUs, and {free:.2f} of {total:.2f} "
        "are free; add a node, lower fps, or use substreams."
    )


def no_gpu(share: float) -> str:
    """Say why no group finds a place.

    >>> no_gpu(0.5)
    'no room on the cluster: no GPU has 0.5 left for one more group; add a node, or lower --gpu-fraction.'
    """
    return (
        f"no room on the cluster: no GPU has {share:g} left for one more group; add a node, or lower "
        "--gpu-fraction."
    )
