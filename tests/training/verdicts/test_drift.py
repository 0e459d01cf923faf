from __future__ import annotations

import doctest
import json
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import training.drift
import training.verdicts.promise
from training.drift import DECIDED_MIN, measure_drift, table
from training.verdicts.promise import promise_of, psi
from training.verdicts.rows import Verdict

NOW = datetime(2026, 11, 30, tzinfo=UTC)
EDGES = np.linspace(0.1, 1.0, 10)


def metrics(precision=0.9, spread=0.03, n=40):
    """Give metrics.json of a model that is right in `precision` of the boxes of any score."""
    bins = [
        {
            "low": low,
            "high": high,
            "score": (low + high) / 2,
            "precision": precision,
            "precision_low": precision - spread,
            "precision_high": min(1.0, precision + spread),
            "n": n,
        }
        for low, high in pairwise(EDGES)
    ]
    row = {"score_min": 0.3, "precision": precision, "recall": 0.8, "n": 100}
    return {"classes": {"car": row}, "calibration": {"car": {"ece": 0, "n": 9 * n, "bins": bins}}}


def row(number, *, right=True, days_ago=1.0, score=None, camera="cam-1", label="car", **changes):
    return Verdict.model_validate(
        {
            "case_id": f"{number:032x}",
            "verdict": "confirm" if right else "reject",
            "reason_code": None if right else "not_there",
            "reviewed_at": NOW.isoformat(),
            "kind": "illegal_parking",
            "label": label,
            "box": {"x0": 0, "y0": 0, "x1": 1, "y1": 1},
            "confidence": 0.3 + 0.69 * ((number * 0.618034) % 1) if score is None else score,
            "model": "street@1",
            "source_id": camera,
            "observed_at": (NOW - timedelta(days=days_ago)).isoformat(),
            **changes,
        }
    )


def rows(right, wrong, start=0, **changes):
    return [
        row(start + n, right=n < right, days_ago=n * 20 / (right + wrong), **changes)
        for n in range(right + wrong)
    ]


def only_class(report):
    (one,) = report.classes
    return one


@pytest.mark.parametrize("module", [training.drift, training.verdicts.promise])
def test_examples_are_true(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("right", "wrong", "status"),
    [
        (90, 10, "ok"),
        (100, 0, "ok"),
        (86, 14, "ok"),
        (82, 18, "watch"),
        (60, 40, "drifted"),
        (0, 60, "drifted"),
    ],
)
def test_precision_against_the_promise(right, wrong, status):
    one = only_class(measure_drift(rows(right, wrong), "street@1", metrics(spread=0.03)))
    assert (one.status, one.right, one.decided) == (status, right, right + wrong)
    assert one.promised == pytest.approx((0.87, 0.9, 0.93))
    assert ("0.90 was promised" in one.why) == (status != "ok")


def test_too_few_is_no_verdict_however_bad():
    report = measure_drift(rows(0, DECIDED_MIN - 1), "street@1", metrics())
    assert report.status == "too_few"
    assert only_class(report).why == f"{DECIDED_MIN - 1} decisions, {DECIDED_MIN} are wanted"


def test_decisions_that_say_nothing_do_not_count():
    silent = [
        row(900, by="auto"),
        row(901, right=False, reason_code="duplicate"),
        row(902, right=False, reason_code="picture_unclear"),
        row(903, right=False, reason_code=None),
    ]
    report = measure_drift([*rows(90, 10), *silent], "street@1", metrics())
    assert (report.events, report.decided, report.undecided) == (104, 100, 4)


def test_a_permitted_stall_is_a_right_one_and_a_corrected_label_a_wrong_one():
    few = [
        row(1, right=False, reason_code="permitted"),
        row(2, right=True, correction={"label": "truck"}),
        row(3, right=True, correction={"box": {"x0": 0, "y0": 0, "x1": 0.5, "y1": 0.5}}),
    ]
    one = only_class(measure_drift(few, "street@1", metrics()))
    assert (one.right, one.decided) == (2, 3)


def test_scores_that_sank_against_the_time_before():
    before = [row(n, days_ago=35 + n / 10, score=0.6 + 0.3 * ((n * 0.618) % 1)) for n in range(200)]
    same = [row(500 + n, days_ago=n / 10, score=0.6 + 0.3 * ((n * 0.618) % 1)) for n in range(150)]
    lower = [row(500 + n, days_ago=n / 10, score=0.35 + 0.3 * ((n * 0.618) % 1)) for n in range(150)]
    assert only_class(measure_drift([*before, *same], "street@1", metrics(n=0))).status == "ok"
    one = only_class(measure_drift([*before, *lower], "street@1", metrics(n=0)))
    assert one.status == "drifted"
    assert "the time before" in one.why
    few = measure_drift([*before[:50], *lower[:50]], "street@1", metrics(n=0))
    assert only_class(few).psi_before is None


