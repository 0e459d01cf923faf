"""What benchmarks make of what they were told: ages, holding cameras, delays, tables."""

from __future__ import annotations

import argparse
import doctest
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks import (
    cameras_per_core,
    event_sets,
    floor,
    gates,
    machine,
    rtsp_faults,
    rtsp_figures,
    rtsp_load_server,
    rtsp_rated_load,
    rtsp_waiting,
    scaling,
)
from benchmarks.cameras_per_core import Row
from benchmarks.event_sets import Found
from benchmarks.rtsp_figures import (
    Due,
    Held,
    ages,
    all_hold,
    analysed_fps,
    delays,
    dues,
    grown,
    held,
    keep_up,
    largest,
    let_in,
    summed,
    watched,
)
from benchmarks.serving import Look
from detector.errors import Failure

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
ZERO = START.timestamp()


@pytest.mark.parametrize(
    "module",
    [event_sets, floor, gates, machine, rtsp_faults, rtsp_figures, rtsp_load_server, scaling],
    ids=lambda m: m.__name__,
)
def test_doctests(module):
    assert doctest.testmod(module).failed == 0


def look(at_s, *, analysed, age="0.1", state="running", dropped=None, name="a"):
    return {
        name: {
            "analysed": analysed,
            "frames_in": int(25 * at_s),
            "ages": {age: analysed},
            "lags": {age: analysed},
            "state": state,
            "dropped": dropped or {},
            "last_frame_at": (START + timedelta(seconds=at_s)).isoformat(),
        }
    }


def looks_of(seconds=60, **changes):
    return [look(t, analysed=5 * t, **changes) for t in range(1, seconds + 1)]


def test_ages_are_those_of_the_frames_between_two_looks():
    first, last = {"ages": {"0.1": 5, "1": 2}}, {"ages": {"0.1": 9, "1": 2, "inf": 1}}
    assert ages(first, last) == {"0.1": 4, "inf": 1}
    assert summed([{"0.1": 4}, {"0.1": 1, "inf": 1}]) == {"0.1": 5, "inf": 1}


def test_a_camera_holds_when_all_came_and_nothing_was_late():
    row = held(looks_of(), "a", 59)
    assert row.holds
    assert row.counts["analysed"] == 295
    assert row.age_p95_s <= 0.1


@pytest.mark.parametrize(
    "told",
    [
        [*looks_of(59), look(60, analysed=300, state="reconnecting")],
        [*looks_of(59), look(60, analysed=300, dropped={"late": 30})],
        [
            look(t, analysed=5 * t) | {"a": {**look(t, analysed=5 * t)["a"], "frames_in": 10 * t}}
            for t in (1, 60)
        ],
        [*looks_of(59), {}],
        [],
    ],
    ids=["reconnected", "late", "few frames", "gone meanwhile", "never seen"],
)
def test_a_camera_does_not_hold(told):
    assert not held(told, "a", 59).holds


@pytest.mark.parametrize(("old", "holds"), [(4, True), (6, False)])
def test_a_rate_holds_while_95_percent_are_in_time(old, holds):
    told, good = {"0.5": 100 - old, "2": old}, {"0.5": 100}
    rows = [Held(str(n), True, told, good, 0.0, {}, ("running",)) for n in range(3)]
    assert all_hold(rows) == holds
    assert keep_up(rows)
    assert keep_up([replace(row, ages=good, lags=told) for row in rows]) == holds
    lost = Held("lost", False, good, good, 0.2, {}, ("running",))
    assert not all_hold([*rows, lost])
    assert not keep_up([*rows, lost])


def test_a_rate_without_analysed_frames_does_not_hold():
    assert not all_hold([Held("a", True, {}, {}, 0.0, {}, ("running",))])


@pytest.mark.parametrize("answer", range(20))
def test_the_largest_is_found_to_a_step(answer):
    assert answer - 1 <= largest(lambda n: n <= answer, first=4, most=15, step=1) <= answer or answer > 15
    found = largest(lambda n: n <= answer, first=4, most=64, step=2)
    assert found <= answer < found + 2


def test_a_search_stops_at_the_most():
    assert largest(lambda _: True, first=8, most=20, step=2) == 20


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


EVENT = {
    "kind": "illegal_parking",
    "zone_id": "road",
    "from_s": 7.0,
    "to_s": 20.0,
    "xyxy": [0, 0, 10, 10],
}


def test_events_come_again_with_every_round_of_the_clip():
    found = dues("a", [EVENT], ZERO, (ZERO + 10, ZERO + 140), 60.0, 5.0)
    assert [due.started - ZERO for due in found] == [67.0, 127.0]
    assert [due.dwell_over - due.started for due in found] == [5.0, 5.0]


@pytest.mark.parametrize(("place", "new"), [([5, 5, 15, 15], False), ([20, 0, 30, 10], True)])
def test_what_stands_where_something_stood_a_round_before_is_no_new_event(place, new):
    stays = {**EVENT, "from_s": 50.0, "to_s": 60.0, "xyxy": place}
    found = dues("a", [EVENT, stays], ZERO, (ZERO + 60, ZERO + 100), 60.0, 5.0)
    assert [due.started - ZERO for due in found] == [67.0] * new


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


