"""Sets of events: compared, taken from truth, and made by our rules of somebody else's tracks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.clips import HD, site_text
from benchmarks.event_sets import Found, compare, of_tracks, of_truth
from ingest.config import load_site

CAR = Found("illegal_parking", "road", 7.0, (100.0, 100.0, 200.0, 200.0))


def moved(found, **changes):
    return replace(found, **changes)


def test_equal_sets_are_equal_in_any_order_and_the_largest_difference_is_told():
    other = moved(CAR, start_s=20.0)
    result = compare([CAR, other], [moved(other, start_s=20.3), moved(CAR, start_s=6.9)])
    assert result.equal
    assert result.off_s == pytest.approx(0.3)
    assert result.as_json()["matched"] == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"start_s": 7.51},
        {"start_s": 6.49},
        {"kind": "street_vending"},
        {"zone_id": "bays"},
        {"xyxy": (600.0, 600.0, 700.0, 700.0)},
    ],
)
def test_another_time_kind_zone_or_place_is_another_event(changes):
    result = compare([CAR], [moved(CAR, **changes)])
    assert (len(result.missing), len(result.extra)) == (1, 1)
    assert not result.equal


def test_ends_are_told_beside():
    ended, longer = moved(CAR, end_s=20.0), moved(CAR, end_s=20.6)
    assert compare([ended], [longer]).as_json()["end_off_max_s"] == pytest.approx(0.6)
    for one, other, counts in ((ended, CAR, (1, 0)), (CAR, ended, (0, 1)), (CAR, CAR, (0, 0))):
        result = compare([one], [other])
        assert result.equal
        assert (result.ends_missing, result.ends_extra) == counts
        assert result.ends_off_s is None


def test_one_event_answers_for_one_only():
    result = compare([CAR], [CAR, moved(CAR, start_s=7.2)])
    assert len(result.extra) == 1
    assert result.extra[0].start_s == 7.2


def test_an_event_goes_through_json():
    assert Found.from_json({**CAR.as_json(), "xyxy": list(CAR.xyxy)}) == CAR


def test_truth_gives_no_end_to_what_stands_to_the_end():
    event = {"kind": "illegal_parking", "zone_id": "road", "xyxy": [1, 2, 3, 4], "from_s": 7}
    truth = {"seconds": 60.0, "events": [{**event, "to_s": 60.0}, {**event, "to_s": 15.0}]}
    assert [found.end_s for found in of_truth(truth)] == [None, 15.0]


@pytest.fixture
def site(stage, tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(site_text(stage))
    return load_site(path)


def rows(until_s, leaves_s=None, number=7):
    """A car that drives into the zone, stands from 2 s on, and is out of sight from `leaves_s` on."""
    for index in range(int(until_s * 5)):
        at_s = index / 5
        left = 900.0 + 60.0 * max(0.0, 2.0 - at_s)
        gone = leaves_s is not None and at_s >= leaves_s
        yield {"at_s": at_s, "boxes": [] if gone else [[number, "car", 0.9, left, 600.0, left + 300, 760.0]]}


def test_somebody_elses_tracks_make_the_events_that_ours_would(site):
    found = of_tracks(rows(12), site, site.cameras[0], {"car": 0.3}, HD, HD)
    assert [(one.kind, one.zone_id) for one in found] == [("illegal_parking", "road")]
    assert found[0].start_s == pytest.approx(2.0, abs=0.5)
    assert found[0].confirmed_s == pytest.approx(found[0].start_s + 5, abs=0.41)


def test_tracks_of_a_smaller_picture_are_scaled(site):
    small = [
        {"at_s": row["at_s"], "boxes": [[*box[:3], *(side / 3 for side in box[3:])] for box in row["boxes"]]}
        for row in rows(12)
    ]
    one, other = (
        of_tracks(boxes, site, site.cameras[0], {"car": 0.3}, size, HD)
        for boxes, size in ((rows(12), HD), (small, (640, 360)))
    )
    assert compare(one, other, 0.01).equal


def test_a_stand_shorter_than_the_dwell_and_a_class_that_is_not_ours_are_no_events(site):
    short = of_tracks(rows(20, leaves_s=5.0), site, site.cameras[0], {"car": 0.3}, HD, HD)
    other = of_tracks(rows(12), site, site.cameras[0], {"person": 0.3}, HD, HD)
    assert short == other == []
