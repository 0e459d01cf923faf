from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.correction import REASON_CODES
from training.dataset.types import EVERY_CLASS
from training.verdicts.judgement import Claim, Judgement, Picture, judge, sample_of
from training.verdicts.regions import overlap
from training.verdicts.rows import Fractions, Verdict

NAMES = ("car", "truck", "bin", "bin_overflow")
BOX = Fractions(x0=0.25, y0=0.25, x1=0.5, y1=0.75)
OTHER = Fractions(x0=0.5, y0=0.25, x1=0.75, y1=0.75)
SIZE_PX = (80, 60)
PX = (20.0, 15.0, 40.0, 45.0)
OTHER_PX = (40.0, 15.0, 60.0, 45.0)


def row(verdict="confirm", code=None, label="car", box=BOX, correction=None, by="person"):
    return Verdict.model_validate(
        {
            "case_id": "00000000-0000-0000-0000-000000000001",
            "verdict": verdict,
            "by": by,
            "reason_code": code,
            "correction": correction,
            "reviewed_at": "2026-11-23T02:00:00Z",
            "kind": "illegal_parking",
            "label": label,
            "box": box.model_dump(),
            "confidence": 0.8,
            "model": "street@1",
            "source_id": "cam-1",
            "observed_at": "2026-11-23T01:00:00Z",
        }
    )


CAR, CAR_OTHER, TRUCK = Claim("car", BOX), Claim("car", OTHER), Claim("truck", BOX)
NOTHING, DOUBT = Judgement(), Judgement(doubtful=(CAR,))


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ({}, Judgement(present=(CAR,))),
        ({"correction": {"box": OTHER.model_dump()}}, Judgement(present=(CAR_OTHER,))),
        ({"correction": {"label": "truck"}}, Judgement(present=(TRUCK,), absent=(CAR,))),
        ({"by": "auto"}, DOUBT),
        ({"verdict": "reject", "code": "not_there"}, Judgement(absent=(CAR,))),
        ({"verdict": "reject", "code": "permitted"}, Judgement(present=(CAR,))),
        (
            {"verdict": "reject", "code": "permitted", "correction": {"label": "truck"}},
            Judgement(present=(TRUCK,), absent=(CAR,)),
        ),
        ({"verdict": "reject", "code": "wrong_kind"}, DOUBT),
        (
            {"verdict": "reject", "code": "wrong_kind", "correction": {"label": "truck"}},
            Judgement(present=(TRUCK,), absent=(CAR,)),
        ),
        (
            {"verdict": "reject", "code": "wrong_kind", "correction": {"label": "car"}},
            Judgement(present=(CAR,)),
        ),
        ({"verdict": "reject", "code": "wrong_kind", "correction": {"kind": "street_vending"}}, DOUBT),
        (
            {
                "verdict": "reject",
                "code": "wrong_kind",
                "label": "bin",
                "correction": {"kind": "bin_overflow"},
            },
            Judgement(present=(Claim("bin_overflow", BOX),), absent=(Claim("bin", BOX),)),
        ),
        ({"verdict": "reject", "code": "wrong_kind", "correction": {"box": OTHER.model_dump()}}, DOUBT),
        ({"verdict": "reject", "code": "not_an_offence"}, DOUBT),
        (
            {"verdict": "reject", "code": "not_an_offence", "correction": {"box": OTHER.model_dump()}},
            Judgement(present=(CAR_OTHER,)),
        ),
        ({"verdict": "reject", "code": "duplicate"}, NOTHING),
        ({"verdict": "reject", "code": "picture_unclear"}, DOUBT),
        ({"verdict": "reject", "code": "other"}, DOUBT),
        ({"verdict": "reject"}, DOUBT),
        ({"verdict": "reject", "code": "a_code_of_a_later_version"}, DOUBT),
    ],
)
def test_what_a_decision_means(said, means):
    assert judge(row(**said)) == means


def test_every_reason_of_the_api_is_thought_of():
    for code in REASON_CODES:
        judge(row("reject", code))