def test_what_may_be_taken_at_most_is_said():
    rows = rows_of(
        {"kerbwatch": [0.08], "kerbwatch, no evidence": [0.05], "kerbwatch, substream": [0.03, 0.04]}
    )
    table = [cameras_per_core.as_json(row, rows, []) for row in rows]
    found = {
        row["pipeline"]: (row["most"], row["measured"], row["met"]) for row in cameras_per_core.bounds(table)
    }
    assert found == {
        "kerbwatch, no evidence": (0.053, 0.05, True),
        "kerbwatch, substream": (0.02, 0.035, False),
    }


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


def test_who_is_let_in_is_counted_and_a_mean_of_those_watched_is_what_costs_are_shared_by():
    def row(state, fault=""):
        return {"state": state, "fault": fault}

    early = {
        "a": row("running"),
        "b": row("starting"),
        "c": row("refused", "no room: it would take 0.08 cores"),
    }
    late = {
        "a": row("degraded"),
        "b": row("running"),
        "c": row("refused", "no room: it would take 0.08 cores"),
    }
    assert not let_in(early, "abc").decided
    assert let_in(late, "abc").decided
    assert let_in(late, "abc").running == ("a", "b")
    assert let_in(late, "abc").refused == {"c": "no room: it would take 0.08 cores"}
    assert watched([early, late]) == 1.5
    assert watched([]) == 0.0


class Told:
    """A watch whose looks are those of a story, each for a while."""

    def __init__(self, *story):
        self.story = list(story)
        self.cases = {}

    @property
    def looks(self):
        cameras = self.story.pop(0) if len(self.story) > 1 else self.story[0]
        return [Look(0.0, {name: {"state": state, "fault": "no room"} for name, state in cameras.items()})]


def test_the_count_waits_for_what_admission_sticks_to(monkeypatch):
    monkeypatch.setattr(rtsp_waiting, "DECIDED_S", 0.5)
    story = Told({"a": "running", "b": "running"}, {"a": "running", "b": "refused"})
    seconds, found = rtsp_waiting.wait_decided(story, "ab", connect_s=30)
    assert 0.5 <= seconds < 20
    assert (found.running, list(found.refused)) == (("a",), ["b"])


def test_where_nothing_runs_the_sentence_says_why():
    with pytest.raises(Failure, match=r"no camera runs after 0 s: \['no room'"):
        rtsp_waiting.wait_decided(Told({"a": "refused"}), "a", connect_s=0.3)


def test_a_run_in_which_not_all_were_let_in_says_so_first(capsys):
    found = let_in(
        {"a": {"state": "running", "fault": ""}, "b": {"state": "refused", "fault": "no room."}}, "ab"
    )
    said = rtsp_rated_load.not_let_in(2, found, 50.0)
    assert (said["holds"], said["keeps_up"], said["let_in"]) == (False, False, 1)
    rtsp_rated_load.show_rated(
        {
            **said,
            "substream": False,
            "seconds": 60.0,
            "holding": 1,
            "watched": 1.0,
            "lost": 0.0,
            "lag_s": [0.1, 0.2, 0.3],
            "age_s": [0.1, 0.2, 0.3],
            "ages": {"0.3": 9},
            "share_in_time": 1.0,
            "event_to_case_s": [1.0, 2.0, 2.5],
            "events_due": 3,
            "events_missing_n": 0,
            "cases_twice": 0,
            "cores_used": {"workers": 0.1},
            "cores": 2,
            "serve_per_camera": 0.1,
            "workers": [],
            "states": {},
            "counts": {},
        }
    )
    searched, first, *more = capsys.readouterr().out.splitlines()
    assert searched == (
        "2 cameras do not hold, of which ONLY 1 WERE LET IN, 1 refused: no room; decided after 50 s"
    )
    assert first.startswith("2 cameras for 60 s, of which ONLY 1 WERE LET IN, 1 refused: no room: 1 hold")
    assert [line.endswith("NOT MET") for line in more[:2]] == [True, True]
    assert "serve 0.1000 for each of 1 cameras watched" in more[2]


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", ""])
def test_no_number_of_cameras_is_refused_before_anything_runs(text):
    with pytest.raises(argparse.ArgumentTypeError, match="wanted a whole number from 1 on"):
        machine.how_many(text)


def test_a_camera_that_waits_for_a_worker_is_not_named_faulty():
    def seen(at_s, state, fault):
        return Look(at_s, {"a": {"state": state, "fault": fault}})

    looks = [
        seen(1.0, "starting", "waits for a worker"),
        seen(2.0, "running", "sends 52 frames a second"),
        seen(3.0, "silent", "no picture"),
    ]
    first_fault = rtsp_faults.first_fault
    assert first_fault(looks, "a", 0.0)["named_s"] == 2.0
    assert first_fault(looks[:1], "a", 0.0)["named_s"] is None
    assert first_fault(looks, "a", 2.5) == {"named_s": 0.5, "state": "silent", "fault": "no picture"}
    assert first_fault(looks, "b", 0.0)["named_s"] is None
