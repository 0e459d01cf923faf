"""What a supervisor tells a worker, and what it answers: pickled over a pipe between our own processes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingest.fleet.group import GroupSettings
from ingest.fleet.status import WorkerStatus
from ingest.pipeline import Handed
from ingest.site import Camera, Site


@dataclass(frozen=True, slots=True)
class Open:
    """The first order: make the group; `cores` are those it may use, none: all. See `CameraGroup`."""

    site: Site
    settings: GroupSettings
    data: Path
    api_url: str
    token: str
    cores: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    """Models to load before the first camera comes, so that a wrong one is told at the start."""
    log_level: int = logging.INFO


@dataclass(frozen=True, slots=True)
class Watch:
    """Watch these cameras, with these settings if they are watched already.

    `handed`: what the rules of those that another worker had were counting there, by camera.
    """

    cameras: tuple[Camera, ...]
    handed: Mapping[str, Handed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leave:
    """Watch these cameras no more."""

    camera_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """Analyse these cameras at these rates, frames per second."""

    fps: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Stop:
    """End in an orderly way."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The group is open."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """The group could not be opened; `wrong_use`: by the user's fault."""

    sentence: str
    wrong_use: bool


@dataclass(frozen=True, slots=True)
class Left:
    """A camera is watched no more; what its rules were counting, for the worker that has it next."""

    camera_id: str
    counting: Handed


Order = Open | Watch | Leave | Rates | Stop
Answer = Ready | NotReady | Left | WorkerStatus
