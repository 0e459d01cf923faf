"""Which worker a camera goes to, or why to none: measured costs, least loaded first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ingest.fleet.cost import no_room
from ingest.fleet.fair import Demand
from ingest.site import Camera

CAMERA_BYTES = 30_000_000
"""Memory that a further camera takes: decoder, queue, evidence of the last minute."""
OTHERS_NAMED = 0.1
"""Cores of other programs that are worth a word."""
RESERVE_BYTES = 300_000_000
"""Memory that is left to the rest of the machine."""


@dataclass(slots=True)
class Place:
    """One worker: cores that its cameras take at the rates they want, and cores that they may take.

    `others`: cores that other programs use there.
    """

    load: float
    cap: float
    cameras: int = 0
    others: float = 0.0


@dataclass(slots=True)
class Placed:
    """Cameras by number of their place, and those that found none with the sentence why."""

    taken: dict[int, list[Camera]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def place(
    cameras: Iterable[Camera],
    places: Sequence[Place],
    demand: Callable[[Camera], Demand],
    memory_bytes: int | None = None,
) -> Placed:
    """Find a worker for each camera, in order.

    Args:
        cameras: in the order of the site file: first come, first served.
        places: the workers that take cameras now; their `load` is kept up to date.
        demand: gives what a camera wants and costs.
        memory_bytes: that programs can still have; None: unknown, not looked at.
    """
    found = Placed()
    left = None if memory_bytes is None else max(0, memory_bytes - RESERVE_BYTES) // CAMERA_BYTES
    for camera in cameras:
        if left is not None and left <= 0:
            found.refused[camera.id] = (
                f"no room: the machine has only {(memory_bytes or 0) / 1e6:.0f} MB of memory left"
            )
            continue
        wanted = demand(camera)
        cores = wanted.cost(wanted.fps)
        number = min(range(len(places)), key=lambda n: places[n].load - places[n].cap, default=None)
        if number is None or places[number].load + cores > places[number].cap + 1e-9:
            found.refused[camera.id] = _sentence(wanted, places)
            continue
        places[number].load += cores
        places[number].cameras += 1
        found.taken.setdefault(number, []).append(camera)
        left = None if left is None else left - 1
    return found


def _sentence(wanted: Demand, places: Sequence[Place]) -> str:
    if not places:
        return "no worker runs at the moment; it is tried again"
    load, cap = sum(place.load for place in places), sum(place.cap for place in places)
    sentence = no_room(wanted, load, cap, sum(place.cameras for place in places))
    others = sum(place.others for place in places)
    return f"{sentence}; other programs use {others:.1f} cores" if others >= OTHERS_NAMED else sentence
