"""Who watches a camera: one process of this machine by a lock file, one machine by a lease at the API."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from detector.errors import Failure
from ingest.client import ApiClient, Refused, TryLater

log = logging.getLogger(__name__)

TTL_S = 15.0
"""A lease that is not renewed for so long is over: after so long a dead machine's cameras may be taken."""
RENEW_SHARE = 1 / 3
"""Share of the time to live after which leases are renewed."""
AT_ONCE = 1000
"""Cameras asked for in one request."""


def me() -> str:
    """Give the name under which this process claims: "host:pid"."""
    return f"{socket.gethostname()}:{os.getpid()}"


class LockFiles:
    """Locks of this machine, a file per camera; the kernel gives them up when the process ends or is killed.

    Args:
        folder: DATA/claims; made.
        owner: "host:pid", for the sentence that another process gets.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        """Make the folder.

        Raises:
            Failure: it cannot be made.
        """
        self._folder = folder
        self._owner = owner
        self._held: dict[str, IO[str]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failure(f"the folder of claims {folder} cannot be made ({error.strerror}).") from error

    def take(self, camera_id: str) -> str | None:
        """Lock a camera; give the sentence that says who has it, or None: it is ours.

        Raises:
            Failure: the file cannot be written.
        """
        if camera_id in self._held:
            return None
        path = self._folder / f"{hashlib.sha256(camera_id.encode()).hexdigest()[:24]}.json"
        try:
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise Failure(f"the claim {path} cannot be written ({error.strerror}).") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with file:
                return _whose(file)
        file.truncate(0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        json.dump({"camera": camera_id, "owner": self._owner, "since": since}, file)
        file.flush()
        self._held[camera_id] = file
        return None

    def give_up(self, camera_id: str) -> None:
        """Unlock a camera; the file stays, for removing it would race with the next taker."""
        file = self._held.pop(camera_id, None)
        if file is not None:
            file.close()

    def close(self) -> None:
        """Unlock all."""
        for camera_id in list(self._held):
            self.give_up(camera_id)


def _whose(file: IO[str]) -> str:
    file.seek(0)
    try:
        said: dict[str, Any] = json.load(file)
        return f"{said['owner']} watches it since {said['since']}, with the same data folder"
    except (ValueError, KeyError, TypeError):  # just being written
        return "another process with the same data folder watches it"


class Claims:
    """The cameras that this process has for itself; leases are renewed from a thread of its own.

    An API that does not answer, or knows no leases, keeps nobody from watching: what the lock files allow is
    watched, and the lease is asked for again at each renewal.

    Args:
        locks: of this machine; None: only leases (a machine of a cluster has no data folder of its own).
        client: of the API; None: only lock files.
        owner: name in leases and sentences; None: "host:pid".
        lost: called from the thread with id and sentence when a renewal finds a camera in other hands.
        ttl_s: see `TTL_S`.
    """

    def __init__(
        self,
        locks: LockFiles | None,
        client: ApiClient | None,
        owner: str | None = None,
        lost: Callable[[str, str], None] = lambda _id, _sentence: None,
        ttl_s: float = TTL_S,
    ) -> None:
        self.owner = owner or me()
        self._locks = locks
        self._client = client
        self.lost = lost
        self._ttl_s = ttl_s
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._complained = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(timeout=self._ttl_s)
        self.give_up(sorted(self._held))

    def take(self, camera_ids: Iterable[str]) -> dict[str, str]:
        """Claim cameras; give those that another has, with the sentence that says who."""
        refused, free = {}, []
        for camera_id in camera_ids:
            sentence = self._locks.take(camera_id) if self._locks else None
            if sentence:
                refused[camera_id] = f"camera '{camera_id}' is taken: {sentence}."
            else:
                free.append(camera_id)
        elsewhere = self._lease(free, self._ttl_s)
        for camera_id in free:
            if camera_id in elsewhere:
                refused[camera_id] = _elsewhere(camera_id, elsewhere[camera_id])
                self._unlock(camera_id)
        with self._lock:
            self._held |= {camera_id for camera_id in free if camera_id not in elsewhere}
        return refused

    def give_up(self, camera_ids: Sequence[str]) -> None:
        """Let others have these cameras."""
        with self._lock:
            mine = [camera_id for camera_id in camera_ids if camera_id in self._held]
            self._held.difference_update(mine)
        self._lease(mine, 0.0)
        for camera_id in mine:
            self._unlock(camera_id)

    def _unlock(self, camera_id: str) -> None:
        if self._locks:
            self._locks.give_up(camera_id)

    def _renew(self) -> None:
        while not self._done.wait(self._ttl_s * RENEW_SHARE):
            with self._lock:
                held = sorted(self._held)
            for camera_id, owner in self._lease(held, self._ttl_s).items():
                with self._lock:
                    if camera_id not in self._held:
                        continue
                    self._held.discard(camera_id)
                self._unlock(camera_id)
                self.lost(camera_id, _elsewhere(camera_id, owner))

    def _lease(self, camera_ids: Sequence[str], ttl_s: float) -> dict[str, str]:
        """Ask the API; give what others have, nothing where it does not answer."""
        elsewhere: dict[str, str] = {}
        if self._client is None:
            return elsewhere
        for start in range(0, len(camera_ids), AT_ONCE):
            try:
                elsewhere |= self._client.take_leases(self.owner, camera_ids[start : start + AT_ONCE], ttl_s)
            except (TryLater, Refused) as reason:
                if not self._complained:
                    log.warning("leases on cameras cannot be had, they are watched without: %s", reason)
                self._complained = True
                return elsewhere
            self._complained = False
        return elsewhere


def _elsewhere(camera_id: str, owner: str) -> str:
    return f"camera '{camera_id}' is taken: {owner} watches it and reports to the same API."
