"""Events of a clip against its cases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import Failure, WrongUse
from training.evaluation.events import (
    ClipTruth,
    Expected,
    Raised,
    place_at,
    read_cases,
    read_truth,
    score_clip,
    total,
)

ROOT = Path(__file__).resolve().parents[3]
START = datetime(2026, 6, 1, tzinfo=UTC)
HERE, THERE = (10.0, 10.0, 50.0, 50.0), (200.0, 10.0, 260.0, 90.0)


def event(kind="illegal_parking", zone="", box=HERE, from_s=5.0, to_s=30.0):
    return Expected(frozenset(kind.split()), zone, ((0.0, box),), from_s, to_s)


def truth(*events, ignored=()):
    return ClipTruth("a.mp4", "a.site.toml", (640, 360), 40.0, events, tuple(ignored))


def case(kind="illegal_parking", zone="kerb", box=HERE, at_s=20.0):
    return Raised(kind, zone, box, at_s)


def test_a_case_at_the_right_place_and_time_is_a_hit_with_its_delay():
    score = score_clip(truth(event()), [case()])
    assert score.as_json() == {
        "events": 1, "hits": 1, "false_alarms": 0, "ignored": 0,
        "precision": 1.0, "precision_low": 0.2065, "precision_high": 1.0,
        "recall": 1.0, "recall_low": 0.2065, "recall_high": 1.0,
        "seconds_to_alarm_median": 15.0, "seconds_to_alarm_max": 15.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        case(kind="street_vending"),
        case(box=THERE),
        case(at_s=1.0),
        case(at_s=35.0),
        case(zone="bus-lane"),
    ],
)
def test_wrong_kind_place_time_or_zone_is_a_false_alarm_and_a_miss(wrong):
    score = score_clip(truth(event(zone="kerb")), [wrong])
    assert (len(score.delays_s), len(score.missed), len(score.false_alarms)) == (0, 1, 1)


def test_another_kind_may_be_right_as_well():
    assert score_clip(truth(event("bin_overflow exposed_garbage")), [case("exposed_garbage")]).delays_s


def test_a_second_case_of_one_event_is_a_false_alarm_and_the_earliest_counts():
    score = score_clip(truth(event()), [case(at_s=25.0), case(at_s=12.0)])
    assert score.delays_s == (7.0,)
    assert [one.at_s for one in score.false_alarms] == [25.0]


def test_of_two_events_the_one_overlapped_best_is_hit():
    beside = event(box=(40.0, 10.0, 80.0, 50.0))
    score = score_clip(truth(beside, event()), [case(at_s=10.0)])
    assert score.missed == (beside,)


def test_a_case_where_nobody_can_say_is_neither():
    score = score_clip(truth(ignored=[event("*")]), [case(), case(box=THERE)])
    assert (score.ignored, len(score.false_alarms)) == (1, 1)
    assert score.as_json()["recall"] is None


def test_a_moving_place_is_found_where_it_is_then():
    moving = ((0.0, (0.0, 0.0, 20.0, 20.0)), (10.0, (100.0, 0.0, 120.0, 20.0)))
    wanted = Expected(frozenset({"road_litter"}), "", moving, 0.0, 10.0)
    at_end = case("road_litter", box=(98.0, 0.0, 122.0, 22.0), at_s=9.9)
    assert score_clip(truth(wanted), [at_end]).delays_s
    early = case("road_litter", box=(98.0, 0.0, 122.0, 22.0), at_s=2.0)
    assert not score_clip(truth(wanted), [early]).delays_s


@given(st.floats(-5, 20))
def test_a_place_stays_between_those_given(at_s):
    left, *_ = place_at(((0.0, (0.0, 0.0, 1.0, 1.0)), (10.0, (50.0, 0.0, 51.0, 1.0))), at_s)
    assert 0 <= left <= 50


boxes = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    st.floats(0, 300), st.floats(0, 300), st.floats(1, 90), st.floats(1, 90),
)  # fmt: skip
times = st.floats(0, 40)


@given(
    st.lists(st.builds(lambda b, t: event(box=b, from_s=t, to_s=t + 10), boxes, times), max_size=4),
    st.lists(st.builds(lambda b, t: case(box=b, at_s=t), boxes, times), max_size=6),
    boxes,
)
def test_every_case_and_event_is_counted_once_and_ignoring_adds_no_false_alarm(events, cases, region):
    score = score_clip(truth(*events), cases)
    assert len(score.delays_s) + len(score.missed) == len(events)
    assert len(score.delays_s) + len(score.false_alarms) == len(cases)
    easier = score_clip(truth(*events, ignored=[event("*", box=region, from_s=0, to_s=50)]), cases)
    assert easier.delays_s == score.delays_s
    assert len(easier.false_alarms) + easier.ignored == len(score.false_alarms)


def test_the_total_adds_up():
    one = score_clip(truth(event()), [case(at_s=6.0)])
    other = score_clip(truth(event(), event(box=THERE)), [case(at_s=26.0), case(at_s=27.0)])
    row = total([one, other])
    assert (row["events"], row["hits"], row["false_alarms"]) == (3, 2, 1)
    assert (row["seconds_to_alarm_median"], row["seconds_to_alarm_max"]) == (11.0, 21.0)


TOML = """
clip = "a.mp4"
seconds = 40.0
size = [640, 360]
[[event]]
kind = "bin_overflow"
also = ["exposed_garbage"]
zone_id = "kerb"
xyxy = [10, 10, 50, 50]
from_s = 0.0
to_s = 40.0
[[ignore]]
kind = "*"
polygon = [[0, 0], [90, 5], [40, 60]]
from_s = 0.0
to_s = 40.0
"""


def test_the_format_is_read(tmp_path):
    (tmp_path / "a.toml").write_text(TOML)
    read = read_truth(tmp_path / "a.toml")
    assert (read.site, read.size_px, read.seconds) == ("a.site.toml", (640, 360), 40.0)
    assert read.events == (event("bin_overflow exposed_garbage", "kerb", HERE, 0.0, 40.0),)
    assert read.ignored == (event("*", "", (0.0, 0.0, 90.0, 60.0), 0.0, 40.0),)


def test_the_renderers_truth_is_the_same_format():
    read = read_truth(ROOT / "datasets" / "demo" / "truth.json")
    assert len(read.events) == 3
    assert (ROOT / "datasets" / "demo" / read.clip).is_file()
    assert (ROOT / "datasets" / "demo" / read.site).is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "datasets" / "clips").glob("*.toml")), ids=lambda p: p.stem)
def test_the_truth_of_every_clip_can_be_read(path):
    if not path.name.endswith(".site.toml"):
        read = read_truth(path)
        assert all(one.to_s <= read.seconds + 0.5 for one in read.events)
        assert (path.parent / read.site).is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("xyxy = [10, 10, 50, 50]", "xyxy = [50, 10, 10, 50]"), "left < right"),
        (("xyxy = [10, 10, 50, 50]", ""), "wanted one of xyxy, polygon and track"),
        (("from_s = 0.0", "from_s = 41.0"), "0 <= from_s < to_s"),
        (("size = [640, 360]", ""), "key 'size' is missing"),
        (("xyxy = [10, 10, 50, 50]", 'xyxy = [10, 10, 50, "x"]'), "could not convert"),
        (("xyxy = [10, 10, 50, 50]", "track = []"), "at_s grow"),
        (("[[event]]", "[[event]"), "not valid TOML"),
    ],
)
def test_a_faulty_truth_is_one_sentence(tmp_path, change, said):
    (tmp_path / "a.toml").write_text(TOML.replace(*change, 1))
    with pytest.raises(WrongUse, match=said):
        read_truth(tmp_path / "a.toml")


def test_cases_are_read_from_what_run_prints():
    line = json.dumps(
        {
            "kind": "road_litter",
            "zone_id": "kerb",
            "box": {"x0": 0.1, "y0": 0.25, "x1": 0.5, "y1": 0.5},
            "observed_at": (START + timedelta(seconds=9.5)).isoformat(),
        }
    )
    assert read_cases([line, "", " "], START, (640, 360)) == [
        Raised("road_litter", "kerb", (64.0, 90.0, 320.0, 180.0), 9.5)
    ]
    for bad in ("no cases", "{}", "[]"):
        with pytest.raises(Failure, match="wanted the JSON of a case"):
            read_cases([bad], START, (640, 360))
