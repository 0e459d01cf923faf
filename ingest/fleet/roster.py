"""Which cameras are wanted: those of the site file, those sent over HTTP, without those removed over HTTP."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from ingest.fleet.site_file import Changes, SiteFile, changes
from ingest.site import Camera, Site

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Roster:
    """The wanted cameras by id, in order.

    Args:
        site: as it was at the start.
        site_file: followed; None: only what is sent changes anything.
    """

    site: Site
    site_file: SiteFile | None = None
    wanted: dict[str, Camera] = field(init=False)
    _sent: dict[str, Camera] = field(default_factory=dict)
    _deleted: dict[str, Camera] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with the cameras of the site."""
        self.wanted = {camera.id: camera for camera in self.site.cameras}

    def send(self, camera: Camera) -> Changes:
        """Want a camera, whatever the file says of its id; give what has to be done."""
        todo = changes(self.wanted, {**self.wanted, camera.id: camera})
        self.wanted[camera.id] = self._sent[camera.id] = camera
        self._deleted.pop(camera.id, None)
        return todo

    def delete(self, camera_id: str) -> Changes:
        """Want a camera no more until the file changes it; give what has to be done. Raises: KeyError."""
        self._deleted[camera_id] = self.wanted.pop(camera_id)
        self._sent.pop(camera_id, None)
        return Changes(removed=(camera_id,))

    def follow(self) -> Changes:
        """Give what has to be done because the site file changed; nothing where it did not, or is wrong."""
        site = self.site_file.poll() if self.site_file else None
        if site is None:
            return Changes()
        kept = {camera.id: camera for camera in site.cameras if self._deleted.get(camera.id) != camera}
        todo = changes(self.wanted, {**kept, **self._sent})
        self.wanted = {**kept, **self._sent}
        counts = len(todo.added), len(todo.changed), len(todo.removed)
        log.info("site file read again: %d cameras added, %d changed, %d removed", *counts)
        return todo
