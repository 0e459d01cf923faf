"""Vending, waste, bins and wires: what each takes for an offence and what not."""

from __future__ import annotations

import pytest

from ingest.rules import build_rules
from ingest.rules.scripted import START, Actor, judge, moving, scenes, standing
from ingest.site import Site
from ingest.types import EventKind, EventPhase

FLOOR = [[0.0, 0.4], [1.0, 0.4], [1.0, 1.0], [0.0, 1.0]]
WALL = [[0.0, 0.0], [1.0, 0.0], [1.0, 0.4], [0.0, 0.4]]
BOX = (280.0, 180.0, 360.0, 240.0)


def cases(actors, *zones, seconds=60, dwell_s=20):
    """Give the confirmed events of all rules over a film, with the ids they began with."""
    tables = [
        {
            "id": f"{kind}-{index}",
            "kind": kind,
            "polygon": WALL if kind == "facade" else FLOOR,
            "dwell_s": dwell_s,
            **extra,
        }
        for index, (kind, extra) in enumerate(zones)
    ]
    camera = {"id": "cam-1", "lat": 31.8, "lon": 120.0, "zone": tables}
    site = Site.model_validate({"name": "s", "timezone": "Asia/Shanghai", "cameras": [camera]})
    filmed = list(scenes(actors, seconds))
    events = [event for rule in build_rules(site.cameras[0], site) for event in judge(rule, iter(filmed))]
    return [event for event in events if event.phase is EventPhase.CONFIRMED]


def kinds(events):
    return sorted((event.kind, event.variant) for event in events)


def zone(kind, **extra):
    return (kind, extra)


VENDOR = Actor("person", standing((365, 170, 385, 240)))


def test_a_stall_on_the_road_trades_on_the_road():
    assert kinds(cases([Actor("stall", standing(BOX))], zone("carriageway"))) == [
        ("street_vending", "occupying_road")
    ]
    assert kinds(cases([Actor("stall", standing(BOX))], zone("no_vending"))) == [("street_vending", "")]


def test_a_stall_in_front_of_its_shop_is_the_shops_overflow_only():
    assert kinds(cases([Actor("stall", standing(BOX))], zone("shopfront"), zone("footway"))) == [
        ("shop_overflow", "")
    ]


def test_public_ground_is_watched_for_stalls_only_if_the_site_says_so():
    stall = Actor("stall", standing(BOX))
    assert cases([stall], zone("public")) == []
    assert kinds(cases([stall], zone("public", events=["street_vending"]))) == [("street_vending", "")]


def test_a_tricycle_nobody_sells_from_is_no_stall():
    assert cases([Actor("tricycle", standing(BOX))], zone("no_vending")) == []


def test_a_tricycle_that_passes_with_its_rider_is_no_stall():
    ride = [
        Actor("tricycle", moving((-80, 180, 0, 240), (40, 0))),
        Actor("person", moving((-60, 160, -30, 240), (40, 0))),
    ]
    assert cases(ride, zone("no_vending"), dwell_s=3) == []


def test_a_tricycle_somebody_stands_by_is_one():
    assert kinds(cases([Actor("tricycle", standing(BOX)), VENDOR], zone("no_vending"))) == [
        ("street_vending", "")
    ]


def test_passers_by_do_not_make_a_parked_tricycle_a_stall():
    """Every twelve seconds somebody walks past; each is beside it for some seconds."""
    walkers = [Actor("person", moving((-20, 170, 0, 242), (45, 0), since=12 * n)) for n in range(10)]
    assert cases([Actor("tricycle", standing(BOX)), *walkers], zone("no_vending"), seconds=120) == []


def test_a_customer_in_front_and_a_vendor_who_steps_aside_change_nothing():
    vendor = Actor("person", lambda second: None if 10 <= second < 13 else (365, 170, 385, 240))
    assert len(cases([Actor("tricycle", standing(BOX)), vendor], zone("no_vending"))) == 1


def test_a_tricycle_under_its_stall_is_one_case():
    both = [Actor("stall", standing((270, 150, 380, 242))), Actor("tricycle", standing(BOX)), VENDOR]
    assert len(cases(both, zone("no_vending"))) == 1


@pytest.mark.parametrize(
    ("label", "kind", "expected"),
    [
        ("garbage", "public", "exposed_garbage"),
        ("garbage", "footway", "exposed_garbage"),
        ("litter", "public", "road_litter"),
        ("litter", "carriageway", "road_litter"),
        ("garbage", "carriageway", "road_litter"),
        ("litter", "green_belt", "green_belt_litter"),
        ("garbage", "green_belt", "green_belt_litter"),
        ("bin_overflow", "footway", "bin_overflow"),
    ],
)
def test_class_and_surface_name_it(label, kind, expected):
    assert kinds(cases([Actor(label, standing(BOX))], zone(kind))) == [(expected, "")]


