"""The figures of a card: rows, thresholds, slices, calibration, confusion, intervals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.calibration import curve_of
from training.evaluation.confusion import limits_of, measure_confusion, pair
from training.evaluation.intervals import (
    ap_difference,
    ap_interval,
    precision_interval,
    recall_interval,
    wilson,
)
from training.evaluation.measure import measure_model, score_lists, score_min_of
from training.evaluation.slices import DARK_BELOW, measure_slices
from training.evaluation.thresholds import (
    CEILING,
    FLOOR,
    THRESHOLD_OF_FEW,
    at_precision,
    choose,
    precision_at,
)
from training.metrics import ClassScore, LabelledPicture, Matches, draws, score_classes


@pytest.fixture
def lists(make_list):
    return make_list("bins", ("bin", "garbage")), make_list("streets", ("bin", "car"), 20, 1)


def test_every_figure_lies_in_its_interval_and_the_whole_is_json(lists, taxonomy):
    parts = measure_model(lists, taxonomy, rounds=200)
    assert json.loads(json.dumps(parts)) == parts
    assert list(parts["classes"]) == ["car", "garbage", "bin"]  # as in classes.toml
    assert parts["classes"]["bin"]["sets"] == ["bins", "streets"]
    assert parts["classes"]["bin"]["pictures"] == 50
    for row in parts["classes"].values():
        for name in ("ap50", "precision", "recall"):
            assert 0 <= row[f"{name}_low"] < row[name] < row[f"{name}_high"] <= 1
    assert score_min_of(parts) == {name: row["score_min"] for name, row in parts["classes"].items()}


def test_given_thresholds_are_kept(lists, taxonomy):
    parts = measure_model(lists, taxonomy, {"bin": 0.9, "car": 0.2}, rounds=20)
    assert {name: row["score_min"] for name, row in parts["classes"].items()} == {
        "bin": 0.9,
        "car": 0.2,
        "garbage": 0.0,
    }
    assert parts["precision_min"] is None


def test_average_precision_and_the_operating_point_come_from_their_own_boxes(lists, taxonomy):
    bins = taxonomy.names.index("bin")
    blind = tuple(replace(p, found_score=p.found_score * 0) for p in lists[0].pictures)
    parts = measure_model((replace(lists[0], at_work=blind),), taxonomy, {"bin": 0.5, "garbage": 0.5}, 20)
    assert parts["classes"]["bin"]["ap50"] == pytest.approx(
        score_classes(lists[0].pictures, {bins: "bin"})["bin"].ap50, abs=1e-4
    )
    assert parts["classes"]["bin"]["recall"] == 0.0


def test_flying_wires_are_told_apart_by_how_faint_they_are(make_list, taxonomy):
    entry = make_list("scenes", ("flying_wire",))
    wires = [int((p.truth_class == taxonomy.names.index("flying_wire")).sum()) for p in entry.pictures]
    contrast = tuple(tuple(10.0 if at % 2 else 40.0 for at in range(count)) for count in wires)
    limits = {"flying_wire": 0.3}
    whole = measure_slices([entry], taxonomy, limits, rounds=50)
    assert "contrast" not in whole
    parts = measure_slices([replace(entry, contrast=contrast)], taxonomy, limits, rounds=50)["contrast"]
    faint, clear = (rows["flying_wire"] for rows in parts.values())
    assert [name.split()[0] for name in parts] == ["faint", "clear"]
    assert faint["n"] == sum(count // 2 for count in wires)
    assert faint["n"] + clear["n"] == sum(wires)
    right = faint["recall"] * faint["n"] + clear["recall"] * clear["n"]
    assert right == pytest.approx(whole["set"]["scenes"]["flying_wire"]["recall"] * sum(wires), abs=0.02)


def test_slices_are_the_figures_of_their_pictures_and_boxes(lists, taxonomy):
    limits = {"bin": 0.3, "car": 0.3, "garbage": 0.3}
    slices = measure_slices(lists, taxonomy, limits, rounds=50)
    assert list(slices) == ["size", "height", "light", "set"]
    bins = taxonomy.names.index("bin")
    for entry in lists:
        score = score_classes(entry.pictures, {bins: "bin"})["bin"]
        row = slices["set"][entry.folder]["bin"]
        assert (row["n"], row["ap50"]) == pytest.approx((score.n, score.ap50), abs=1e-4)
        assert row["recall"] == pytest.approx(score.precision_recall(0.3)[1], abs=1e-4)
    dark = [p for e in lists for p, light in zip(e.pictures, e.light, strict=True) if light < DARK_BELOW]
    assert slices["light"]["dark"]["bin"]["n"] == sum(int((p.truth_class == bins).sum()) for p in dark)
    total = sum(slices["set"][entry.folder]["bin"]["n"] for entry in lists)
    for kind in ("height", "light", "size"):
        assert sum(rows["bin"]["n"] for rows in slices[kind].values() if "bin" in rows) == total
    assert "garbage" not in slices["set"]["streets"]  # nobody labelled it there


def test_pictures_of_places_seen_in_training_are_a_slice_of_their_own(lists, taxonomy):
    first = lists[0]
    again = frozenset({(first.folder, first.files[0].name)})
    slices = measure_slices(lists, taxonomy, {"bin": 0.3}, 50, again)
    bins = taxonomy.names.index("bin")
    seen = {value: rows["bin"]["n"] for value, rows in slices["place"].items() if "bin" in rows}
    of_first = [int((picture.truth_class == bins).sum()) for picture in first.pictures]
    assert seen.get("in train too", 0) == of_first[0]
    assert seen.get("in val only", 0) == sum(of_first[1:])  # the other set knows nothing of places


def matches_of(rows, labelled):
    score, hit = (np.array(column) for column in zip(*rows, strict=True))
    return Matches(np.arange(len(rows)) % len(labelled), score, hit.astype(bool), np.array(labelled))


def score_of(rows, labelled):
    matches = matches_of(rows, labelled)
    return ClassScore(0.0, 0.0, int(matches.labelled.sum()), matches)


def test_a_threshold_reaches_the_stated_precision_and_says_so():
    sure = [(0.9, True)] * 20 + [(0.4, True)] * 12 + [(0.304, True)] * 3 + [(0.302, False)] * 20
    chosen = choose("bin", {"bin": score_of(sure, [20, 20])})
    assert (chosen.score_min, chosen.basis) == (0.31, "precision")  # 0.30 would let the false ones in


def test_a_threshold_that_cannot_reach_the_precision_is_that_of_best_f1():
    poor = [(0.41, False), (0.4, True)] * 10 + [(0.3, True), (0.29, False)] * 10
    chosen = choose("bin", {"bin": score_of(poor, [20, 20])})
    assert chosen.basis == "f1"
    assert FLOOR <= chosen.score_min <= CEILING


def test_a_class_with_few_boxes_asks_its_kin_or_takes_the_stated_one():
    many = score_of([(0.42, True)] * 40, [40])
    few = score_of([(0.9, True)], [1])
    assert choose("bus", {"bus": few, "car": many}) == choose("truck", {"truck": few, "car": many})
    assert choose("bus", {"bus": few, "car": many}).basis == "kin"
    assert choose("stall", {"stall": few, "car": many}).score_min == THRESHOLD_OF_FEW


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.4, 0.6, 0.8, 0.9]), st.booleans()), max_size=30))
def test_a_stated_precision_is_kept_and_nothing_lower_would_keep_it(rows):
    matches = (
        matches_of(rows, [40])
        if rows
        else Matches(np.zeros(0, int), np.zeros(0), np.zeros(0, bool), np.array([40]))
    )
    point = at_precision(matches, 0.75)
    reached = [s for s in sorted({s for s, _ in rows}) if precision_at(matches, s) >= 0.75]
    assert point["score_min"] == (reached[0] if reached else None)
    if reached:
        assert point["precision_low"] <= point["precision"] <= point["precision_high"]
        assert point["n"] == sum(s >= reached[0] for s, _ in rows)


def test_calibration_of_honest_scores_is_near_nought_and_of_boasting_ones_is_not():
    random = np.random.default_rng(0)
    score = random.uniform(0.1, 1, 5000)
    honest = Matches(np.zeros(5000, np.int64), score, random.random(5000) < score, np.array([9000]))
    boasting = replace(honest, hit=random.random(5000) < score / 3)
    assert curve_of(honest)["ece"] < 0.03
    assert curve_of(boasting)["ece"] > 0.3
    assert sum(row["n"] for row in curve_of(honest)["bins"]) == 5000


def test_calibration_of_nothing_has_no_figure():
    nothing = Matches(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool), np.array([3]))
    assert curve_of(nothing) == {"ece": None, "n": 0, "bins": []}


def picture_of(truth, found, ignore=()):
    """(label, xyxy) and (label, score, xyxy) and ignored (label, xyxy)."""
    return LabelledPicture(
        (100, 100),
        np.array([box for _, box in truth], float).reshape(-1, 4),
        np.array([label for label, _ in truth], np.int64),
        np.array([box for *_, box in found], float).reshape(-1, 4),
        np.array([score for _, score, _ in found], float),
        np.array([label for label, *_ in found], np.int64),
        np.array([box for _, box in ignore], float).reshape(-1, 4),
        np.array([label for label, _ in ignore], np.int64),
    )


HERE, BESIDE, THERE = (0, 0, 20, 20), (2, 0, 22, 20), (60, 60, 90, 90)


def test_the_same_class_is_paired_before_the_better_overlap(taxonomy):
    limits = np.full(len(taxonomy.names), 0.5)
    pairs = pair(picture_of([(1, HERE)], [(2, 0.9, HERE), (1, 0.8, BESIDE), (1, 0.4, HERE)]), limits)
    assert pairs.kept.tolist() == [0, 1]
    assert pairs.truth_of.tolist() == [-1, 0]
    assert pairs.missed.tolist() == []


def test_what_is_left_over_is_missed_made_up_or_excused(taxonomy, make_list):
    wire = taxonomy.names.index("bin")
    picture = picture_of(
        [(wire, HERE), (wire, THERE)],
        [(wire, 0.9, (30, 0, 40, 9)), (0, 0.9, BESIDE)],
        [(-1, (25, 0, 60, 30))],
    )
    entry = replace(make_list("one", ("bin",), 1), at_work=(picture,))
    confusion = measure_confusion([entry], taxonomy, {"bin": 0.5, "person": 0.5})
    rows = np.array(confusion["rows"])
    assert confusion["labels"][-1] == "background"
    assert rows[wire, 0] == 1  # the bin taken for a person
    assert rows[wire, -1] == 1  # the other bin missed
    assert rows.sum() == 2  # the box in the ignored region is not there


def test_a_class_without_a_threshold_is_never_said(taxonomy):
    limits = limits_of(taxonomy, {"bin": 0.5})
    assert np.isinf(limits).sum() == len(taxonomy.names) - 1


@given(st.integers(0, 300), st.integers(1, 300))
def test_wilson_holds_the_share(hits, more):
    of = hits + more
    low, high = wilson(hits, of)
    assert 0 <= low <= hits / of <= high <= 1
    wider = wilson(hits, of)[1] - wilson(hits, of)[0]
    assert wilson(4 * hits, 4 * of)[1] - wilson(4 * hits, 4 * of)[0] <= wider


@given(st.integers(0, 10_000))
def test_bootstrap_intervals_hold_their_figures(seed):
    random = np.random.default_rng(seed)
    picture = np.repeat(np.arange(40), 5)
    score = random.uniform(0, 1, 200)
    matches = Matches(picture, score, random.random(200) < 0.3 + 0.6 * score, np.full(40, 5))
    weights = draws(40, 100, seed)
    figure = ClassScore(0.0, 0.0, 200, matches).precision_recall(0.5)
    for (low, high), value in zip(
        (precision_interval(matches, 0.5, weights), recall_interval(matches, 0.5, weights)),
        figure,
        strict=True,
    ):
        assert low <= value <= high
    low, high = ap_interval(matches, weights)
    assert 0 <= low <= high <= 1


def test_two_models_on_the_same_pictures_are_compared_draw_by_draw():
    random = np.random.default_rng(3)
    picture, score = np.repeat(np.arange(60), 5), random.uniform(0, 1, 300)
    hit = random.random(300) < 0.8
    one = Matches(picture, score, hit, np.full(60, 5))
    weights = draws(60, 200)
    assert ap_difference(one, one, weights) == (0.0, 0.0)
    worse = replace(one, hit=hit & (random.random(300) < 0.9))
    low, high = ap_difference(one, worse, weights)
    assert 0 < low < high
    apart = [ap_interval(matches, weights) for matches in (one, worse)]
    assert high - low < max(top - bottom for bottom, top in apart)  # pairing narrows it
    with pytest.raises(ValueError, match="same labelled pictures"):
        ap_difference(one, replace(one, labelled=np.full(60, 4)), weights)


def test_scores_of_lists_leave_out_sets_that_do_not_label_the_class(lists, taxonomy):
    scores = score_lists(lists, taxonomy, at_work=False)
    assert len(scores["garbage"].matches.labelled) == len(lists[0].files)
    assert len(scores["bin"].matches.labelled) == len(lists[0].files) + len(lists[1].files)
