"""What benchmarks make of what they were told: ages, holding cameras, delays, tables."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks import (
    cameras_per_core,
    event_sets,
    floor,
    gates,
    machine,
    rtsp_figures,
    rtsp_load_server,
    scaling,
)
from benchmarks.cameras_per_core import Row
from benchmarks.event_sets import Found
from benchmarks.rtsp_figures import Due, ages, analysed_fps, delays, dues, grown, held

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
ZERO = START.timestamp()


@pytest.mark.parametrize(
    "module",
    [event_sets, floor, gates, machine, rtsp_figures, rtsp_load_server, scaling],
    ids=lambda m: m.__name__,
)
def test_doctests(module):
    assert doctest.testmod(module).failed == 0


def look(at_s, *, analysed, age=0.1, state="running", dropped=None, name="a"):
    return {
        name: {
            "analysed": analysed,
            "frames_in": int(25 * at_s),
            "queue_age_s": age,
            "state": state,
            "dropped": dropped or {},
            "last_frame_at": (START + timedelta(seconds=at_s)).isoformat(),
        }
    }


def looks_of(seconds=60, **changes):
    return [look(t, analysed=5 * t, **changes) for t in range(1, seconds + 1)]


def test_an_age_counts_once_however_often_it_is_told():
    told = [look(t, analysed=n, age=n / 10) for t, n in ((1, 1), (2, 1), (3, 2), (4, 2), (5, 4))]
    assert ages(told, "a") == [0.2, 0.4]


def test_a_camera_holds_when_all_came_and_nothing_was_late():
    row = held(looks_of(), "a", 59)
    assert row.holds
    assert row.counts["analysed"] == 295
    assert row.age_p95_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    "told",
    [
        looks_of(age=1.2),
        [*looks_of(59), look(60, analysed=300, state="reconnecting")],
        [*looks_of(59), look(60, analysed=300, dropped={"late": 30})],
        [
            look(t, analysed=5 * t) | {"a": {**look(t, analysed=5 * t)["a"], "frames_in": 10 * t}}
            for t in (1, 60)
        ],
        [],
    ],
    ids=["old", "reconnected", "late", "few frames", "never seen"],
)
def test_a_camera_does_not_hold(told):
    assert not held(told, "a", 59).holds


def test_what_did_not_change_is_not_lost():
    told = [*looks_of(59), look(60, analysed=300, dropped={"still": 200, "late": 1})]
    assert held(told, "a", 59).holds


def test_a_counter_that_began_anew_did_not_shrink():
    first, last = look(10, analysed=50)["a"], look(2, analysed=3)["a"]
    assert grown(first, last) == {"frames_in": 0, "analysed": 0}


def test_the_rate_goes_by_the_frames_times():
    assert analysed_fps(looks_of(), "a") == pytest.approx(5.0)
    assert analysed_fps([], "a") == 0.0
    assert analysed_fps([look(3, analysed=1)], "a") == 0.0


EVENT = {"kind": "illegal_parking", "zone_id": "road", "from_s": 7.0}


def test_events_come_again_with_every_round_of_the_clip():
    found = dues("a", [EVENT], ZERO, (ZERO + 10, ZERO + 140), 60.0, 5.0)
    assert [due.started - ZERO for due in found] == [67.0, 127.0]
    assert [due.dwell_over - due.started for due in found] == [5.0, 5.0]


def test_an_event_whose_dwell_ends_after_the_window_is_not_due():
    assert dues("a", [EVENT], ZERO, (ZERO, ZERO + 11.9), 60.0, 5.0) == []


def case(number, started_s, camera="a"):
    return {
        "case_id": str(number),
        "source_id": camera,
        "kind": "illegal_parking",
        "zone_id": "road",
        "started_at": (START + timedelta(seconds=started_s)).isoformat(),
    }


def test_delays_missing_and_double_cases():
    due = [Due("a", "illegal_parking", "road", ZERO + s, ZERO + s + 5) for s in (7.0, 67.0)]
    due.append(Due("b", "illegal_parking", "road", ZERO + 7, ZERO + 12))
    cases = [case(1, 7.2), case(2, 67.1), case(3, 66.9)]
    seen = {"1": ZERO + 13.0, "2": ZERO + 72.5, "3": ZERO + 74.0}
    found, missing, twice = delays(due, cases, seen)
    assert found == pytest.approx([1.0, 0.5])
    assert [event.camera for event in missing] == ["b"]
    assert twice == ["3"]


def rows_of(costs, start_s=7.0):
    event = Found("illegal_parking", "road", start_s, (0.0, 0.0, 9.0, 9.0))
    return [Row(name, "typical", values, [event]) for name, values in costs.items()]


def test_the_table_says_what_is_wanted_what_was_measured_and_whether_events_agree():
    rows = rows_of({"yolo track": [1.0, 1.4, 1.2], "kerbwatch": [0.03], "kerbwatch, no evidence": [0.02]})
    rows[0].events = [Found("illegal_parking", "road", 9.0, (0.0, 0.0, 9.0, 9.0))]
    table = [cameras_per_core.as_json(row, rows, rows[1].events) for row in rows]
    assert (table[0]["cost"], table[0]["cost_low"], table[0]["cost_high"]) == (1.2, 1.0, 1.4)
    assert table[0]["times_ours"] == 40.0
    assert cameras_per_core.ratios(table) == [
        {
            "clip": "typical",
            "against": "yolo track",
            "wanted": 35.0,
            "measured": 40.0,
            "met": True,
            "without_evidence": 60.0,
            "met_without_evidence": True,
            "events_equal": False,
        }
    ]


def test_the_path_of_an_interpreter_does_not_get_into_the_results(monkeypatch):
    monkeypatch.setattr("sys.argv", ["x.py", "--ultralytics-python", "/home/x/python", "--runs", "3"])
    command = machine.result("floor", [], 1, "-")["command"]
    assert command == "python benchmarks/floor.py --ultralytics-python PATH --runs 3"


def test_the_machine_is_described_and_a_busy_one_is_said_to_be(monkeypatch):
    monkeypatch.setattr(machine, "busy_share", lambda: 0.9)
    seen = machine.describe()
    assert {"processor", "cores", "memory_gb", "kernel", "python", "versions"} <= set(seen)
    assert "not idle" in seen["warning"]
    assert machine.idle_warning(0.02, 0.1, 2) == ""


def test_a_result_has_date_command_and_interval(tmp_path):
    document = machine.result("floor", [1], 3, "least and most", machine={})
    assert document["at"].endswith("+00:00")
    assert document["command"].startswith("python benchmarks/floor.py")
    machine.save(document, tmp_path / "a" / "floor.json")
    assert (tmp_path / "a" / "floor.json").read_text().startswith('{\n "benchmark": "floor"')
