"""Average precision, thresholds and intervals; parity with a pycocotools run of our own making."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from training.metrics import (
    EVERY_CLASS,
    LabelledPicture,
    Matches,
    SizeRange,
    average_precision,
    average_precisions,
    bootstrap_interval,
    draws,
    match,
    operating_threshold,
    score_classes,
)

NAMES = {3: "tricycle", 7: "stall", 11: "bin_overflow"}


def some_pictures(seed: int, count: int = 30) -> list[LabelledPicture]:
    """Labelled boxes, and a detector that finds most of them, shifted, with misses and inventions."""
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        n = int(random.integers(0, 8))
        low = random.uniform(0, 400, (n, 2))
        truth = np.concatenate([low, low + random.uniform(10, 200, (n, 2))], axis=1)
        classes = random.choice([3, 7], n)
        seen = random.random(n) < 0.8
        shifted = truth[seen] + random.normal(0, 6, (int(seen.sum()), 4))
        shifted[:, 2:] = np.maximum(
            shifted[:, 2:], shifted[:, :2] + 1
        )  # COCO ignores boxes turned inside out
        invented = int(random.integers(0, 5))
        start = random.uniform(0, 400, (invented, 2))
        found = np.concatenate([shifted, np.concatenate([start, start + 80], axis=1)])
        pictures.append(
            LabelledPicture(
                (640, 480),
                truth,
                classes.astype(np.int64),
                found,
                random.random(len(found)).round(3),
                np.concatenate([classes[seen], random.choice([3, 7, 11], invented)]).astype(np.int64),
            )
        )
    return pictures


def independent_run(pictures: list[LabelledPicture], folder: Path) -> dict[str, tuple[float, float]]:
    """Score through files, the way pycocotools is used elsewhere: one evaluation per class."""
    images = [{"id": i, "width": 640, "height": 480} for i in range(len(pictures))]
    truth, found = [], []
    for i, picture in enumerate(pictures):
        labelled = zip(picture.truth_xyxy, picture.truth_class, [0] * len(picture.truth_class), strict=True)
        ignored = zip(picture.ignore_xyxy, picture.ignore_class, [1] * len(picture.ignore_class), strict=True)
        for box, c, crowd in (*labelled, *ignored):
            x1, y1, x2, y2 = map(float, box)
            truth.append(
                {
                    "id": len(truth) + 1, "image_id": i, "category_id": int(c), "iscrowd": crowd,
                    "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1),
                }
            )  # fmt: skip
        for box, score, c in zip(picture.found_xyxy, picture.found_score, picture.found_class, strict=True):
            x1, y1, x2, y2 = map(float, box)
            found.append(
                {
                    "image_id": i,
                    "category_id": int(c),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(score),
                }
            )
    categories = [{"id": c, "name": n} for c, n in NAMES.items()]
    (folder / "truth.json").write_text(
        json.dumps({"info": {}, "images": images, "annotations": truth, "categories": categories})
    )
    (folder / "found.json").write_text(json.dumps(found))
    result = {}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        for category, name in NAMES.items():
            evaluator = COCOeval(coco, coco.loadRes(str(folder / "found.json")), "bbox")
            evaluator.params.catIds = [category]
            evaluator.evaluate()
            evaluator.accumulate()
            evaluator.summarize()
            result[name] = (evaluator.stats[1], evaluator.stats[0])
    return result


@pytest.mark.parametrize("ignoring", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_an_independent_pycocotools_run(tmp_path: Path, seed: int, ignoring: bool) -> None:
    pictures = some_pictures(seed)
    if ignoring:
        region, stall = np.array([[0.0, 0, 300, 300]]), np.array([7])
        pictures = [replace(p, ignore_xyxy=region, ignore_class=stall) for p in pictures]
    scores = score_classes(pictures, NAMES)
    wanted = independent_run(pictures, tmp_path)
    assert set(scores) == {"tricycle", "stall"}  # nobody labelled an overflowing bin: not scored
    for name, score in scores.items():
        assert (score.ap50, score.ap5095) == pytest.approx(wanted[name], abs=0.001)


@pytest.mark.parametrize("seed", [3, 4])
def test_our_average_precision_of_the_matches_is_the_same(seed: int) -> None:
    for score in score_classes(some_pictures(seed), NAMES).values():
        ours = average_precision(score.matches.score, score.matches.hit, score.n)
        assert ours == pytest.approx(score.ap50, abs=1e-6)


def test_a_perfect_detector_scores_one_and_a_blind_one_zero() -> None:
    box, label = np.array([[10.0, 10, 50, 50]]), np.array([7])
    perfect = LabelledPicture((100, 100), box, label, box, np.array([0.9]), label)
    score = score_classes([perfect], NAMES)["stall"]
    assert (score.ap50, score.ap5095, score.n) == pytest.approx((1.0, 1.0, 1))
    assert score.precision_recall(0.5) == (1.0, 1.0)
    none = np.zeros(0)
    blind = LabelledPicture((100, 100), box, label, np.zeros((0, 4)), none, none.astype(np.int64))
    score = score_classes([blind], NAMES)["stall"]
    assert (score.ap50, score.precision_recall(0.5)) == (0.0, (0.0, 0.0))


def test_precision_and_recall_hold_at_the_threshold() -> None:
    matches = Matches(
        np.array([0, 0, 1]), np.array([0.9, 0.6, 0.4]), np.array([True, False, True]), np.array([1, 3])
    )
    from training.metrics import ClassScore

    score = ClassScore(0.0, 0.0, 4, matches)
    assert score.precision_recall(0.5) == (0.5, 0.25)
    assert score.precision_recall(0.1) == (2 / 3, 0.5)


def test_bootstrap_holds_the_figure_and_repeats_itself() -> None:
    score = score_classes(some_pictures(5), NAMES)["stall"]
    low, high = bootstrap_interval(score.matches, rounds=200)
    assert 0 <= low < score.ap50 < high <= 1
    assert bootstrap_interval(score.matches, rounds=200) == (low, high)


def test_a_sample_repeats_whole_pictures() -> None:
    matches = Matches(
        np.array([1, 0, 1]), np.array([0.1, 0.2, 0.3]), np.array([True, False, True]), np.array([5, 6])
    )
    twice = matches.of(np.array([1, 1]))
    assert twice.score.tolist() == [0.1, 0.3, 0.1, 0.3]
    assert twice.picture.tolist() == [0, 0, 1, 1]
    assert twice.labelled.tolist() == [6, 6]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40),
    st.integers(1, 60),
)
def test_average_precision_is_a_fraction_and_grows_with_a_best_hit(
    rows: list[tuple[float, bool]], more: int
) -> None:
    score = np.array([row[0] for row in rows], dtype=float)
    hit = np.array([row[1] for row in rows], dtype=bool)
    labelled = int(hit.sum()) + more
    before = average_precision(score, hit, labelled)
    after = average_precision(np.append(score, 1.1), np.append(hit, True), labelled)
    assert 0 <= before <= after <= 1


def test_threshold_takes_the_best_f1_that_is_precise_enough() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    hit = np.array([True, True, True, True, False, False])
    matches = Matches(np.zeros(6, np.int64), score, hit, np.array([5]))
    assert operating_threshold(matches, ceiling=1.0) == 0.6
    assert operating_threshold(matches, ceiling=0.45) == 0.45


def test_threshold_of_a_weak_class_is_its_best_f1() -> None:
    score = np.array([0.9, 0.6, 0.5, 0.4, 0.3])
    hit = np.array([False, True, False, True, False])
    matches = Matches(np.zeros(5, np.int64), score, hit, np.array([3]))
    assert operating_threshold(matches) == 0.4


def test_threshold_never_falls_below_the_floor() -> None:
    matches = Matches(np.array([0]), np.array([0.05]), np.array([True]), np.array([1]))
    assert operating_threshold(matches, floor=0.15) == 0.15


@pytest.mark.parametrize("seed", [6, 7])
def test_the_fast_bootstrap_equals_scoring_each_draw(seed: int) -> None:
    matches = score_classes(some_pictures(seed), NAMES)["stall"].matches
    matches = replace(matches, score=matches.score + np.arange(len(matches.score)) * 1e-9)  # no ties
    weights = draws(len(matches.labelled), rounds=50, seed=seed)
    fast = average_precisions(matches, weights)
    for value, row in zip(fast, weights, strict=True):
        drawn = matches.of(np.repeat(np.arange(len(row)), row.astype(int)))
        slow = average_precision(drawn.score, drawn.hit, int(drawn.labelled.sum()))
        assert value == pytest.approx(slow, abs=1e-12)


def test_a_draw_without_labelled_boxes_has_no_average_precision() -> None:
    matches = Matches(np.array([0]), np.array([0.5]), np.array([True]), np.array([1, 0]))
    values = average_precisions(matches, np.array([[0.0, 2.0], [1.0, 1.0]]))
    assert np.isnan(values[0])
    assert values[1] == pytest.approx(1.0)


def test_a_box_in_an_ignored_region_is_neither_right_nor_wrong() -> None:
    box = np.array([[10.0, 10, 50, 50]])
    found = np.array([[10.0, 10, 50, 50], [60, 60, 80, 80], [62, 62, 84, 84], [5, 60, 25, 80]])
    picture = LabelledPicture(
        (100, 100), box, np.array([7]), found, np.array([0.9, 0.95, 0.94, 0.3]), np.array([7, 7, 7, 7])
    )
    assert score_classes([picture], NAMES)["stall"].precision_recall(0) == (0.25, 1.0)
    for meant in (7, EVERY_CLASS):
        ignoring = replace(
            picture, ignore_xyxy=np.array([[55.0, 55, 100, 100]]), ignore_class=np.array([meant])
        )
        score = score_classes([ignoring], NAMES)["stall"]
        assert score.precision_recall(0) == (0.5, 1.0)
        assert (score.ap50, score.n) == pytest.approx((1.0, 1))
    of_another = replace(ignoring, ignore_class=np.array([3]))
    assert score_classes([of_another], NAMES)["stall"].precision_recall(0) == (0.25, 1.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.tuples(st.floats(0, 500), st.floats(0, 400), st.floats(20, 300)))
def test_ignoring_a_region_never_lowers_a_figure(seed: int, square: tuple[float, float, float]) -> None:
    left, top, side = square
    pictures = some_pictures(seed, count=4)
    region = np.array([[left, top, left + side, top + side]])
    ignoring = [replace(p, ignore_xyxy=region, ignore_class=np.array([EVERY_CLASS])) for p in pictures]
    plain, eased = score_classes(pictures, NAMES), score_classes(ignoring, NAMES)
    for name, score in plain.items():
        assert eased[name].n == score.n
        assert eased[name].ap50 >= score.ap50 - 1e-12
        for threshold in (0.0, 0.5):
            precision, recall = score.precision_recall(threshold)
            easier, same = eased[name].precision_recall(threshold)
            assert same == recall
            assert easier >= precision or not (eased[name].matches.score >= threshold).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_boxes_below_the_last_hit_change_no_average_precision(seed: int, more: int) -> None:
    pictures = some_pictures(seed, count=4)
    nowhere = np.tile([600.0, 440.0, 640.0, 480.0], (more, 1))
    worse = [
        replace(
            p,
            found_xyxy=np.concatenate([p.found_xyxy, nowhere]),
            found_score=np.concatenate([p.found_score + 0.01, np.full(more, 0.001)]),
            found_class=np.concatenate([p.found_class, np.full(more, 7)]),
            truth_xyxy=p.truth_xyxy,
        )
        for p in pictures
    ]
    before = {name: score.ap50 for name, score in score_classes(pictures, NAMES).items()}
    after = {name: score.ap50 for name, score in score_classes(worse, NAMES).items()}
    assert after == pytest.approx(before)


def test_sizes_split_the_labelled_boxes_and_forgive_what_is_outside() -> None:
    truth = np.array([[0.0, 0, 20, 20], [100, 100, 200, 200]])
    found = np.array([[0.0, 0, 20, 20], [300, 300, 420, 420]])
    picture = LabelledPicture(
        (640, 480), truth, np.array([7, 7]), found, np.array([0.9, 0.8]), np.array([7, 7])
    )
    small, large = match([picture], 7, (SizeRange("small", 0, 32**2), SizeRange("large", 96**2)))
    assert (small.labelled.tolist(), small.score.tolist(), small.hit.tolist()) == ([1], [0.9], [True])
    assert (large.labelled.tolist(), large.score.tolist(), large.hit.tolist()) == ([1], [0.8], [False])
    (low,) = match([picture], 7, (SizeRange("low", 0, 50, "height"),))
    assert (low.labelled.tolist(), low.score.tolist()) == ([1], [0.9])


@pytest.mark.parametrize("seed", [8, 9])
def test_matches_of_all_sizes_are_those_that_are_scored(seed: int) -> None:
    pictures = some_pictures(seed)
    (ours,) = match(pictures, 7)
    scored = score_classes(pictures, NAMES)["stall"].matches
    for name in ("picture", "score", "hit", "labelled"):
        assert getattr(ours, name).tolist() == getattr(scored, name).tolist()
