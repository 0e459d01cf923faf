from __future__ import annotations

import doctest
import math
from collections.abc import Callable
from datetime import timedelta, timezone
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.desk import views
from api.types import Case, CaseStatus, Dispatch, Receipt, Review
from ingest.report import EventEnd, EvidenceRef

CHINA = timezone(timedelta(hours=8))
Make = Callable[..., Case]
Evidence = Callable[..., EvidenceRef]
latitudes = st.floats(-80, 80)


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(views).failed == 0


def test_row(case: Make, evidence: Evidence) -> None:
    row = views.row_of(case(1, evidence=(evidence("far"), evidence("near"))), "en", CHINA)
    assert row["kind"] == "Illegal parking"
    assert row["place"] == "kerb-east · cam-1"
    assert row["time"] == "11-23 09:18:21 +08:00"
    assert row["confidence"] == "87 %"
    assert (row["status"], row["statusName"]) == ("reported", "To review")
    assert row["thumb"] == f"../v1/evidence/{evidence('near').sha256}"


def test_pictures_begin_with_the_far_still(case: Make, evidence: Evidence) -> None:
    roles = ("clip", "before", "near", "far")
    shots = views.pictures_of(case(1, evidence=tuple(map(evidence, roles))), "zh")
    assert [shot.role for shot in shots] == ["far", "near", "before"]
    assert shots[0].label == "远景"
    assert shots[0].alt == "远景：违法停车，kerb-east"


def test_sealed_originals_are_never_shown(case: Make, evidence: Evidence) -> None:
    sealed = case(1, evidence=(evidence("far", sealed=True), evidence("clip", sealed=True)))
    assert views.pictures_of(sealed, "en") == ()
    assert views.clip_of(sealed) is None
    assert views.thumbnail_of(sealed) is None


def test_clip(case: Make, evidence: Evidence) -> None:
    assert views.clip_of(case(1)) is None
    clip = evidence("clip")
    assert views.clip_of(case(1, evidence=(clip,))) == f"../v1/evidence/{clip.sha256}"


def test_facts(case: Make) -> None:
    facts = dict(views.facts_of(case(1), "en", CHINA))
    assert facts == {
        "There for": "3 min 21 s",
        "Since": "2026-11-23 09:15:00 +08:00",
        "Last seen": "2026-11-23 09:18:21 +08:00",
        "Site": "Nandajie",
        "Zone, camera": "kerb-east · cam-1",
        "Code": "09009 · GB/T 47678.5-2026",
        "Position": "31.77910, 119.95100 ± 4 m",
        "Located by": "ground points · WGS84",
        "Confidence": "87 %",
        "Model": "street@1 · car",
        "Case": str(case(1).case_id)[:8],
    }


def test_facts_say_that_it_is_gone(case: Make) -> None:
    gone = case(1)
    end = EventEnd(report_id=gone.report.report_id, ended_at=gone.report.started_at + timedelta(hours=1))
    facts = dict(views.facts_of(gone.model_copy(update={"end": end}), "zh", CHINA))
    assert facts["消失时间"] == "2026-11-23 10:15:00 +08:00"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "Dispatch: waiting to be sent"),
        ({"attempts": 3}, "Dispatch: not accepted yet, 3 attempts, goes on"),
        (
            {"state": "dead", "attempts": 9, "last_error": "refused"},
            "Dispatch: given up after 9 attempts: refused",
        ),
        (
            {"state": "delivered", "receipt": Receipt(receipt_id="SZ7")},
            "Dispatch: received by the city platform, no. SZ7",
        ),
    ],
)
def test_decision_says_how_far_the_dispatch_is(case: Make, change: dict[str, object], line: str) -> None:
    bare = case(1)
    dispatch = Dispatch(
        dispatch_id=UUID(int=1),
        action="file",
        state="pending",
        attempts=0,
        idempotency_key=UUID(int=2),
        created_at=bare.received_at,
    )
    shown = bare.model_copy(update={"dispatch": dispatch.model_copy(update=change)})
    assert views.decision_of(shown, "en", CHINA) == line


def test_decision_names_who_and_why(case: Make) -> None:
    bare = case(1)
    assert views.decision_of(bare, "en", CHINA) == ""
    review = Review(verdict="reject", operator="li.na", reason="duplicate", at=bare.received_at)
    rejected = bare.model_copy(update={"reviews": (review,)})
    assert views.decision_of(rejected, "en", CHINA) == "Rejected by li.na, 11-23 09:18:30 +08:00 · Duplicate"
    assert views.decision_of(rejected, "zh", CHINA) == "li.na 于 11-23 09:18:30 +08:00 驳回 · 重复案件"


def test_every_status_stands_under_one_tab_and_under_all() -> None:
    tabs = [tab for tab in views.TABS if tab != "all"]
    for status in CaseStatus:
        assert [status in views.STATUSES_OF[tab] for tab in tabs].count(True) == 1
    assert views.STATUSES_OF["all"] == frozenset(CaseStatus)


def test_tab_counts() -> None:
    counts = views.tab_counts({"reported": 3, "dispatched": 2, "closed": 1, "rejected": 5})
    assert counts == {"review": 3, "filed": 3, "rejected": 5, "all": 11}


def test_next_to_review_goes_down_then_up(case: Make) -> None:
    a, b, c, d = (case(number) for number in (4, 3, 2, 1))
    decided = c.model_copy(update={"status": CaseStatus.CONFIRMED})
    assert views.next_to_review((a, b, c, d), str(b.case_id)) == str(c.case_id)
    assert views.next_to_review((a, b, decided, d), str(b.case_id)) == str(d.case_id)
    assert views.next_to_review((a, b, decided), str(b.case_id)) == str(a.case_id)
    assert views.next_to_review((decided, b), str(b.case_id)) is None
    assert views.next_to_review((), str(b.case_id)) is None


def test_places_near_are_the_nearest_open_ones(case: Make) -> None:
    here, near, far, done = (case(number) for number in (1, 2, 9, 3))
    rejected = done.model_copy(update={"status": CaseStatus.REJECTED})
    assert views.places_near(here, (far, here, rejected, near)) == [views.place_of(near), views.place_of(far)]
    assert views.places_near(here, (far, here, near), limit=1) == [views.place_of(near)]


@given(latitudes, st.floats(0, 1e6))
def test_zoom_is_one_that_maps_have(lat: float, error_m: float) -> None:
    assert 11 <= views.zoom_for(lat, error_m) <= 18


@given(latitudes, st.floats(-179, 179), st.sampled_from([50.0, 200.0]))
def test_grid_is_square_and_centred(lat: float, lon: float, step_m: float) -> None:
    lines = views.grid_lines(lat, lon, step_m, lines=4)
    across, along = lines[:5], lines[5:]
    for lower, upper in pairwise(across):
        assert (upper[0][0] - lower[0][0]) * 111_320 == pytest.approx(step_m, rel=1e-6)
    for left, right in pairwise(along):
        metres = (right[0][1] - left[0][1]) * 111_320 * math.cos(math.radians(lat))
        assert metres == pytest.approx(step_m, rel=1e-6)
    assert across[2][0][0] == pytest.approx(lat)
    assert along[2][0][1] == pytest.approx(lon)