def test_litter_on_the_footway_needs_the_sites_word():
    assert cases([Actor("litter", standing(BOX))], zone("footway")) == []


def test_a_bag_that_is_carried_past_is_no_case():
    walk = [
        Actor("person", moving((-30, 140, 0, 240), (30, 0))),
        Actor("litter", moving((-10, 185, 5, 210), (30, 0))),
    ]
    assert cases(walk, zone("public"), dwell_s=3) == []


def test_a_bag_in_the_hand_of_somebody_who_stands_and_waits_is_no_case():
    wait = [Actor("person", standing((300, 140, 340, 240))), Actor("litter", standing((305, 185, 325, 215)))]
    assert cases(wait, zone("public")) == []


def test_a_bag_put_down_at_somebodys_feet_is_one_once_he_has_gone():
    stays = [
        Actor("person", standing((300, 140, 340, 240), until=15)),
        Actor("garbage", standing((310, 215, 332, 241))),
    ]
    assert len(cases(stays, zone("public"))) == 1


def test_a_heap_that_flickers_between_garbage_and_litter_is_one_case():
    heap = Actor(lambda second: "litter" if int(second) % 7 < 3 else "garbage", standing(BOX))
    assert len(cases([heap], zone("public"), seconds=150)) == 1


def test_a_heap_leaning_on_an_overflowing_bin_belongs_to_the_bin():
    bins = Actor("bin_overflow", standing((240, 150, 285, 240)))
    heap = Actor("garbage", standing((287, 200, 340, 242)))
    assert kinds(cases([bins, heap], zone("public"))) == [("bin_overflow", "")]
    assert kinds(cases([Actor("bin", standing((240, 150, 285, 240))), heap], zone("public"))) == [
        ("exposed_garbage", "")
    ]
    far = Actor("garbage", standing((480, 200, 540, 242)))
    assert kinds(cases([bins, far], zone("public"))) == [("bin_overflow", ""), ("exposed_garbage", "")]
    assert kinds(cases([bins, heap], zone("public", events=["exposed_garbage"]))) == [("exposed_garbage", "")]


def test_a_bin_that_is_merely_full_is_no_case():
    assert cases([Actor("bin", standing(BOX))], zone("public")) == []


def test_a_bin_that_flickers_for_a_frame_now_and_then_is_no_case():
    flicker = Actor(lambda second: "bin_overflow" if round(second * 5) % 10 == 0 else "bin", standing(BOX))
    assert cases([flicker], zone("public"), seconds=120) == []


def test_a_bin_that_looks_full_now_and_then_overflows_all_the_same():
    flicker = Actor(lambda second: "bin" if round(second * 5) % 10 == 0 else "bin_overflow", standing(BOX))
    assert len(cases([flicker], zone("public"), seconds=120)) == 1


def test_the_dwell_of_a_bin_begins_when_it_overflows():
    fills = Actor(lambda second: "bin" if second < 60 else "bin_overflow", standing(BOX))
    (case,) = cases([fills], zone("public"), seconds=120)
    assert 59 <= (case.started_at - START).total_seconds() <= 70
    assert (case.observed_at - case.started_at).total_seconds() == pytest.approx(20, abs=2)


WIRE = Actor("flying_wire", standing((310, 40, 340, 250)))


def test_a_wire_from_a_facade_to_a_scooter_is_a_case():
    assert kinds(cases([WIRE, Actor("motorcycle", standing((300, 230, 360, 290)))], zone("facade"))) == [
        ("flying_wire", "")
    ]


@pytest.mark.parametrize(
    "others",
    [
        (),
        (Actor("motorcycle", standing((500, 230, 560, 290))),),
        (Actor("car", standing((300, 230, 360, 290))),),
        (Actor("motorcycle", moving((-60, 230, 0, 290), (30, 0))),),
    ],
    ids=["no scooter", "scooter elsewhere", "a car", "scooter passing"],
)
def test_a_wire_that_ends_at_no_scooter_at_rest_is_none(others):
    assert cases([WIRE, *others], zone("facade")) == []


def test_a_wire_that_comes_from_no_facade_is_none():
    low = Actor("flying_wire", standing((310, 180, 340, 250)))
    assert cases([low, Actor("motorcycle", standing((300, 230, 360, 290)))], zone("facade")) == []


def test_each_rule_is_built_once_and_only_where_it_is_called_for():
    camera = {"id": "c", "lat": 0, "lon": 0}
    tables = [
        {"id": str(n), "kind": kind, "polygon": FLOOR}
        for n, kind in enumerate(["public", "carriageway", "ignore"])
    ]
    site = Site.model_validate({"name": "s", "timezone": "UTC", "cameras": [{**camera, "zone": tables}]})
    built = build_rules(site.cameras[0], site)
    assert [type(rule).__name__ for rule in built] == ["Vending", "Waste", "BinOverflow"]
    assert EventKind.ROAD_LITTER in built[1].kinds
