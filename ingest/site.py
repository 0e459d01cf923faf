"""A site: cameras, where they stand, what their pictures' polygons mean. Pure; `ingest.config` reads it."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    field_validator,
    model_validator,
)
from shapely.geometry import Polygon

from ingest.ground import LocalFrame, contradiction, mirrored
from ingest.schedule import ALWAYS, Exemption, Schedule, parse_schedule
from ingest.types import EventKind, ZoneKind
from ingest.zones import DWELL_S, EVENTS_OF, XY, Zone, crossing_edges

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Latitude = Annotated[Number, Field(ge=-90, le=90)]
Longitude = Annotated[Number, Field(ge=-180, le=180)]
GROUND_POINT_MAX_M = 2000.0  # from the camera; further off it is a typing error
Identifier = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f/\\]+$")]


def _schedule(value: Any) -> Any:
    return parse_schedule(value) if isinstance(value, str) else value


def _exemption(value: Any) -> Exemption:
    """Read one entry of `permits` or `holidays`: a date, a schedule, or a table with `from` and `to`."""
    value = _moment(value)
    if isinstance(value, date | datetime):
        return Exemption(value, value)
    if isinstance(value, str):
        return Exemption(schedule=parse_schedule(value))
    if not isinstance(value, dict):
        raise ValueError("wanted a date, a schedule, or a table { from = ..., to = ..., note = ... }")  # noqa: TRY004 - pydantic reports it
    if unknown := set(value) - {"from", "to", "note"}:
        raise ValueError(f"unknown key {min(unknown)!r}; known are from, to, note")
    return Exemption(_moment(value.get("from")), _moment(value.get("to")), note=str(value.get("note", "")))


def _moment(value: Any) -> Any:
    """Give the date, date-time or time of day that a text spells; anything else as it is."""
    if not isinstance(value, str):
        return value
    for kind in (date, datetime, time):
        try:
            return kind.fromisoformat(value)
        except ValueError:
            continue
    return value


class Table(BaseModel):
    """Frozen; an unknown key is an error, so that a misspelt one is never lost silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GroundPoint(Table):
    """A spot on the ground seen in the picture (fractions) and known on the map (WGS 84, degrees)."""

    xy: tuple[Fraction, Fraction]
    lat: Latitude
    lon: Longitude


class ZoneTable(Table):
    """`[[camera.zone]]` as written; `Camera.zones` holds the checked `Zone`s."""

    id: Identifier
    kind: ZoneKind
    polygon: tuple[tuple[Fraction, Fraction], ...]
    dwell_s: Annotated[Number, Field(ge=0, le=30 * 86400)] | None = None
    events: tuple[EventKind, ...] | None = None
    schedule: Annotated[InstanceOf[Schedule], BeforeValidator(_schedule)] = ALWAYS
    permits: tuple[Annotated[InstanceOf[Exemption], BeforeValidator(_exemption)], ...] = ()
    holidays: tuple[Annotated[InstanceOf[Exemption], BeforeValidator(_exemption)], ...] = ()

    @field_validator("polygon")
    @classmethod
    def _simple(cls, polygon: tuple[XY, ...]) -> tuple[XY, ...]:
        corners = polygon[:-1] if len(polygon) > 1 and polygon[0] == polygon[-1] else polygon
        if len(corners) < 3:
            raise ValueError(f"has {len(corners)} corners; a zone needs at least three")
        for index, corner in enumerate(corners):
            if corner == corners[index - 1]:
                raise ValueError(f"has corner {index + 1} twice in a row; remove one")
        if crossing := crossing_edges(corners):
            first, second = (f"{edge + 1}-{(edge + 1) % len(corners) + 1}" for edge in crossing)
            raise ValueError(f"crosses itself: edge {first} meets edge {second}; list the corners in order")
        if Polygon(corners).area < 1e-6:
            raise ValueError("has no area; its corners lie on one line")
        return corners

    @model_validator(mode="after")
    def _watched(self) -> ZoneTable:
        if self.events is not None and not EVENTS_OF[self.kind]:
            raise ValueError(f"a zone of kind {self.kind} raises no events; remove `events`")
        return self

    def zone(self) -> Zone:
        """Give the zone with its defaults filled in."""
        return Zone(
            id=self.id,
            kind=self.kind,
            polygon=self.polygon,
            dwell_s=DWELL_S[self.kind] if self.dwell_s is None else self.dwell_s,
            events=EVENTS_OF[self.kind] if self.events is None else frozenset(self.events),
            schedule=self.schedule,
            exemptions=self.permits + self.holidays,
        )


