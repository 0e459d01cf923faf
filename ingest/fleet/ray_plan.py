"""Which cameras share a group on a Ray cluster, how large a group is, what is moved next. Pure.

Ray places groups, by the CPUs that each reserves; here is only what Ray cannot know: which cameras belong
together, what they were measured to cost, and when a reservation no longer fits.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GROUP_CPUS = 2.0
"""A group is not planned larger: what is lost with its process, and what must find room at once elsewhere."""
GROUP_CAMERAS = 64
"""Nor with more cameras: a thread each in one Python process."""
CPUS_MIN = 0.05
CPUS_STEP = 0.05
HEADROOM = 1.15
"""A reservation is so much larger than the load it is made for."""
TOO_LARGE, TOO_SMALL = 1.25, 0.4
"""Load as a share of the reservation beyond which the group is made anew."""
SLACK_CPUS = 0.1
"""A misfit of less is left alone."""
GAIN_MIN = 0.15
"""A move must lower the fuller node's load by so much of its CPUs: its cameras are blind for seconds."""


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster: what Ray says it has."""

    node_id: str
    name: str
    address: str
    cpus: float
    gpus: float = 0.0
    alive: bool = True
    draining: bool = False

    @property
    def usable(self) -> bool:
        """Say whether a group may go there."""
        return self.alive and not self.draining and self.cpus > 0


@dataclass(frozen=True, slots=True)
class Group:
    """One actor: its name, the CPUs it reserves, where it runs (None: not placed yet), its cameras' ids."""

    name: str
    cpus: float
    node_id: str | None
    cameras: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """Cameras to hand over, one after the other.

    Args:
        cameras: ids. source: the group that has them.
        cpus: of the new group that takes them. node_id: where it should be; None: where Ray likes.
        reason: for the log.
    """

    cameras: tuple[str, ...]
    source: str
    cpus: float
    node_id: str | None
    reason: str


def reservation(load: float) -> float:
    """Give the CPUs to reserve for a load, in steps that Ray's four decimals hold exactly.

    >>> reservation(0.16), reservation(0.0)
    (0.2, 0.05)
    """
    return round(max(CPUS_MIN, math.ceil(load * HEADROOM / CPUS_STEP - 1e-9) * CPUS_STEP), 4)


def share_out(
    costs: Mapping[str, float], nodes: int, group_cpus: float = GROUP_CPUS, most: int | None = None
) -> list[tuple[str, ...]]:
    """Form groups of even load: as many as the load needs, and one for each node where there are cameras.

    Args:
        costs: cores by camera.
        nodes: that may take a group.
        group_cpus: largest load of a group; a camera that costs more has one for itself.
        most: groups that there may be, however large each gets.

    >>> share_out({"a": 0.9, "b": 0.5, "c": 0.4}, nodes=2)
    [('a',), ('b', 'c')]
    """
    if not costs:
        return []
    needed = max(math.ceil(sum(costs.values()) / group_cpus), math.ceil(len(costs) / GROUP_CAMERAS))
    count = min(len(costs), max(1, needed, nodes), most or len(costs))
    heap: list[tuple[float, int]] = [(0.0, index) for index in range(count)]
    groups: list[list[str]] = [[] for _ in range(count)]
    for camera_id in sorted(costs, key=lambda name: (-costs[name], name)):  # longest first: Graham's rule
        load, index = heapq.heappop(heap)
        groups[index].append(camera_id)
        full = len(groups[index]) >= GROUP_CAMERAS
        heapq.heappush(heap, (math.inf if full else load + costs[camera_id], index))
    return [tuple(group) for group in groups if group]


def new_groups(
    costs: Mapping[str, float], room: Sequence[float], pending: float, gpu_groups: int | None = None
) -> list[tuple[str, ...]]:
    """Form groups of cameras that have none, of as many as there is room for, the first first.

    Args:
        costs: cores by camera, in the order in which they are to be served.
        room: free CPUs of each usable node.
        pending: CPUs of groups that are to be placed there yet.
        gpu_groups: how many groups still find their share of a GPU; each may then be as large as a node has
            room, for it is the GPU that computes. None: groups need no GPU.

    >>> new_groups({"a": 0.5, "b": 0.5, "c": 0.5}, room=[0.7, 0.7], pending=0.0)
    [('a',), ('b',)]
    >>> new_groups({"a": 1.5, "b": 1.5, "c": 1.5}, room=[16.0], pending=0.0, gpu_groups=1)
    [('a', 'b', 'c')]
    """
    left, largest = sum(room) - pending, max(room, default=0.0)
    most = len(costs) if gpu_groups is None else gpu_groups
    if gpu_groups is not None:
        left = min(left, gpu_groups * largest)
    taken: dict[str, float] = {}
    for name, cost in costs.items():
        load = sum(taken.values()) + cost
        fits = reservation(load) <= left and reservation(cost) <= largest
        if fits and len(taken) < most * GROUP_CAMERAS:
            taken[name] = cost
    size = min(GROUP_CPUS, max(largest / HEADROOM - CPUS_STEP, max(taken.values(), default=0.0)))
    return share_out(taken, sum(1 for cpus in room if cpus > 0), size, most)


