"""No scene straddles, whatever the pictures are; the lists of ../shared/data are looked at too."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.errors import WrongUse
from training.dataset.check import check
from training.dataset.intake import SplitWish, split_set
from training.dataset.look import dhash, look_at, look_at_all
from training.dataset.places import INLIERS_MIN, same_place_pairs
from training.dataset.scenes import NEAR_BITS_MAX, groups_of, near_pairs, scene_keys
from training.dataset.split import split_by_group
from training.dataset.types import LabelledBox, Sample
from training.yolo_data import list_pictures

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"
SETS = [
    "cn_garbage_bins",
    "taco_litter",
    "in_street_vendor",
    "parked_scooters",
    "coco_mini",
    "facade_spb_cc0",
]


def a_sample(number: int, *labels: str, split=None) -> Sample:
    boxes = tuple(LabelledBox(label, (0, 0, 5, 5)) for label in labels)
    return Sample(Path(f"{number:05}.jpg"), (10, 10), boxes, split)


@st.composite
def grouped(draw):
    groups = draw(
        st.lists(st.integers(0, 12), min_size=4, max_size=60).filter(lambda found: len(set(found)) >= 3)
    )
    labels = st.lists(st.sampled_from(["bin", "stall", "car"]), max_size=3)
    return [a_sample(number, *draw(labels)) for number in range(len(groups))], groups


@given(drawn=grouped(), seed=st.integers(0, 5), test=st.booleans())
@settings(max_examples=80, deadline=None)
def test_no_group_straddles_and_no_list_is_empty(drawn, seed, test):
    samples, groups = drawn
    shares = {"train": 0.7, "val": 0.2} | ({"test": 0.1} if test else {})
    result = split_by_group(samples, groups, shares, seed)
    lists = {}
    for sample, group in zip(result.samples, groups, strict=True):
        assert lists.setdefault(group, sample.split) == sample.split
    assert set(lists.values()) == set(shares)
    assert [sample.path for sample in result.samples] == [sample.path for sample in samples]


@given(drawn=grouped(), seed=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_the_order_in_which_pictures_come_changes_nothing(drawn, seed):
    samples, groups = drawn
    order = list(range(len(samples)))
    random.Random(seed).shuffle(order)
    shares = {"train": 0.8, "val": 0.2}
    one = split_by_group(samples, groups, shares, seed)
    other = split_by_group([samples[at] for at in order], [groups[at] for at in order], shares, seed)
    assert {s.path: s.split for s in one.samples} == {s.path: s.split for s in other.samples}


def test_a_rare_class_keeps_its_share():
    samples = [a_sample(n, "car", *(["stall"] if n % 25 == 0 else [])) for n in range(1000)]
    result = split_by_group(samples, list(range(1000)), {"train": 0.8, "val": 0.2}, seed=3)
    val = [sample for sample in result.samples if sample.split == "val"]
    assert len(val) == pytest.approx(200, abs=5)
    assert sum("stall" in {box.label for box in sample.boxes} for sample in val) == pytest.approx(8, abs=1)


def test_another_seed_is_another_split():
    samples = [a_sample(n, "car") for n in range(50)]
    lists = [
        tuple(
            s.split
            for s in split_by_group(samples, list(range(50)), {"train": 0.5, "val": 0.5}, seed).samples
        )
        for seed in (1, 2)
    ]
    assert lists[0] != lists[1]


@given(drawn=grouped(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_listed_stays_and_its_twins_never_reach_train(drawn, data):
    samples, groups = drawn
    given_lists = st.sampled_from([None, None, "train", "val"])
    samples = [Sample(s.path, s.size_px, s.boxes, data.draw(given_lists)) for s in samples]
    result = split_by_group(samples, groups, {"train": 0.8, "val": 0.2}, 1, keep=True)
    scored = {group for sample, group in zip(samples, groups, strict=True) if sample.split == "val"}
    for before, after, group in zip(samples, result.samples, groups, strict=True):
        if before.split:
            assert after.split == before.split
        elif group in scored:
            assert after.split == "val"


@pytest.mark.parametrize(
    ("samples", "shares", "said"),
    [
        ([], {"train": 0.8, "val": 0.2}, "no picture"),
        ([a_sample(1), a_sample(2)], {"train": 0.8, "val": 0.2}, "all 2 pictures belong to 1 scene, too few"),
        ([a_sample(1)], {"train": 1.5, "val": 0.2}, "the share of train is 1.5"),
    ],
)
def test_what_cannot_be_split_is_told(samples, shares, said):
    with pytest.raises(WrongUse, match=said):
        split_by_group(samples, [0] * len(samples), shares, 1)


# Scenes


@given(
    hashes=st.lists(st.integers(0, 2**64 - 1), max_size=25), flips=st.lists(st.integers(0, 63), max_size=8)
)
@settings(max_examples=60, deadline=None)
def test_bands_find_every_near_pair(hashes, flips):
    for at, bit in enumerate(flips):  # make some that are near
        if hashes:
            hashes.append(hashes[at % len(hashes)] ^ (1 << bit))
    wanted = [
        (one, other)
        for one, other in itertools.combinations(range(len(hashes)), 2)
        if (hashes[one] ^ hashes[other]).bit_count() <= NEAR_BITS_MAX
    ]
    assert near_pairs(hashes) == wanted


def test_five_thousand_pictures_are_compared_in_a_moment():
    hashes = [random.Random(n).getrandbits(64) for n in range(5000)]
    started = time.perf_counter()
    assert near_pairs([*hashes, hashes[7] ^ 0b1011]) == [(7, 5000)]
    assert time.perf_counter() - started < 5


def test_a_picture_made_smaller_and_compressed_is_near_and_another_is_not(tmp_path):
    random_cells = np.random.default_rng(5)
    scenes = [cv2.resize(random_cells.integers(0, 255, (9, 9, 3), np.uint8), (320, 240)) for _ in range(2)]
    cv2.imwrite(
        str(tmp_path / "small.jpg"), cv2.resize(scenes[0], (160, 120)), [cv2.IMWRITE_JPEG_QUALITY, 40]
    )
    look = look_at(tmp_path / "small.jpg")
    assert look.size_px == (160, 120)
    assert near_pairs([dhash(scenes[0]), look.dhash, dhash(scenes[1])]) == [(0, 1)]


def test_chains_and_equal_keys_are_one_group():
    assert groups_of(6, [(0, 1), (1, 2)], ["", "", "", "cam", "", "cam"]) == [0, 0, 0, 1, 2, 1]


def test_a_pattern_names_the_scene_where_none_is_given():
    names = ["cam3_1.jpg", "cam3_2.jpg", "other.jpg", "known.jpg"]
    assert scene_keys(names, r"^(cam\d+)_", {"known.jpg": "yard"}) == ["cam3", "cam3", "", "yard"]


@pytest.mark.parametrize(("pattern", "said"), [("(", "is no regular expression"), ("cam", "wanted a group")])
def test_a_pattern_that_makes_no_sense(pattern, said):
    with pytest.raises(WrongUse, match=said):
        scene_keys(["a"], pattern)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the labelled pictures beside the checkout (../shared/data) are absent"
)
def test_no_near_duplicates_straddle_the_given_lists():
    lists = {
        picture.resolve(): (name, split)
        for name in SETS
        for split in ("train", "val")
        for picture in list_pictures(SHARED / name / "data.yaml", split)
    }
    looks = look_at_all(lists)
    assert not [look.fault for look in looks.values() if look.fault]
    paths = list(looks)
    pairs = near_pairs([looks[path].dhash for path in paths])
    straddling = [
        (paths[one].name, paths[other].name)
        for one, other in pairs
        if lists[paths[one]][1] != lists[paths[other]][1]
    ]
    assert len(paths) > 4000
    assert straddling == []


# Places


def a_wall(seed: int) -> np.ndarray:
    """Draw a wall full of corners that is like no other."""
    random_cells = np.random.default_rng(seed)
    return cv2.resize(
        random_cells.integers(0, 255, (40, 60, 3), np.uint8), (960, 640), interpolation=cv2.INTER_NEAREST
    )


def write_views(folder: Path) -> list[Path]:
    """Two views of one wall that dHash tells apart, and two of other walls."""
    corners = np.float32([[0, 0], [960, 0], [960, 640], [0, 640]])
    seen_from = {
        "left": np.float32([[-200, -60], [700, 40], [720, 600], [-180, 760]]),
        "right": np.float32([[120, 80], [1150, -90], [1100, 720], [100, 600]]),
    }
    views = {
        name: cv2.warpPerspective(a_wall(1), cv2.getPerspectiveTransform(corners, to), (640, 480))
        for name, to in seen_from.items()
    }
    views |= {f"other {seed}": a_wall(seed)[:480, :640] for seed in (2, 3)}
    for name, image in views.items():
        cv2.imwrite(str(folder / f"{name}.png"), image)
    return [folder / f"{name}.png" for name in views]


def test_one_place_seen_from_two_sides_is_found_and_no_other(tmp_path):
    paths = write_views(tmp_path)
    hashes = [look_at(path).dhash for path in paths]
    assert near_pairs(hashes, 8) == []
    found = same_place_pairs(paths)
    assert [pair[:2] for pair in found] == [(0, 1)]
    assert found[0][2] >= INLIERS_MIN
    assert same_place_pairs(paths, wanted=lambda one, other: False) == []


def test_pictures_without_a_single_corner_are_no_place(tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((90, 120, 3), 90, np.uint8))
    (tmp_path / "3.png").write_bytes(b"broken")
    assert same_place_pairs([tmp_path / f"{number}.png" for number in range(4)]) == []
    assert same_place_pairs([tmp_path / "0.png"]) == []
    assert same_place_pairs([]) == []


def test_split_and_check_know_of_places(tmp_path):
    for split in ("images", "labels"):
        (tmp_path / split).mkdir()
    names = [path.name for path in write_views(tmp_path / "images")]
    (tmp_path / "train.txt").write_text("".join(f"./images/{name}\n" for name in (names[0], names[2])))
    (tmp_path / "val.txt").write_text("".join(f"./images/{name}\n" for name in (names[1], names[3])))
    (tmp_path / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [bin]\n")
    (fault,) = (fault for fault in check(tmp_path, places=True) if fault.kind == "same-place")
    assert (fault.level, fault.where) == ("warning", "images/right.png")
    for seed in range(4):
        samples = split_set(tmp_path, SplitWish({"train": 0.5, "val": 0.5}, seed, places=True))
        splits = {sample.path.name: sample.split for sample in samples}
        assert splits[names[0]] == splits[names[1]]
