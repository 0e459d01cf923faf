"""One suite over every rule: whatever it looks for, one physical thing is one case."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.rules import RULES, build_rules
from ingest.rules.scripted import START, WH, Actor, judge, scenes, standing
from ingest.site import Site
from ingest.types import EventKind, EventPhase, Scene, Track

DWELL_S = 20.0
FLOOR = ((0.0, 0.4), (1.0, 0.4), (1.0, 1.0), (0.0, 1.0))
WALL = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.4), (0.0, 0.4))
BOX = (280.0, 180.0, 360.0, 240.0)
PERSON = Actor("person", standing((365, 170, 385, 240)))
SCOOTER = Actor("motorcycle", standing((300, 230, 360, 290)))


@dataclass(frozen=True)
class Offence:
    """How to commit one kind of offence, and what else must be in the picture for it."""

    kind: EventKind
    label: str
    zone: str
    variant: str = ""
    box: tuple[float, float, float, float] = BOX
    others: tuple[Actor, ...] = ()
    polygon: tuple[tuple[float, float], ...] = FLOOR


OFFENCES = [
    Offence(EventKind.ILLEGAL_PARKING, "car", "no_parking", "motor"),
    Offence(EventKind.ILLEGAL_PARKING, "bicycle", "footway", "nonmotor"),
    Offence(EventKind.ILLEGAL_PARKING, "truck", "fire_lane", "fire_lane"),
    Offence(EventKind.STREET_VENDING, "stall", "no_vending"),
    Offence(EventKind.STREET_VENDING, "stall", "carriageway", "occupying_road"),
    Offence(EventKind.STREET_VENDING, "tricycle", "no_vending", others=(PERSON,)),
    Offence(EventKind.SHOP_OVERFLOW, "stall", "shopfront"),
    Offence(EventKind.EXPOSED_GARBAGE, "garbage", "public"),
    Offence(EventKind.ROAD_LITTER, "litter", "carriageway"),
    Offence(EventKind.GREEN_BELT_LITTER, "litter", "green_belt"),
    Offence(EventKind.BIN_OVERFLOW, "bin_overflow", "public"),
    Offence(EventKind.FLYING_WIRE, "flying_wire", "facade", box=(310, 40, 340, 250), others=(SCOOTER,), polygon=WALL),
]  # fmt: skip
every_offence = pytest.mark.parametrize(
    "offence", OFFENCES, ids=lambda one: f"{one.kind}-{one.label}-{one.zone}"
)


def site_of(offence: Offence, **zone) -> Site:
    table = {"id": "z", "kind": offence.zone, "dwell_s": DWELL_S, "polygon": offence.polygon, **zone}
    camera = {"id": "cam-1", "lat": 31.779, "lon": 119.951, "zone": [table]}
    return Site.model_validate({"name": "s", "timezone": "Asia/Shanghai", "cameras": [camera]})


def rule_for(offence: Offence, **zone):
    site = site_of(offence, **zone)
    (rule,) = [rule for rule in build_rules(site.cameras[0], site) if offence.kind in rule.kinds]
    return rule


def thing(offence: Offence, motion=None) -> list[Actor]:
    return [Actor(offence.label, motion or standing(offence.box)), *offence.others]


@cache
def film(offence: Offence, until: float = float("inf")) -> tuple[Scene, ...]:
    """An offence that begins at once and stops at `until`; filmed once, rules are pure."""
    return tuple(scenes(thing(offence, standing(offence.box, until=until)), 80))


def filmed(offence: Offence, seconds: float, until: float = float("inf")):
    return iter(film(offence, until)[: int(seconds * 5)])


EMPTY = tuple(scenes([Actor("person", standing((5, 5, 20, 60)))], 60))


def later_by(film_: Iterable[Scene], shift: timedelta):
    """Give the same scenes at another time."""
    for scene in film_:
        tracks = tuple(
            replace(
                track,
                first_at=track.first_at + shift,
                last_at=track.last_at + shift,
                at_rest_since=track.at_rest_since and track.at_rest_since + shift,
            )
            for track in scene.tracks
        )
        yield replace(scene, at=scene.at + shift, tracks=tracks)


def at_s(event) -> float:
    return (event.observed_at - START).total_seconds()


def phases(events) -> list[EventPhase]:
    return [event.phase for event in events]


def test_every_kind_has_a_rule_and_an_offence():
    assert set(RULES) == set(EventKind) == {offence.kind for offence in OFFENCES}


@every_offence
def test_a_pre_alarm_at_half_the_dwell_then_one_case_then_silence(offence):
    events = judge(rule_for(offence), filmed(offence, 60))
    assert phases(events) == [EventPhase.PRE_ALARM, EventPhase.CONFIRMED]
    pre, confirmed = events
    assert at_s(pre) == pytest.approx(DWELL_S / 2, abs=3)
    assert at_s(confirmed) == pytest.approx(DWELL_S, abs=3)
    assert pre.event_id == confirmed.event_id
    assert (confirmed.kind, confirmed.variant, confirmed.zone_id) == (offence.kind, offence.variant, "z")
    assert (confirmed.label, confirmed.xyxy) == (offence.label, pytest.approx(offence.box))
    assert abs((confirmed.started_at - START).total_seconds()) < 1
    assert confirmed.ended_at is None
    assert confirmed.frame_index == round(at_s(confirmed) * 5)
    assert confirmed.confidence == pytest.approx(0.8, abs=0.01)


@every_offence
def test_gone_before_the_dwell_is_no_case(offence):
    events = judge(rule_for(offence), filmed(offence, 60, until=DWELL_S - 2))
    assert EventPhase.CONFIRMED not in phases(events)
    assert EventPhase.ENDED not in phases(events)


@every_offence
def test_the_end_is_told_once_with_the_time_it_was_last_seen(offence):
    events = judge(rule_for(offence), filmed(offence, 80, until=30))
    assert phases(events) == [EventPhase.PRE_ALARM, EventPhase.CONFIRMED, EventPhase.ENDED]
    assert (events[-1].ended_at - START).total_seconds() == pytest.approx(29.8, abs=0.1)
    assert events[-1].event_id == events[1].event_id
    assert events[-1].started_at == events[1].started_at


@every_offence
def test_elsewhere_nothing_happens(offence):
    corner = tuple((0.9 + x / 20, 0.01 + y / 20) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)))
    assert judge(rule_for(offence, polygon=corner), filmed(offence, 40)) == []


@every_offence
def test_outside_the_schedule_and_under_a_permit_nothing_counts(offence):
    assert judge(rule_for(offence, schedule="Mon-Sun 22:00-23:00"), filmed(offence, 40)) == []
    permitted = rule_for(offence, permits=[{"from": "08:00", "to": "12:00"}])
    assert judge(permitted, filmed(offence, 40)) == []


@every_offence
def test_dwell_counts_from_when_the_schedule_begins(offence):
    start = START.replace(minute=59, second=40)  # 10:59:40 in Shanghai, 20 s before it begins
    rule = rule_for(offence, schedule="11:00-12:00")
    events = judge(rule, later_by(filmed(offence, 60), start - START))
    confirmed = events[-1]
    assert phases(events) == [EventPhase.PRE_ALARM, EventPhase.CONFIRMED]
    assert (confirmed.observed_at - start).total_seconds() == pytest.approx(20 + DWELL_S, abs=1)


@every_offence
def test_a_second_run_gives_the_same_ids(offence):
    runs = [judge(rule_for(offence), filmed(offence, 40)) for _ in range(2)]
    assert runs[0] == runs[1]
    assert len({event.event_id for event in runs[0]}) == 1


@every_offence
def test_what_was_reported_before_a_restart_is_not_reported_again(offence):
    first = judge(rule_for(offence), filmed(offence, 30))
    later = rule_for(offence)
    later.remember(first[-1:])
    begins = START + timedelta(minutes=3)
    assert judge(later, later_by(filmed(offence, 60), begins - START)) == []
    gone = rule_for(offence)
    gone.remember(first[-1:])
    (ended,) = judge(gone, later_by(EMPTY, begins - START))
    assert (ended.phase, ended.event_id, ended.ended_at) == (
        EventPhase.ENDED,
        first[-1].event_id,
        first[-1].observed_at,
    )


@every_offence
@pytest.mark.parametrize("moved_s", [4, 16, 30], ids=["new", "pre-alarmed", "reported"])
def test_what_is_counted_goes_on_where_a_camera_is_taken_over(offence, moved_s):
    """After some seconds, by another process with a tracker of its own."""
    whole = judge(rule_for(offence), filmed(offence, 60))
    first, second = rule_for(offence), rule_for(offence)
    before = judge(first, filmed(offence, moved_s))
    second.adopt(pickle.loads(pickle.dumps(first.counting())))
    after = judge(second, later_by(filmed(offence, 60), timedelta(seconds=moved_s + 2)))
    confirmed = [event for event in (*before, *after) if event.phase is EventPhase.CONFIRMED]
    assert [event.event_id for event in confirmed] == [whole[-1].event_id]
    assert at_s(confirmed[0]) == pytest.approx(DWELL_S, abs=4)
    assert confirmed[0].started_at == whole[-1].started_at
    gone = rule_for(offence)
    gone.adopt(first.counting())
    ends = [event.event_id for event in judge(gone, later_by(EMPTY, timedelta(seconds=moved_s + 2)))]
    assert ends == ([whole[-1].event_id] if moved_s == 30 else [])


@every_offence
def test_what_is_known_already_is_not_taken_over_twice(offence):
    first, second = rule_for(offence), rule_for(offence)
    known = judge(first, filmed(offence, 30))[-1:]
    second.remember(known)
    second.adopt(first.counting())
    ends = judge(second, later_by(EMPTY, timedelta(minutes=1)))
    assert [event.event_id for event in ends] == [known[0].event_id]


@every_offence
def test_kinds_of_other_rules_are_not_remembered(offence):
    (other,) = [
        one for one in OFFENCES if one.kind != offence.kind and RULES[one.kind] != RULES[offence.kind]
    ][:1]
    reported = judge(rule_for(other), filmed(other, 30))[-1:]
    rule = rule_for(offence)
    rule.remember(reported)
    assert judge(rule, iter(EMPTY)) == []


@every_offence
def test_the_end_of_the_file_is_not_the_end_of_the_thing(offence):
    rule = rule_for(offence)
    judge(rule, filmed(offence, 30))
    assert rule.finish(START + timedelta(seconds=30)) == []


@every_offence
def test_a_stream_that_breaks_for_half_a_minute_loses_and_doubles_nothing(offence):
    before = judge(rule_for(offence), scenes(thing(offence), 65, blind=lambda second: 12 <= second < 42))
    assert phases(before) == [EventPhase.PRE_ALARM, EventPhase.CONFIRMED]
    after = judge(rule_for(offence), scenes(thing(offence), 95, blind=lambda second: 30 <= second < 85))
    assert phases(after) == [EventPhase.PRE_ALARM, EventPhase.CONFIRMED]


@every_offence
def test_time_that_is_not_seen_does_not_make_a_case(offence):
    events = judge(rule_for(offence), scenes(thing(offence), 68, blind=lambda second: 4 <= second < 62))
    assert EventPhase.CONFIRMED not in phases(events)


@every_offence
def test_always_review_is_for_wires_only(offence):
    assert rule_for(offence).always_review == (offence.kind is EventKind.FLYING_WIRE)


def frames(offence: Offence, seen: Callable[[int], int | None], number: int, fps: float = 5.0):
    """Give scenes without a tracker: `seen` says under which track id the thing is seen in a frame, if at all."""
    helpers = [(100 + index, actor) for index, actor in enumerate(offence.others)]
    for index in range(number):
        at = START + timedelta(seconds=index / fps)
        tracks = [
            Track(key, str(actor.label), actor.motion(0), 0.8, START, at, 9, actor.motion(0), START)
            for key, actor in helpers
        ]
        if (key := seen(index)) is not None:
            tracks.append(Track(key, offence.label, offence.box, 0.8, START, at, 9, offence.box, START))
        yield Scene("cam-1", index, at, WH, tuple(tracks))


GAPS = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 24)), min_size=15, max_size=40)


@every_offence
@settings(max_examples=8, deadline=None)
@given(GAPS, st.integers(0, 3))
def test_gaps_and_id_switches_below_the_tolerance_give_exactly_one_case(offence, gaps, switch):
    """Seen for some frames, unseen for up to 4.8 s, again under another id, and so on: one thing."""
    pattern: list[int | None] = []
    for run, (on, off) in enumerate(gaps):
        mostly = offence.kind is EventKind.BIN_OVERFLOW or offence.label == "tricycle"
        gap = min(off, on // 2) if mostly else off
        pattern += [1 + run // switch if switch else 1] * on + [None] * gap
    pattern += [None if switch else 1] + [1 + len(gaps)] * 150
    events = judge(rule_for(offence), frames(offence, lambda index: pattern[index], len(pattern)))
    assert phases(events).count(EventPhase.CONFIRMED) == 1
    assert phases(events).count(EventPhase.PRE_ALARM) <= 1
    assert EventPhase.ENDED not in phases(events)


@every_offence
@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(-20, 20), min_size=5, max_size=60))
def test_clocks_that_jump_break_nothing(offence, jumps):
    rule, at = rule_for(offence), START
    events = []
    for index, jump in enumerate(jumps):
        at += timedelta(seconds=jump)
        track = Track(1, offence.label, offence.box, 0.8, min(START, at), at, 9, offence.box, min(START, at))
        events += rule.update(Scene("cam-1", index, at, WH, (track,)))
    confirmed = [event for event in events if event.phase is EventPhase.CONFIRMED]
    assert len({event.event_id for event in confirmed}) == len(confirmed)
    assert all(event.ended_at >= event.started_at for event in events if event.ended_at)


@every_offence
def test_repeated_and_late_frames_change_nothing(offence):
    once = list(filmed(offence, 40))
    doubled = [scene for pair in zip(once, once, strict=True) for scene in pair]
    assert phases(judge(rule_for(offence), iter(doubled))) == [EventPhase.PRE_ALARM, EventPhase.CONFIRMED]


@every_offence
def test_a_stream_that_changes_its_size_keeps_its_things(offence):
    rule = rule_for(offence)
    events = judge(rule, frames(offence, lambda _: 1, 75))
    factor = 2
    for index in range(75, 300):
        at = START + timedelta(seconds=index / 5)
        actors = [(1, offence.label, offence.box)]
        actors += [(100 + n, str(actor.label), actor.motion(0)) for n, actor in enumerate(offence.others)]
        tracks = []
        for key, label, box in actors:
            big = tuple(side * factor for side in box)
            tracks.append(Track(key + 1000, label, big, 0.8, at, at, 9, big, START))
        events += rule.update(Scene("cam-1", index, at, (WH[0] * factor, WH[1] * factor), tuple(tracks)))
    assert phases(events) == [EventPhase.PRE_ALARM, EventPhase.CONFIRMED]
