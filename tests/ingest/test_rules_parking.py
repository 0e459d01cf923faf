from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from ingest.boxes import covered_share
from ingest.rules.parking import IllegalParking
from ingest.rules.scripted import START, WH, Actor, judge, moving, scenes, standing, visit
from ingest.site import Site
from ingest.types import EventPhase, Scene, Track

LANE = [[0.0, 0.4], [1.0, 0.4], [1.0, 1.0], [0.0, 1.0]]
CAR = (200.0, 150.0, 300.0, 210.0)
AWAY = (100.0, 0.0)


def site(*zones, dwell_s=20):
    tables = [
        {"id": f"{kind}-{index}", "kind": kind, "polygon": polygon, "dwell_s": dwell_s, **extra}
        for index, (kind, polygon, extra) in enumerate(zones or [("no_parking", LANE, {})])
    ]
    return Site.model_validate(
        {
            "name": "s",
            "timezone": "Asia/Shanghai",
            "cameras": [{"id": "cam-1", "lat": 31.8, "lon": 120.0, "zone": tables}],
        }
    )


def parking(*zones, **extra):
    where = site(*zones, **extra)
    return IllegalParking(where.cameras[0], where)


def confirmed(events):
    return [event for event in events if event.phase is EventPhase.CONFIRMED]


def ended(events):
    return [event for event in events if event.phase is EventPhase.ENDED]


def test_a_vehicle_that_drives_through_is_no_case():
    assert judge(parking(dwell_s=2), scenes([Actor("car", moving((-90, 150, 10, 210), (90, 0)))], 10)) == []


def test_it_is_a_case_from_when_it_stopped_and_ends_when_it_drives_off():
    events = judge(parking(), scenes([Actor("car", visit(CAR, AWAY, arrive=5, leave=40))], 80))
    case, end = confirmed(events) + ended(events)
    assert (case.started_at - START).total_seconds() == pytest.approx(5, abs=0.5)
    assert (case.observed_at - START).total_seconds() == pytest.approx(25, abs=0.5)
    assert (end.ended_at - START).total_seconds() == pytest.approx(40, abs=0.7)
    assert end.event_id == case.event_id


def test_a_queue_in_which_each_stands_where_the_last_one_stood_is_no_case():
    """Twelve cars, each stops for ten seconds at the same line: twenty seconds of dwell never come together."""
    queue = [Actor("car", visit(CAR, (70, 0), arrive=3 + 13 * n, leave=13 + 13 * n)) for n in range(12)]
    filmed = list(scenes(queue, 160))
    assert confirmed(judge(parking(), iter(filmed))) == []
    places = {(event.started_at, event.event_id) for event in judge(parking(), iter(filmed))}
    assert len(places) == len({event_id for _, event_id in places})


def test_each_car_of_a_slow_queue_that_outstays_the_dwell_is_its_own_case():
    queue = [Actor("car", visit(CAR, (70, 0), arrive=3 + 33 * n, leave=33 + 33 * n)) for n in range(4)]
    events = judge(parking(), scenes(queue, 140))
    assert len(confirmed(events)) == 4
    assert len({event.event_id for event in confirmed(events)}) == 4
    assert len(ended(events)) == 4


def test_a_red_light_shorter_than_the_dwell_is_no_case():
    row = [
        Actor("car", visit((x, 150, x + 80, 210), (90, 0), arrive=2, leave=19)) for x in (40, 150, 260, 370)
    ]
    assert confirmed(judge(parking(), scenes(row, 40))) == []


def test_a_crawl_is_no_case():
    assert confirmed(judge(parking(), scenes([Actor("car", moving(CAR, (3.0, 0)))], 90))) == []


def test_a_place_is_kept_through_an_id_switch_behind_a_bus():
    """The bus hides the car for eight seconds; the tracker is a new one afterwards."""
    car = Actor("car", lambda second: None if 8 <= second < 14 else CAR)
    bus = Actor("bus", moving((-250, 110, 30, 260), (50, 0), since=3))
    filmed = list(scenes([car, bus], 60))
    events = judge(parking(), iter(filmed))
    assert len(confirmed(events)) == 1
    assert confirmed(events)[0].started_at == START


def test_a_car_that_leaves_and_another_that_comes_are_two_cases():
    first = Actor("car", visit(CAR, AWAY, arrive=0, leave=30))
    second = Actor("car", visit(CAR, AWAY, arrive=36, leave=70))
    events = judge(parking(), scenes([first, second], 110))
    assert len({event.event_id for event in confirmed(events)}) == 2
    assert len(ended(events)) == 2


