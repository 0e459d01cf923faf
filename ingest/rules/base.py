"""What the rules share: zones of their kinds, a book of places, and the things seen in this frame. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from ingest.rules.book import PlaceBook
from ingest.rules.places import Claim, Counting, Standing
from ingest.site import Camera, Site
from ingest.types import Event, EventKind, Scene, Track, ZoneKind
from ingest.zones import Zone


class PlaceRule(ABC):
    """A rule about things at rest in zones. A subclass says which things, and what they mean where.

    Attributes:
        kinds, always_review: as in `EventRule`.
        labels: classes of things that can be reported.
        precedence: which zone counts where several overlap, the first one first; others follow.
        contained: as in `PlaceBook`.
    """

    kinds: ClassVar[tuple[EventKind, ...]]
    labels: ClassVar[frozenset[str]]
    precedence: ClassVar[tuple[ZoneKind, ...]] = ()
    always_review: ClassVar[bool] = False
    contained: ClassVar[float | None] = None

    def __init__(self, camera: Camera, site: Site) -> None:
        """Take the zones of `camera` that are watched for one of this rule's kinds."""
        self.zones = tuple(zone for zone in camera.zones if zone.events.intersection(self.kinds))
        self._book = PlaceBook(camera.id, site.tz, self.zones, contained=self.contained)

    def update(self, scene: Scene) -> list[Event]:
        """Take one analysed frame; give the pre-alarms, confirmations and ends that it brings."""
        seen = [track for track in scene.tracks if track.last_at == scene.at]
        claims = [self.claim(track, scene) for track in seen if track.label in self.labels]
        return self._book.update(scene, [claim for claim in claims if claim])

    def due(self) -> datetime | None:
        """Give when the next dwell will be reached."""
        return self._book.due()

    def finish(self, at: datetime) -> list[Event]:
        """Give what had left when the source ended."""
        return self._book.finish(at)

    def remember(self, known: Iterable[Event]) -> None:
        """Load what was reported before and has not ended."""
        self._book.remember(event for event in known if event.kind in self.kinds)

    def counting(self) -> Counting:
        """Give what it is counting, for the same rule in another process."""
        return self._book.counting()

    def adopt(self, counting: Counting) -> None:
        """Go on with what the same rule was counting in another process a moment ago."""
        self._book.adopt(counting)

    def claim(self, track: Track, scene: Scene) -> Claim | None:
        """Say what a thing seen in this frame claims; None if it is none of this rule's business."""
        if track.anchor is None or track.at_rest_since is None:
            return Claim(track, (), scene.at)
        return Claim(track, self._standings(track, scene), track.at_rest_since)

    @abstractmethod
    def inside(self, zone: Zone, track: Track, scene: Scene) -> float:
        """Give how much of a thing at rest stands in a zone, in [0, 1]; 0 if that does not count."""

    @abstractmethod
    def standing(self, zone: Zone, track: Track) -> Standing | None:
        """Say what a thing of this sort means in a zone of this kind; None if nothing."""

    def _standings(self, track: Track, scene: Scene) -> tuple[Standing, ...]:
        """Give what a thing at rest means in each zone it stands in, the most telling first."""
        found = []
        for zone in self.zones:
            share = self.inside(zone, track, scene)
            standing = self.standing(zone, track) if share > 0 else None
            if standing and standing.kind in zone.events:
                found.append((self._rank(zone.kind), -share, zone.id, standing))
        return tuple(standing for *_, standing in sorted(found, key=lambda one: one[:3]))

    def _rank(self, kind: ZoneKind) -> int:
        return self.precedence.index(kind) if kind in self.precedence else len(self.precedence)


def contact(zone: Zone, track: Track, scene: Scene) -> float:
    """Give 1 if the ground contact of a thing at rest lies in the zone, else 0."""
    return float(zone.has_contact(track.anchor or track.xyxy, scene.wh))
