"""What the page shows of a case, as plain values in one language. Pure: no clock, no IO, no NiceGUI."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Final, Literal, get_args

from api.desk.texts import Lang, duration, say, say_or
from api.types import AUTO, Case, CaseStatus, Dispatch
from api.view import evidence_path
from ingest.report import EvidenceRef, Kind

Tab = Literal["review", "filed", "rejected", "all"]
TABS: Final[tuple[Tab, ...]] = get_args(Tab)
KINDS: Final[tuple[str, ...]] = get_args(Kind)

STATUSES_OF: Final[Mapping[Tab, frozenset[CaseStatus]]] = MappingProxyType(
    {
        "review": frozenset({CaseStatus.REPORTED}),
        "filed": frozenset(CaseStatus) - {CaseStatus.REPORTED, CaseStatus.REJECTED},
        "rejected": frozenset({CaseStatus.REJECTED}),
        "all": frozenset(CaseStatus),
    }
)
"""Which cases stand under which tab."""

REASONS: Final = ("not_an_offence", "wrong_kind", "duplicate", "permitted", "picture_unclear")
"""Reasons for a rejection in the order of their keys 1 to 5: stored as they stand here, shown as texts."""

KIND_COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "illegal_parking": "#2563eb",
        "street_vending": "#d97706",
        "shop_overflow": "#7c3aed",
        "exposed_garbage": "#92400e",
        "road_litter": "#4d7c0f",
        "bin_overflow": "#dc2626",
        "green_belt_litter": "#0f766e",
        "flying_wire": "#be185d",
    }
)
OTHER_COLOUR: Final = "#475569"

_PICTURE_ROLES: Final = ("far", "near", "before", "after")
_UP: Final = ".."
"""From the page (`/desk/`) to the root: relative, so that it works behind any prefix."""
_METRES_PER_DEGREE: Final = 111_320.0


@dataclass(frozen=True)
class Place:
    """A case on the map. lat, lon in degrees (WGS 84), error_m: radius that holds the true place in 95 %."""

    lat: float
    lon: float
    error_m: float
    colour: str


@dataclass(frozen=True)
class Picture:
    """One still: its role, its address relative to the page, words for who cannot see it."""

    role: str
    label: str
    url: str
    alt: str


def colour_of(kind: str) -> str:
    """Give the colour of a kind of event."""
    return KIND_COLOURS.get(kind, OTHER_COLOUR)


def kind_name(lang: Lang, kind: str, variant: str = "") -> str:
    """Name a kind and its variant.

    >>> kind_name("en", "illegal_parking", "motor")
    'Illegal parking, motor vehicle'
    >>> kind_name("zh", "bin_overflow")
    '垃圾桶满溢'
    """
    name = say_or(lang, f"kind.{kind}", kind)
    if not variant:
        return name
    return f"{name}{'，' if lang == 'zh' else ', '}{say_or(lang, f'variant.{variant}', variant)}"


def status_name(lang: Lang, status: CaseStatus) -> str:
    """Name a status."""
    return say(lang, f"status.{status.value}")


def local_time(at: datetime, zone: tzinfo) -> str:
    """Give an instant in local time with its offset.

    >>> from datetime import UTC, timedelta, timezone
    >>> local_time(datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC), timezone(timedelta(hours=8)))
    '2026-11-23 09:02:03 +08:00'
    """
    here = at.astimezone(zone)
    return f"{here:%Y-%m-%d %H:%M:%S} {_offset(here)}"


def short_time(at: datetime, zone: tzinfo) -> str:
    """Give an instant for a narrow column.

    >>> from datetime import UTC, timedelta, timezone
    >>> short_time(datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC), timezone(timedelta(hours=8)))
    '11-23 09:02:03 +08:00'
    """
    here = at.astimezone(zone)
    return f"{here:%m-%d %H:%M:%S} {_offset(here)}"


def _offset(here: datetime) -> str:
    text = f"{here:%z}"
    return f"{text[:3]}:{text[3:5]}"


def percent(confidence: float) -> int:
    """Give a confidence in per cent, never 100 for less than certain.

    >>> percent(0.999), percent(1.0), percent(0.874)
    (99, 100, 87)
    """
    return math.floor(confidence * 100 + 1e-9) if confidence > 0.99 else round(confidence * 100)


def evidence_url(ref: EvidenceRef) -> str:
    """Give the address of one piece of public evidence, relative to the page."""
    return f"{_UP}{evidence_path(ref.sha256)}"


def pictures_of(case: Case, lang: Lang) -> tuple[Picture, ...]:
    """Give the public stills, one per role, in the order in which they are looked at."""
    kind, zone = kind_name(lang, case.report.kind), case.report.zone_id
    newest = {ref.role: ref for ref in case.public_evidence if ref.media_type == "image/jpeg"}
    return tuple(
        Picture(
            role=role,
            label=say(lang, f"role.{role}"),
            url=evidence_url(newest[role]),
            alt=say(lang, "picture_of", role=say(lang, f"role.{role}"), kind=kind, zone=zone),
        )
        for role in _PICTURE_ROLES
        if role in newest
    )


def clip_of(case: Case) -> str | None:
    """Give the address of the public clip, None where there is none."""
    clips = [ref for ref in case.public_evidence if ref.media_type == "video/mp4"]
    return evidence_url(clips[0]) if clips else None


def thumbnail_of(case: Case) -> str | None:
    """Give the address of the smallest still that shows the thing."""
    by_role = {ref.role: ref for ref in case.public_evidence if ref.media_type == "image/jpeg"}
    for role in ("near", "far", "after", "before"):
        if role in by_role:
            return evidence_url(by_role[role])
    return None


def row_of(case: Case, lang: Lang, zone: tzinfo) -> dict[str, object]:
    """Give one line of the list, as the list component reads it."""
    report = case.report
    return {
        "id": str(case.case_id),
        "kind": kind_name(lang, report.kind),
        "colour": colour_of(report.kind),
        "place": f"{report.zone_id} · {report.source_id}",
        "time": short_time(report.observed_at, zone),
        "confidence": say(lang, "confidence_short", percent=percent(report.confidence)),
        "status": case.status.value,
        "statusName": status_name(lang, case.status),
        "thumb": thumbnail_of(case),
    }


def facts_of(case: Case, lang: Lang, zone: tzinfo) -> list[tuple[str, str]]:
    """Give what is known of a case: pairs of name and value, in reading order."""
    report = case.report
    facts = [
        ("fact.dwell", duration(lang, report.observed_at - report.started_at)),
        ("fact.started", local_time(report.started_at, zone)),
        ("fact.observed", local_time(report.observed_at, zone)),
        ("fact.place", f"{report.zone_id} · {report.source_id}"),
        ("fact.code", f"{report.code.code} · {report.code.scheme}-{report.code.version}"),
        ("fact.location", location_text(case)),
        ("fact.method", f"{say(lang, f'method.{report.location.method}')} · {report.location.crs}"),
        ("fact.confidence", say(lang, "confidence_short", percent=percent(report.confidence))),
        ("fact.model", f"{report.model} · {report.label}"),
        ("fact.case", str(case.case_id)[:8]),
    ]
    if report.site:
        facts.insert(3, ("fact.site", report.site))
    if case.ended_at is not None:
        facts.insert(3, ("fact.ended", local_time(case.ended_at, zone)))
    return [(say(lang, key), value) for key, value in facts]


def location_text(case: Case) -> str:
    """Give the position with its error radius: `31.77912, 119.95111 ± 4 m`."""
    place = case.report.location
    return f"{place.lat:.5f}, {place.lon:.5f} ± {max(1, round(place.error_m))} m"


def headline_of(case: Case, lang: Lang) -> str:
    """Name a case in one line: kind and zone."""
    return f"{kind_name(lang, case.report.kind, case.report.variant)} · {case.report.zone_id}"


def decision_of(case: Case, lang: Lang, zone: tzinfo) -> str:
    """Say who decided what and when, and how far the dispatch has come; empty while nobody has."""
    parts = []
    for review in case.reviews[-1:]:
        who = say(lang, "who.auto") if review.operator == AUTO else review.operator
        parts.append(say(lang, f"decided.{review.verdict}", who=who, at=short_time(review.at, zone)))
        if review.reason and review.operator != AUTO:
            parts.append(say_or(lang, f"reason.{review.reason}", review.reason))
    if case.dispatch is not None:
        parts.append(say(lang, "dispatch.line", text=dispatch_text(case.dispatch, lang)))
    return " · ".join(parts)


def dispatch_text(dispatch: Dispatch, lang: Lang) -> str:
    """Say how far the filing of a case with the city platform has come."""
    if dispatch.state == "delivered":
        receipt = dispatch.receipt.receipt_id if dispatch.receipt else "?"
        return say(lang, "dispatch.delivered", receipt=receipt)
    if dispatch.state == "dead":
        return say(lang, "dispatch.dead", n=dispatch.attempts, error=dispatch.last_error)
    if dispatch.attempts:
        return say(lang, "dispatch.retry", n=dispatch.attempts)
    return say(lang, "dispatch.pending")


def place_of(case: Case) -> Place:
    """Give where a case stands on the map."""
    spot = case.report.location
    return Place(spot.lat, spot.lon, spot.error_m, colour_of(case.report.kind))


def is_open(case: Case) -> bool:
    """Tell whether a case is still anybody's work."""
    return case.status not in {CaseStatus.REJECTED, CaseStatus.CLOSED}