def sample(*rows):
    return sample_of(Picture(Path("a.jpg"), SIZE_PX, rows), NAMES)


def positives(found):
    return [(box.label, box.xyxy) for box in found.boxes if not box.ignore]


def ignored(found, label):
    return [box.xyxy for box in found.boxes if box.ignore and box.label == label]


def test_a_confirmed_box_is_a_positive_and_the_rest_of_the_street_is_unknown():
    found = sample(row())
    assert positives(found) == [("car", PX)]
    assert {box.origin for box in found.boxes} == {"verdict"}
    assert not any(overlap(region, PX) for region in ignored(found, "car"))
    assert ignored(found, "truck") == [(0.0, 0.0, 80.0, 60.0)]
    assert found.unlabelled == {"truck", "bin", "bin_overflow"}
    assert found.scene == "camera:cam-1"


def test_a_rejected_box_is_a_place_without_that_class_and_says_nothing_of_others():
    found = sample(row("reject", "not_there", label="bin_overflow"))
    assert positives(found) == []
    assert not any(overlap(region, PX) for region in ignored(found, "bin_overflow"))
    assert ignored(found, "bin") == [(0.0, 0.0, 80.0, 60.0)]  # a bin that does not overflow may well be there


def test_several_decisions_about_one_picture_come_together():
    found = sample(row(), row("reject", "not_there", label="truck", box=OTHER))
    assert positives(found) == [("car", PX)]
    assert not any(overlap(region, PX) for region in ignored(found, "car"))
    assert any(overlap(region, OTHER_PX) for region in ignored(found, "car"))
    assert not any(overlap(region, OTHER_PX) for region in ignored(found, "truck"))


def test_a_thing_reported_twice_is_there_once():
    almost = Fractions(x0=0.25, y0=0.26, x1=0.5, y1=0.75)
    assert len(positives(sample(row(), row(box=almost), row("reject", "duplicate", box=almost)))) == 1


def test_doubt_about_a_place_is_stronger_than_a_rejection():
    found = sample(row("reject", "not_there"), row("reject", "picture_unclear"))
    assert ignored(found, EVERY_CLASS) == [PX]


def test_decisions_that_contradict_each_other_teach_nothing():
    assert sample(row(), row("reject", "not_there")) is None
    found = sample(row(), row("reject", "not_there"), row(box=OTHER))
    assert positives(found) == [("car", OTHER_PX)]
    assert PX in ignored(found, EVERY_CLASS)


def test_nothing_to_learn_is_no_sample():
    assert sample(row(by="auto"), row("reject", "picture_unclear"), row("reject")) is None


side = st.tuples(st.integers(0, 18), st.integers(1, 20)).map(lambda two: (two[0], min(20, sum(two))))
fractions = st.tuples(side, side).map(
    lambda xy: Fractions(x0=xy[0][0] / 20, y0=xy[1][0] / 20, x1=xy[0][1] / 20, y1=xy[1][1] / 20)
)
decisions = st.builds(
    row,
    verdict=st.sampled_from(["confirm", "reject"]),
    code=st.sampled_from([*REASON_CODES, None]),
    label=st.sampled_from(NAMES),
    box=fractions,
    by=st.sampled_from(["person", "auto"]),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(decisions, min_size=1, max_size=6))
def test_positives_are_inside_and_never_ignored_for_their_own_class(rows):
    found = sample(*rows)
    if found is None:
        return
    for label, xyxy in positives(found):
        assert 0 <= xyxy[0] < xyxy[2] <= SIZE_PX[0]
        assert 0 <= xyxy[1] < xyxy[3] <= SIZE_PX[1]
        assert not any(overlap(region, xyxy) for region in ignored(found, label))
    judged = {claim.label for one in map(judge, rows) for claim in (*one.present, *one.absent)}
    for name in set(NAMES) - judged:
        assert ignored(found, name) == [(0.0, 0.0, 80.0, 60.0)]
