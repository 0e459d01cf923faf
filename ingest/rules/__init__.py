"""What counts as an event: one rule per file, looked up by kind."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Protocol

from ingest.types import Event, EventKind, Scene

if TYPE_CHECKING:
    from ingest.rules.places import Counting
    from ingest.site import Camera, Site

RULES: dict[EventKind, str] = {
    EventKind.ILLEGAL_PARKING: "ingest.rules.parking:IllegalParking",
    EventKind.STREET_VENDING: "ingest.rules.vending:Vending",
    EventKind.SHOP_OVERFLOW: "ingest.rules.vending:Vending",
    EventKind.EXPOSED_GARBAGE: "ingest.rules.waste:Waste",
    EventKind.ROAD_LITTER: "ingest.rules.waste:Waste",
    EventKind.GREEN_BELT_LITTER: "ingest.rules.waste:Waste",
    EventKind.BIN_OVERFLOW: "ingest.rules.bin_overflow:BinOverflow",
    EventKind.FLYING_WIRE: "ingest.rules.flying_wire:FlyingWire",
}
"""Event kind -> "module:Class"; kinds that share a class share one rule, so that one thing is judged once."""


class EventRule(Protocol):
    """Judge the things of one camera, frame by frame. Pure: no pixels, no IO, no clock but the frames'.

    Attributes:
        kinds: what it can report.
        labels: classes of the things that it can report.
        always_review: whether a person must look at every event, whatever its confidence.
    """

    kinds: ClassVar[tuple[EventKind, ...]]
    labels: ClassVar[frozenset[str]]
    always_review: ClassVar[bool]

    def __init__(self, camera: Camera, site: Site) -> None: ...

    def update(self, scene: Scene) -> list[Event]:
        """Take one analysed frame; give the pre-alarms, confirmations and ends that it brings."""
        ...

    def due(self) -> datetime | None:
        """Give when the next dwell will be reached, if what stands goes on standing; None: nothing counts."""
        ...

    def finish(self, at: datetime) -> list[Event]:
        """Give what had left when the source ended; what still stands is not called gone."""
        ...

    def remember(self, known: Iterable[Event]) -> None:
        """Load what was reported before a restart and has not ended; other kinds are passed over."""
        ...

    def counting(self) -> Counting:
        """Give what it is counting, for the same rule in another process."""
        ...

    def adopt(self, counting: Counting) -> None:
        """Go on with what the same rule was counting in another process a moment ago."""
        ...


def build_rules(camera: Camera, site: Site) -> list[EventRule]:
    """Give the rules that the zones of a camera call for, each once."""
    wanted = {kind for zone in camera.zones for kind in zone.events}
    paths = dict.fromkeys(RULES[kind] for kind in EventKind if kind in wanted and kind in RULES)
    return [_load(path)(camera, site) for path in paths]


def _load(path: str) -> type[EventRule]:
    module, _, name = path.partition(":")
    rule: type[EventRule] = getattr(import_module(module), name)
    return rule