def next_to_review(cases: Sequence[Case], decided_id: str) -> str | None:
    """Give the case to look at after a decision: the next older one to review, else the next newer one.

    Args:
        cases: the list as it stood when the decision was made, newest first.
        decided_id: the case that was decided.
    """
    ids = [str(case.case_id) for case in cases]
    start = ids.index(decided_id) if decided_id in ids else -1
    newer = cases[:start][::-1] if start > 0 else ()
    for case in (*cases[start + 1 :], *newer):
        if case.status is CaseStatus.REPORTED and str(case.case_id) != decided_id:
            return str(case.case_id)
    return None


def neighbour(ids: Sequence[str], selected: str | None, step: int) -> str | None:
    """Give the case one step down (+1) or up (-1) the list; the ends hold.

    >>> neighbour(["a", "b", "c"], "b", 1), neighbour(["a", "b"], "b", 1), neighbour(["a", "b"], None, 1)
    ('c', 'b', 'a')
    """
    if not ids:
        return selected
    if selected not in ids:
        return ids[0]
    return ids[min(len(ids) - 1, max(0, ids.index(selected) + step))]


def zoom_for(lat: float, error_m: float, half_px: float = 60.0) -> int:
    """Give the web-map zoom at which the error radius is at most `half_px` pixels; between 11 and 18.

    >>> zoom_for(31.78, 4.0), zoom_for(31.78, 100.0)
    (18, 16)

    Source: spherical Mercator, 156543.03 m per pixel at zoom 0 on the equator with tiles of 256 px.
    """
    metres_per_px = max(error_m, 1.0) / half_px
    zoom = math.log2(156_543.03 * max(0.01, math.cos(math.radians(lat))) / metres_per_px)
    return max(11, min(18, math.floor(zoom)))


