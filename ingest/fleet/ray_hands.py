"""Cameras change hands between groups of a Ray cluster: one at a time, never in two groups at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, MutableMapping

from ingest.fleet.ray_member import Member
from ingest.fleet.ray_plan import Move
from ingest.site import Camera

log = logging.getLogger(__name__)

OPEN_S = 60.0
"""How long a new group may take to find a place and open; until then its cameras stay where they are."""


class HandOver:
    """Carry out moves; called from one thread, which is not the one that looks after the groups.

    Args:
        lock: of the fleet. members: its groups by name.
        new: makes a group: CPUs, cameras, node id or None.
        done: set when the fleet ends.
    """

    def __init__(
        self,
        lock: threading.RLock,
        members: MutableMapping[str, Member],
        new: Callable[[float, Iterable[Camera], str | None], Member],
        done: threading.Event,
    ) -> None:
        self._lock, self._members, self._new, self._done = lock, members, new, done

    def move(self, move: Move) -> None:
        """Make the group that takes the cameras, and hand them over one after the other."""
        with self._lock:
            source = self._members.get(move.source)
            if source is None:
                return
            target = self._new(move.cpus, (), move.node_id)
            source.held = target.held = True
        log.info("%d cameras leave %s: %s", len(move.cameras), move.source, move.reason)
        try:
            if not self._opened(target):
                with self._lock:
                    self._members.pop(target.name, None)
                target.end()
                if not self._done.is_set():
                    log.warning("they stay: no node has room for %.2f CPUs more", move.cpus)
                return
            for camera_id in move.cameras:
                if self._done.is_set():
                    return
                self._hand_over(camera_id, source, target)
        finally:
            source.held = target.held = False

    def _hand_over(self, camera_id: str, source: Member, target: Member) -> None:
        """Let one camera go, then take it: away for the seconds that its stream takes to begin.

        It takes along what its rules were counting. The taker's plan is kept first: should we die in between,
        both have it, and the lease decides.
        """
        with self._lock:
            camera = source.cameras.get(camera_id)
            if camera is None or target.name not in self._members:
                return
            target.change(take=[camera])
            source.change(leave=[camera_id])
        target.follow(source.follow())

    def _opened(self, member: Member) -> bool:
        until = time.monotonic() + OPEN_S
        while member.told is None and not member.dead and time.monotonic() < until:
            if self._done.wait(0.1):
                return False
        return member.told is not None and not member.refusal and not member.dead

    def retire(self, member: Member) -> None:
        """End a group that has no camera any more."""
        closing = member.begin_close()
        with self._lock:
            if member.cameras:
                return
            self._members.pop(member.name, None)
        member.end(closing)
        member.sweep()
        log.info("%s has no camera left and ends", member.name)