def test_what_nobody_saw_leave_has_left_when_another_stands_there():
    """It would be waited for 15 s longer, and for ever where the newcomer hides it."""
    first = Actor("car", standing(CAR, until=30))
    later = Actor("car", visit(CAR, AWAY, arrive=43, leave=900))
    events = judge(parking(), scenes([first, later], 100))
    one, other = confirmed(events)
    (end,) = ended(events)
    assert end.event_id == one.event_id
    assert (end.ended_at - START).total_seconds() == pytest.approx(30, abs=0.5)
    assert (end.observed_at - START).total_seconds() == pytest.approx(43, abs=3)
    assert (other.started_at - START).total_seconds() == pytest.approx(43, abs=0.5)


def test_neighbours_are_cases_of_their_own():
    row = [Actor("motorcycle", standing((x, 170, x + 14, 200))) for x in range(100, 160, 12)]
    events = judge(parking(("footway", LANE, {})), scenes(row, 30))
    assert len({event.event_id for event in confirmed(events)}) == len(row)


@pytest.mark.parametrize(
    ("label", "kind", "variant"),
    [
        ("car", "no_parking", "motor"),
        ("bus", "no_parking", "motor"),
        ("truck", "footway", "motor"),
        ("bicycle", "footway", "nonmotor"),
        ("motorcycle", "no_parking", "nonmotor"),
        ("tricycle", "footway", "nonmotor"),
        ("car", "fire_lane", "fire_lane"),
        ("bicycle", "fire_lane", "fire_lane"),
    ],
)
def test_variants(label, kind, variant):
    (case,) = confirmed(judge(parking((kind, LANE, {})), scenes([Actor(label, standing(CAR))], 30)))
    assert (case.variant, case.label) == (variant, label)


@pytest.mark.parametrize("label", ["person", "stall", "bin", "garbage"])
def test_other_things_do_not_park(label):
    assert judge(parking(), scenes([Actor(label, standing(CAR))], 30)) == []


@pytest.mark.parametrize(
    ("kind", "right_edge", "parked"),
    [
        ("no_parking", 0.41, True),
        ("no_parking", 0.37, False),
        ("footway", 0.37, True),
        ("footway", 0.33, False),
    ],
)
def test_half_the_contact_strip_decides_and_two_wheels_on_the_footway(kind, right_edge, parked):
    """The car stands between 0.3125 and 0.469 of the width."""
    zone = [[0.0, 0.4], [right_edge, 0.4], [right_edge, 1.0], [0.0, 1.0]]
    events = judge(parking((kind, zone, {})), scenes([Actor("car", standing(CAR))], 30))
    assert bool(confirmed(events)) is parked


def test_a_tall_vehicle_whose_top_reaches_into_the_zone_does_not_stand_there():
    far = [[0.0, 0.3], [1.0, 0.3], [1.0, 0.5], [0.0, 0.5]]
    assert (
        judge(parking(("no_parking", far, {})), scenes([Actor("truck", standing((200, 60, 330, 260)))], 30))
        == []
    )


def test_overlapping_zones_make_one_case_and_the_gravest_names_it():
    zones = [("no_parking", LANE, {}), ("footway", LANE, {}), ("fire_lane", LANE, {})]
    (case,) = confirmed(judge(parking(*zones), scenes([Actor("car", standing(CAR))], 60)))
    assert (case.zone_id, case.variant) == ("fire_lane-2", "fire_lane")


def test_of_two_zones_of_one_kind_the_one_with_more_of_it_counts():
    left = [[0.0, 0.4], [0.39, 0.4], [0.39, 1.0], [0.0, 1.0]]
    (case,) = confirmed(
        judge(
            parking(("no_parking", left, {}), ("no_parking", LANE, {})),
            scenes([Actor("car", standing(CAR))], 60),
        )
    )
    assert case.zone_id == "no_parking-1"


def test_where_the_gravest_zone_is_not_enforced_the_next_one_counts():
    zones = [("fire_lane", LANE, {"schedule": "22:00-23:00"}), ("no_parking", LANE, {})]
    (case,) = confirmed(judge(parking(*zones), scenes([Actor("car", standing(CAR))], 60)))
    assert case.zone_id == "no_parking-1"


def test_a_schedule_that_ends_pauses_the_dwell_and_keeps_what_is_known():
    start = START.replace(minute=59, second=50)  # 10:59:50 in Shanghai
    zone = ("no_parking", LANE, {"schedule": "10:00-11:00; 11:01-12:00"})
    events = judge(parking(zone), scenes([Actor("car", standing(CAR))], 120, start=start))
    (case,) = confirmed(events)
    assert (case.observed_at - start).total_seconds() == pytest.approx(80, abs=1)
    assert ended(events) == []