class Camera(Table):
    """One fixed camera.

    Args:
        id: its name in every report. source: file, folder or URL; None if the caller gives one.
        evidence_source: rtsp:// address of its main stream, opened only for evidence, where `source` is its
            substream.
        lat, lon: where it stands, WGS 84. heading_deg: where it looks, clockwise from true north.
        height_m: lens above the ground. pitch_deg: how far it looks down. fov_deg: horizontal angle of view.
        ground_points: none, or four and more for a homography.
        starts_at: time of a file's first frame. fps: analysed frames per second.
        fps_min: the lower rate that is enough where a machine has too much to do; never more than `fps`.
        model: name@version or name@alias. score_min: thresholds per class that override the model's.
        decode_device: "cuda", "cuda:1", "vaapi", ...: hardware that decodes where it is there; None: the CPU.
    """

    id: Identifier
    source: Annotated[str, Field(min_length=1)] | None = None
    evidence_source: Annotated[str, Field(pattern=r"^rtsps?://.")] | None = None
    lat: Latitude
    lon: Longitude
    heading_deg: Annotated[Number, Field(ge=0, le=360)] | None = None
    height_m: Annotated[Number, Field(gt=0, le=300)] | None = None
    pitch_deg: Annotated[Number, Field(ge=-30, le=90)] | None = None
    fov_deg: Annotated[Number, Field(ge=2, le=170)] | None = None
    ground_points: tuple[GroundPoint, ...] = ()
    starts_at: AwareDatetime | None = None
    fps: Annotated[Number, Field(ge=0.1, le=60)] = 5.0
    fps_min: Annotated[Number, Field(ge=0.1, le=60)] = 1.0
    decode_device: (
        Annotated[str, Field(pattern=r"^(cpu|cuda(:[0-9]{1,2})?|vaapi|qsv|videotoolbox)$")] | None
    ) = None
    model: Annotated[str, Field(min_length=1)] = "street@production"
    score_min: dict[str, Fraction] = Field(default_factory=dict)
    zone: tuple[ZoneTable, ...] = ()

    @field_validator("ground_points")
    @classmethod
    def _spread(cls, points: tuple[GroundPoint, ...]) -> tuple[GroundPoint, ...]:
        if 0 < len(points) < 4:
            raise ValueError(f"has {len(points)} points; wanted none, or four and more for a homography")
        if points and not _spreads([point.xy for point in points]):
            raise ValueError("lie on one line in the picture, or all but one do; take four that span an area")
        return points

    @model_validator(mode="after")
    def _surveyed(self) -> Camera:
        frame = LocalFrame(self.lat, self.lon)
        ground = [frame.to_metres(point.lat, point.lon) for point in self.ground_points]
        for number, place in enumerate(ground, start=1):
            if (away_m := math.hypot(*place)) > GROUND_POINT_MAX_M:
                where = f"`ground_points` entry {number} lies {away_m / 1000:.1f} km from the camera"
                raise ValueError(f"{where}; check lat and lon of both")
        if ground and not _spreads(ground, smallest=0.1):
            raise ValueError(
                "`ground_points`: all, or all but one, lie on one line on the map; check their lat and lon"
            )
        wrong = contradiction([point.xy for point in self.ground_points], ground) if ground else None
        if wrong:
            raise ValueError(f"`ground_points` {wrong}")
        return self

    @field_validator("zone")
    @classmethod
    def _named_once(cls, zones: tuple[ZoneTable, ...]) -> tuple[ZoneTable, ...]:
        if twice := _twice([zone.id for zone in zones]):
            raise ValueError(f"zone {twice!r} is listed twice; give every zone of a camera its own id")
        return zones

    @model_validator(mode="after")
    def _lower(self) -> Camera:
        if "fps_min" in self.model_fields_set and self.fps_min > self.fps:
            raise ValueError(f"`fps_min` is {self.fps_min:g}, above `fps`, which is {self.fps:g}; lower it")
        return self

    @property
    def live(self) -> bool:
        """Say whether it sends whether we are ready or not: its source is an address, no file."""
        return self.source is not None and "://" in self.source

    def doubts(self) -> tuple[str, ...]:
        """Say what is possible but probably not meant, one sentence each, for `doctor` and at a start."""
        frame = LocalFrame(self.lat, self.lon)
        ground = [frame.to_metres(point.lat, point.lon) for point in self.ground_points]
        found = []
        if ground and mirrored([point.xy for point in self.ground_points], ground):
            found.append(
                f"camera '{self.id}': `ground_points` show the street mirrored; check their lat and lon."
            )
        if not any(zone.events for zone in self.zones):
            found.append(
                f"camera '{self.id}': no zone that is watched for anything; no case can come from it."
            )
        return tuple(found)

    @cached_property
    def zones(self) -> tuple[Zone, ...]:
        """The zones with their defaults filled in."""
        return tuple(table.zone() for table in self.zone)


class Site(Table):
    """One site file.

    Args:
        name: for people. timezone: IANA name, in which the schedules are written. city: code of the city.
        cameras: at least one, every id once.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    timezone: str
    city: Annotated[str, Field(max_length=40)] = ""
    cameras: tuple[Camera, ...]

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, LookupError) as error:
            raise ValueError("is not an IANA time zone; write for example Asia/Shanghai") from error
        return name

    @field_validator("cameras")
    @classmethod
    def _named_once(cls, cameras: tuple[Camera, ...]) -> tuple[Camera, ...]:
        if not cameras:
            raise ValueError("the site has no camera; add a [[camera]] table with id, lat and lon")
        if twice := _twice([camera.id for camera in cameras]):
            raise ValueError(f"camera {twice!r} is listed twice; give every camera its own id")
        return cameras

    @property
    def tz(self) -> ZoneInfo:
        """The time zone of the schedules."""
        return ZoneInfo(self.timezone)

    def camera(self, camera_id: str) -> Camera:
        """Give a camera by id.

        Raises:
            KeyError: the site has none of that id.
        """
        return {camera.id: camera for camera in self.cameras}[camera_id]


def _twice(names: list[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _spreads(points: list[XY], smallest: float = 0.01) -> bool:
    """Say whether no line passes close to all points but one: then a homography is determined.

    Args:
        points: any plane coordinates.
        smallest: distance from the line that counts as off it, same unit.
    """
    for index in range(len(points)):
        rest = points[:index] + points[index + 1 :]
        hull = Polygon(rest).convex_hull if len(rest) > 2 else None
        if hull is None or hull.area < smallest * hull.length / 4:
            return False
    return True