def grid_step_m(zoom: int) -> int:
    """Give the mesh of the map's own grid, metres: about 100 pixels.

    >>> grid_step_m(18), grid_step_m(16)
    (50, 200)
    """
    return int(50 * 2.0 ** (18 - zoom))


def grid_lines(lat: float, lon: float, step_m: float, lines: int = 24) -> list[list[list[float]]]:
    """Give a square metric grid through a point, as [[lat, lon], [lat, lon]] segments in degrees."""
    d_lat = step_m / _METRES_PER_DEGREE
    d_lon = d_lat / max(0.01, math.cos(math.radians(lat)))
    reach = lines // 2
    south, north = lat - reach * d_lat, lat + reach * d_lat
    west, east = lon - reach * d_lon, lon + reach * d_lon
    offsets = range(-reach, reach + 1)
    return [[[lat + k * d_lat, west], [lat + k * d_lat, east]] for k in offsets] + [
        [[south, lon + k * d_lon], [north, lon + k * d_lon]] for k in offsets
    ]


def tab_counts(by_status: Mapping[str, int]) -> dict[Tab, int]:
    """Add the counts by status up to the tabs."""
    return {tab: sum(by_status.get(status, 0) for status in STATUSES_OF[tab]) for tab in TABS}


def places_near(case: Case, cases: Sequence[Case], limit: int = 40) -> list[Place]:
    """Give the other open cases of a list that lie nearest, at most `limit`."""
    here = case.report.location
    shrink = math.cos(math.radians(here.lat))

    def distance(other: Case) -> float:
        there = other.report.location
        return math.hypot(there.lat - here.lat, (there.lon - here.lon) * shrink)

    others = [other for other in cases if other.case_id != case.case_id and is_open(other)]
    return [place_of(other) for other in sorted(others, key=distance)[:limit]]