def test_what_had_left_when_the_file_ended_has_ended():
    rule = parking()
    judge(
        rule,
        scenes(
            [
                Actor("car", visit(CAR, (40, 0), arrive=0, leave=27)),
                Actor("bus", standing((400, 150, 500, 250))),
            ],
            30,
        ),
    )
    (end,) = rule.finish(START + timedelta(seconds=30))
    assert (end.phase, end.label) == (EventPhase.ENDED, "car")
    assert (end.ended_at - START).total_seconds() == pytest.approx(27, abs=1)


def test_flicker_between_car_and_truck_is_one_case():
    flicker = Actor(lambda second: "truck" if int(second * 5) % 4 == 0 else "car", standing(CAR))
    (case,) = confirmed(judge(parking(), scenes([flicker], 60)))
    assert case.label == "car"


def test_the_same_file_again_with_its_cases_remembered_tells_nothing_new():
    filmed = list(scenes([Actor("car", visit(CAR, AWAY, arrive=5, leave=100))], 60))
    first = judge(parking(), iter(filmed))
    again = parking()
    again.remember(confirmed(first))
    assert confirmed(judge(again, iter(filmed))) == []
    assert ended(judge(again, iter(filmed))) == []


def track(track_id, box, at, rest=None):
    return Track(track_id, "car", box, 0.8, START, at, 9, None if rest is None else box, rest)


def test_two_tracks_that_swap_their_ids_make_no_second_case():
    """A car drives past the parked one and takes its id along; the parked one goes on under the other's."""
    rule, events = parking(), []
    for index in range(400):
        second = index / 5
        at = START + timedelta(seconds=second)
        passing = (CAR[0] + 60 * (second - 40), 155.0, CAR[2] + 60 * (second - 40), 215.0)
        swapped = second > 40
        rest = (START + timedelta(seconds=40) if second > 42 else None) if swapped else START
        tracks = [track(2 if swapped else 1, CAR, at, rest)]
        if abs(second - 40) < 5:
            tracks.append(track(1 if swapped else 2, passing, at))
        events += rule.update(Scene("cam-1", index, at, WH, tuple(tracks)))
    assert [event.phase for event in events] == [EventPhase.PRE_ALARM, EventPhase.CONFIRMED]


@pytest.mark.parametrize(("told", "patience_s"), [(True, 6), (False, 16)])
def test_what_was_seen_to_move_off_is_not_waited_for(told, patience_s):
    """Who looks at few pictures cannot follow it; the source says that it drove off."""
    rule, events = parking(), []
    for index in range(60):
        second = 2.0 * index
        at = START + timedelta(seconds=second)
        there = second <= 40
        left = (CAR,) if told and second == 42 else ()
        tracks = (track(1, CAR, at, START),) if there else ()
        events += rule.update(Scene("cam-1", index, at, WH, tracks, left=left))
    end = ended(events)[0]
    assert (end.ended_at - START).total_seconds() == 40
    assert (end.observed_at - START).total_seconds() == 40 + patience_s


@pytest.mark.parametrize("seed", range(3))
def test_a_busy_street(seed):
    """Five parked cars, traffic in front of and behind them, every sixth box missed: five cases, each once."""
    random = np.random.default_rng(seed)
    parked = [(40.0 + 120 * n, 170.0, 110.0 + 120 * n, 214.0) for n in range(5)]
    lanes = [
        (
            float(random.choice([120, 200, 235])),
            float(random.uniform(50, 220)),
            float(random.uniform(0, 110)),
            bool(n % 2),
        )
        for n in range(30)
    ]

    def drives(top, speed, since, left):
        size = 70 + (top - 120) * 0.3
        start = (
            (-size, top, 0.0, top + 0.65 * size) if not left else (640.0, top, 640 + size, top + 0.65 * size)
        )
        return moving(start, (-speed if left else speed, 0), since)

    traffic = [drives(*lane) for lane in lanes]

    def stands(box):
        def seen(second):
            nearer = [other for motion in traffic if (other := motion(second)) and other[3] > box[3]]
            hidden = any(covered_share(box, other) > 0.6 for other in nearer)
            return (
                None
                if hidden or random.random() < 1 / 6
                else tuple((np.array(box) + random.normal(0, 0.7, 4)).tolist())
            )

        return seen

    def missed(motion):
        return lambda second: None if random.random() < 1 / 6 else motion(second)

    actors = [Actor("car", stands(box)) for box in parked] + [
        Actor("car", missed(motion)) for motion in traffic
    ]
    events = judge(
        parking(("no_parking", [[0, 0.2], [1, 0.2], [1, 1], [0, 1]], {}), dwell_s=15), scenes(actors, 80)
    )
    cases = confirmed(events)
    assert sorted(round(event.xyxy[0], -1) for event in cases) == [40, 160, 280, 400, 520]
    assert ended(events) == []
