"""`make demo` as a new user runs it: the shipped model on the shipped clip, the same cases on every run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.e2e import support

TRUTH = json.loads((support.ROOT / "datasets" / "demo" / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def two_runs(kerbwatch, tmp_path_factory):
    folders = [tmp_path_factory.mktemp("demo") for _ in range(2)]
    return [(folder, kerbwatch("demo", "--once", "--json", "--data", folder)) for folder in folders]


@pytest.mark.timeout(400)
def test_the_demo_finds_what_the_scene_holds_and_nothing_else(two_runs):
    _, done = two_runs[0]
    assert done.code == 0, done.err
    expected = {(event["kind"], event["zone_id"]) for event in TRUTH["events"]}
    found = [(case["kind"], case["zone_id"]) for case in done.cases]
    assert len(found) == len(set(found))
    assert set(found) <= expected
    kinds = {kind for kind, _ in found}
    assert "illegal_parking" in kinds
    assert "street_vending" in kinds
    assert kinds & {"bin_overflow", "exposed_garbage"}


def test_two_runs_give_the_same_cases(two_runs):
    first, second = (done.cases for _, done in two_runs)
    changing = {"received_at", "updated_at", "evidence", "reviews", "dispatch"}
    assert [without(case, changing) for case in first] == [without(case, changing) for case in second]
    assert [hashes(case) for case in first] == [hashes(case) for case in second]


def without(case, keys):
    return {key: value for key, value in case.items() if key not in keys}


def hashes(case):
    return [(piece["role"], piece["sha256"]) for piece in case["evidence"]]


def test_evidence_is_on_disk_and_the_sandbox_has_what_was_confirmed(two_runs):
    folder, done = two_runs[0]
    for case in done.cases:
        assert {piece["role"] for piece in case["evidence"]} == {"near", "far", "before", "clip"}
        for piece in case["evidence"]:
            data = Path(piece["path"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == piece["sha256"]
    received = (folder / "sandbox" / "received.jsonl").read_text(encoding="utf-8")
    confirmed = [case for case in done.cases if case["status"] == "confirmed"]
    assert confirmed
    assert all(case["case_id"] in received for case in confirmed)
    assert list((folder / "outbox" / "evidence").glob("*/*.jpg")) == []


def test_places_are_within_their_error_radius(two_runs):
    _, done = two_runs[0]
    metres_per_degree = 111_320.0
    for case in done.cases:
        truth = next(event for event in TRUTH["events"] if event["kind"] == case["kind"])
        north = (case["location"]["lat"] - truth["lat"]) * metres_per_degree
        east = (case["location"]["lon"] - truth["lon"]) * metres_per_degree * 0.85
        # the box's lower edge stands for the thing: half a car's length is not an error of the homography
        assert (north**2 + east**2) ** 0.5 <= case["location"]["error_m"] + 3.0
