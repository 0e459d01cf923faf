"""The wire format between a source and the API: what a machine claims. stdlib and pydantic only."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID, uuid5

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, field_validator

REPORT_NAMESPACE = UUID("6f0d1f0e-6a3c-5a5e-9a53-0b8f5b0c7e11")
"""Namespace of report ids, fixed for ever: changing it would report every open event again."""

Kind = Literal[
    "illegal_parking",
    "street_vending",
    "shop_overflow",
    "exposed_garbage",
    "road_litter",
    "bin_overflow",
    "green_belt_litter",
    "flying_wire",
]
Role = Literal["near", "far", "before", "after", "clip"]
Crs = Literal["WGS84", "CGCS2000", "GCJ02"]
GeoMethod = Literal["homography", "camera_pose", "camera_position", "vehicle_track"]


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


UtcDatetime = Annotated[AwareDatetime, AfterValidator(_utc)]


class Wire(BaseModel):
    """Frozen; an unknown key is an error, so that a misspelt one is never lost silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EventCode(Wire):
    """A code with the standard it belongs to; the same digits mean other things in another edition."""

    scheme: str = Field(min_length=1, max_length=40, examples=["GB/T 47678.5"])
    version: str = Field(min_length=1, max_length=20, examples=["2026"])
    code: str = Field(min_length=1, max_length=20, examples=["09009"])


class GeoPoint(Wire):
    """A place on the ground. lat, lon in degrees; error_m: radius that holds the true place in 95 %."""

    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)
    error_m: float = Field(ge=0)
    crs: Crs = "WGS84"
    method: GeoMethod


class EvidenceRef(Wire):
    """A picture or clip by content. `sealed` originals never leave through the public routes."""

    role: Role
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    media_type: Literal["image/jpeg", "video/mp4"]
    size_bytes: int = Field(gt=0)
    sealed: bool = False
    frame_index: int = Field(ge=0)
    at: UtcDatetime


class Box(Wire):
    """Where the thing is in its frame, fractions of width and height, for drawing on the far still."""

    x0: float = Field(ge=0, le=1)
    y0: float = Field(ge=0, le=1)
    x1: float = Field(ge=0, le=1)
    y1: float = Field(ge=0, le=1)

    def iou(self, other: Box) -> float:
        """Give the overlap of two boxes, intersection over union.

        >>> Box(x0=0, y0=0, x1=0.5, y1=0.5).iou(Box(x0=0.25, y0=0, x1=0.5, y1=0.5))
        0.5
        """
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        both = max(0.0, width) * max(0.0, height)
        areas = sum((box.x1 - box.x0) * (box.y1 - box.y0) for box in (self, other))
        return both / (areas - both) if areas > both else 0.0


class CaseReport(Wire):
    """One event at one place, claimed by one model version. Posting it twice makes one case."""

    report_id: UUID
    kind: Kind
    variant: str = Field(default="", max_length=40)
    code: EventCode
    source_id: str = Field(min_length=1, max_length=100)
    zone_id: str = Field(min_length=1, max_length=100)
    site: str = Field(default="", max_length=200)
    started_at: UtcDatetime
    observed_at: UtcDatetime
    location: GeoPoint
    confidence: float = Field(ge=0, le=1)
    model: str = Field(pattern=r"^[\w.-]+@\d+$", examples=["street@1"])
    label: str = Field(min_length=1, max_length=40)
    box: Box
    evidence: tuple[EvidenceRef, ...] = ()
    unaware: bool = Field(
        default=False,
        description="The camera began to be watched while the API could not be asked what is open there, and "
        "the thing stood there then: an open case of this camera, zone, kind and place is of the same thing.",
    )

    def wire(self) -> str:
        """Give it as JSON to be posted; `unaware` only where it is so, for APIs that do not know it."""
        return self.model_dump_json(exclude=None if self.unaware else {"unaware"})

    @field_validator("source_id", "zone_id")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not re.fullmatch(r"[^\x00-\x1f/\\]+", value):
            raise ValueError("must not hold control characters or slashes")
        return value


class EventEnd(Wire):
    """The thing that was reported is no longer there."""

    report_id: UUID
    ended_at: UtcDatetime
    evidence: tuple[EvidenceRef, ...] = ()


def report_id_of(source_id: str, kind: str, zone_id: str, place: str, started_at: datetime) -> UUID:
    """Give the id of the report of one thing: the same thing, seen again by a second run, has the same.

    Args:
        source_id: camera.
        kind: event kind.
        zone_id: zone.
        place: quantised place of the thing in the picture.
        started_at: aware; when it came to rest, rounded by the caller to what a second run reproduces.

    Source: RFC 9562, version 5.
    """
    at = started_at.astimezone(UTC).isoformat(timespec="seconds")
    return uuid5(REPORT_NAMESPACE, f"{source_id}|{kind}|{zone_id}|{place}|{at}")