def group_for(cost: float, groups: Sequence[Group], costs: Mapping[str, float]) -> str | None:
    """Give the group that has the most room for one more camera, None where none has enough.

    Args:
        cost: cores of the camera.
        groups: those that run.
        costs: cores by camera.
    """
    room = {
        group.name: group.cpus * TOO_LARGE - load_of(group, costs)
        for group in groups
        if group.node_id is not None and len(group.cameras) < GROUP_CAMERAS
    }
    best = max(room, key=lambda name: room[name], default=None)
    return best if best is not None and room[best] >= cost else None


def load_of(group: Group, costs: Mapping[str, float]) -> float:
    """Give the cores that a group's cameras take."""
    return sum(costs.get(camera_id, 0.0) for camera_id in group.cameras)


def next_move(
    nodes: Sequence[Node], groups: Sequence[Group], costs: Mapping[str, float], settled: frozenset[str]
) -> Move | None:
    """Give the one thing to do next, the most urgent first: leave a node that is leaving, fit, balance.

    Args:
        nodes: all of the cluster.
        groups: all; those not placed yet are left alone.
        costs: cores by camera.
        settled: cameras whose cost was measured; only their groups are made anew or moved for balance.
    """
    usable = {node.node_id: node for node in nodes if node.usable}
    placed = [group for group in groups if group.node_id is not None and group.cameras]
    draining = {node.node_id for node in nodes if node.alive and node.draining}
    for group in placed:
        if group.node_id in draining:
            cpus = reservation(load_of(group, costs))
            return Move(group.cameras, group.name, cpus, None, "its node is being drained")
    known = [group for group in placed if settled.issuperset(group.cameras)]
    return _fit(known, costs) or _balance(usable, placed, known, costs)


def _fit(groups: Sequence[Group], costs: Mapping[str, float]) -> Move | None:
    """Split a group that outgrew its reservation; make one anew that reserves far too much."""
    for group in groups:
        load = load_of(group, costs)
        if load > group.cpus * TOO_LARGE and load - group.cpus > SLACK_CPUS:
            return _outgrown(group, load, costs)
        spare = group.cpus - reservation(load)
        if load < group.cpus * TOO_SMALL and spare > SLACK_CPUS:
            reason = f"it takes {load:.2f} of {group.cpus:.2f} CPUs reserved"
            return Move(group.cameras, group.name, reservation(load), None, reason)
    return None


def _outgrown(group: Group, load: float, costs: Mapping[str, float]) -> Move:
    reason = f"it takes {load:.2f} where {group.cpus:.2f} CPUs are reserved"
    leaving: list[str] = []
    for camera_id in sorted(group.cameras, key=lambda name: (-costs[name], name)):
        if load > group.cpus / HEADROOM and len(leaving) < len(group.cameras) - 1:
            leaving.append(camera_id)
            load -= costs[camera_id]
    names = tuple(leaving) or group.cameras
    return Move(names, group.name, reservation(sum(costs[name] for name in names)), None, reason)


def _balance(
    usable: Mapping[str, Node], placed: Sequence[Group], known: Sequence[Group], costs: Mapping[str, float]
) -> Move | None:
    """Take load from the fullest node to the emptiest where that pays."""
    if len(usable) < 2:
        return None
    loads = dict.fromkeys(usable, 0.0)
    for group in placed:
        if group.node_id in loads:
            loads[group.node_id] += load_of(group, costs)
    share = {node_id: load / usable[node_id].cpus for node_id, load in loads.items()}
    full = max(share, key=lambda node_id: share[node_id])
    empty = min(share, key=lambda node_id: share[node_id])
    there, here = usable[full].cpus, usable[empty].cpus
    surplus = (share[full] - share[empty]) * there * here / (there + here)
    if surplus < GAIN_MIN * there:
        return None
    reason = f"{usable[full].name} is at {share[full]:.0%}, {usable[empty].name} at {share[empty]:.0%}"
    movable = sorted((group for group in known if group.node_id == full), key=lambda g: load_of(g, costs))
    whole = [group for group in movable if load_of(group, costs) <= surplus]
    if whole:
        group = whole[-1]
        return Move(group.cameras, group.name, reservation(load_of(group, costs)), empty, reason)
    for group in reversed(movable):
        if part := _worth(group, surplus, costs):
            return Move(part, group.name, reservation(sum(costs[name] for name in part)), empty, reason)
    return None


def _worth(group: Group, wanted: float, costs: Mapping[str, float]) -> tuple[str, ...]:
    """Give cameras of a group that together cost about `wanted` cores and not more; never all of them."""
    chosen: list[str] = []
    left = wanted
    for camera_id in sorted(group.cameras, key=lambda name: (-costs[name], name)):
        if costs[camera_id] <= left and len(chosen) < len(group.cameras) - 1:
            chosen.append(camera_id)
            left -= costs[camera_id]
    return tuple(chosen)