def test_scores_unlike_the_val_lists_are_watched_at_most():
    low = [row(n, days_ago=n / 10, score=0.31 + 0.05 * ((n * 0.618) % 1)) for n in range(200)]
    one = only_class(measure_drift(low, "street@1", metrics()))
    assert one.status == "watch"
    assert "the val lists" in one.why


def test_metrics_without_calibration_promise_their_operating_point():
    old = {"classes": {"car": {"score_min": 0.45, "precision": 0.8, "recall": 0.5, "n": 400}}}
    promise = promise_of(old, "car")
    low, middle, high = promise.precision([0.5, 0.9])
    assert middle == 0.8
    assert 0.73 < low < 0.8 < high < 0.87
    assert promise.basis == "operating_point"
    assert only_class(measure_drift(rows(40, 60), "street@1", old)).status == "drifted"


def test_a_class_the_metrics_do_not_know():
    one = only_class(measure_drift(rows(90, 10, label="bus"), "street@1", metrics()))
    assert (one.status, one.promised) == ("too_few", None)
    assert "say nothing" in one.why


def test_a_class_that_nobody_decided_about_is_not_said_to_be_unknown():
    one = only_class(measure_drift([row(1, by="auto")], "street@1", metrics()))
    assert (one.status, one.decided) == ("too_few", 0)
    assert one.why == f"0 decisions, {DECIDED_MIN} are wanted"


def test_one_camera_with_false_alarms_stands_out():
    good = [one for n in range(4) for one in rows(38, 2, start=100 * n, camera=f"cam-{n}")]
    bad = rows(8, 22, start=900, camera="mirror")
    report = measure_drift([*good, *bad], "street@1", metrics(0.85, 0.05))
    by_name = {camera.source_id: camera for camera in report.cameras}
    assert by_name["mirror"].status == "watch"
    assert "8 of 30 right, 0.95 at the other cameras" in by_name["mirror"].why
    assert {by_name[f"cam-{n}"].status for n in range(4)} == {"ok"}


def test_cameras_that_fall_silent_or_flood():
    before = [row(n, days_ago=32 + n / 5, camera="silent") for n in range(100)]
    before += [row(200 + n, days_ago=32 + n / 5, camera="flood") for n in range(10)]
    now = [row(400 + n, days_ago=n / 10, camera="flood") for n in range(60)]
    report = measure_drift([*before, *now], "street@1", metrics())
    said = {camera.source_id: (camera.status, camera.why) for camera in report.cameras}
    assert said["silent"][0] == said["flood"][0] == "watch"
    assert said["silent"][1].startswith("silent, ")
    assert said["flood"][1].startswith("2.0 a day")


def test_only_the_model_asked_for_and_only_the_last_days():
    other = [row(n, right=False, model="street@2") for n in range(200)]
    old = rows(0, 100, start=500)
    old = [one.model_copy(update={"observed_at": one.observed_at - timedelta(days=90)}) for one in old]
    report = measure_drift([*rows(90, 10), *other, *old], "street@1", metrics())
    assert only_class(report).decided == 100
    assert measure_drift(other, "street@1", metrics()) is None
    assert measure_drift([], "street@1", metrics()) is None


def test_the_table_says_all():
    text = table(measure_drift(rows(60, 40), "street@1", metrics()))
    assert "street@1, 2026-10-31 to 2026-11-30: drifted" in text
    assert "60 of 100" in text
    assert "cam-1" in text


histograms = st.lists(st.integers(0, 500), min_size=3, max_size=10)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(histograms, st.randoms())
def test_psi_is_zero_for_the_same_and_never_negative(counts, random):
    other = list(counts)
    random.shuffle(other)
    one, two = np.array(counts, float), np.array(other, float)
    assert psi(one, one) == pytest.approx(0, abs=1e-9)
    assert psi(one, two) >= 0
    assert psi(one, two) == pytest.approx(psi(two, one))
    assert math.isfinite(psi(one, two))


def test_the_shipped_model_can_be_asked(centre, capsys):
    import kerbwatch

    centre.decide()
    centre.decide("reject", reason_code="not_there")
    assert kerbwatch.main(["dataset", "drift", str(centre.file), "--model", "street@1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["status"] == "too_few"
    assert (report["classes"][0]["label"], report["classes"][0]["right"]) == ("car", 1)
    assert kerbwatch.main(["dataset", "drift", str(centre.file), "--model", "street@1"]) == 0
    assert "1 of 2" in capsys.readouterr().out


def test_no_event_of_the_model_is_said(centre, capsys):
    import kerbwatch

    centre.decide(model="lawn@3")
    assert kerbwatch.main(["dataset", "drift", str(centre.file), "--model", "street@1"]) == 1
    assert "models in it: lawn@3" in capsys.readouterr().err
    assert kerbwatch.main(["dataset", "drift", str(centre.file), "--days", "0"]) == 2
    assert kerbwatch.main(["dataset", "drift", str(centre.file), "--since", "2026-11-01"]) == 2
