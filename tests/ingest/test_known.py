"""A restarted pipeline hears of what is reported already and does not report it again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.known import events_of
from ingest.rules import build_rules
from ingest.site import Camera, Site
from ingest.types import EventPhase, Scene, Track

AT = datetime(2026, 11, 20, tzinfo=UTC)
WH = (640, 360)
CASE = {
    "report_id": "2d8aa5bb-b524-5a49-98f4-3dc7cab88cea",
    "kind": "illegal_parking",
    "variant": "motor",
    "zone_id": "kerb",
    "started_at": "2026-11-19T23:00:00Z",
    "observed_at": "2026-11-19T23:30:00.200000Z",
    "confidence": 0.8,
    "label": "car",
    "box": {"x0": 0.25, "y0": 0.5, "x1": 0.5, "y1": 0.75},
}
ZONE = {"id": "kerb", "kind": "no_parking", "dwell_s": 5, "polygon": [(0, 0), (1, 0), (1, 1), (0, 1)]}


def confirmed(known):
    """Give the confirmations of 60 s in which one car stands at the case's place."""
    camera = Camera.model_validate({"id": "cam", "lat": 31.0, "lon": 119.0, "zone": (ZONE,)})
    site = Site(name="s", timezone="Asia/Shanghai", cameras=(camera,))
    (rule,) = build_rules(camera, site)
    rule.remember(events_of(known, WH))
    box = (160.0, 180.0, 320.0, 270.0)
    found = []
    for step in range(300):
        at = AT + timedelta(seconds=step / 5)
        track = Track(1, "car", box, 0.9, AT, at, step + 1, box, AT)
        found += rule.update(Scene("cam", step, at, WH, (track,)))
    return [event for event in found if event.phase is EventPhase.CONFIRMED]


@pytest.mark.parametrize(("known", "count"), [((), 1), ((CASE,), 0)])
def test_what_is_known_is_not_reported_again(known, count):
    assert len(confirmed(known)) == count


def test_the_event_has_the_case_s_id_and_its_box_in_pixels():
    (event,) = events_of((CASE,), WH)
    assert event.event_id == CASE["report_id"]
    assert event.xyxy == (160.0, 180.0, 320.0, 270.0)
    assert event.started_at == AT - timedelta(hours=1)
