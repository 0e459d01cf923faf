"""A site file that is followed while cameras are watched: changed on the disk, read again, compared."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from detector.errors import WrongUse
from ingest.config import load_site
from ingest.site import Camera, Site

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be done to get from some cameras to others."""

    added: tuple[Camera, ...] = ()
    changed: tuple[Camera, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is anything to do."""
        return bool(self.added or self.changed or self.removed)


def changes(before: Mapping[str, Camera], after: Mapping[str, Camera]) -> Changes:
    """Compare cameras by id."""
    return Changes(
        added=tuple(camera for name, camera in after.items() if name not in before),
        changed=tuple(camera for name, camera in after.items() if before.get(name, camera) != camera),
        removed=tuple(name for name in before if name not in after),
    )


@dataclass(slots=True)
class SiteFile:
    """Read the file again when it has changed; a wrong one is refused, and the old one stays in force.

    Args:
        path: TOML.
        site: as it was read at the start.
    """

    path: Path
    site: Site
    _mark: tuple[int, int, int] | None = None
    _digest: bytes = b""
    _asked: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Remember the file as it is."""
        self._mark, self._digest = self._stat(), self._hash()

    def ask(self) -> None:
        """Read the file at the next `poll` whatever its time says; may be called by a signal handler."""
        self._asked.set()

    def poll(self) -> Site | None:
        """Give the site if the file changed since it was last read and is right, else None.

        A wrong file is named in the log once; a missing one (an editor writes it just now) is passed over.
        """
        asked = self._asked.is_set()
        mark = self._stat()
        if mark is None and asked:
            log.warning("%s: there is no such site file; the old one stays in force.", self.path)
            self._asked.clear()
        if mark is None or (mark == self._mark and not asked):
            return None
        self._asked.clear()
        self._mark = mark
        digest = self._hash()
        if digest == self._digest and not asked:
            return None
        self._digest = digest
        try:
            site = load_site(self.path)
        except WrongUse as wrong:
            log.error("%s The old site file stays in force.", wrong)  # noqa: TRY400 - the sentence says it
            return None
        if site.timezone != self.site.timezone or site.name != self.site.name:
            log.warning("%s: name and timezone of the site change with the next start.", self.path)
        self.site = site
        return site

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _hash(self) -> bytes:
        try:
            return hashlib.sha256(self.path.read_bytes()).digest()
        except OSError:
            return b""
