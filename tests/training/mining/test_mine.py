from __future__ import annotations

import json
from itertools import count

import cv2
import numpy as np
import pytest

from detector.errors import Failure, WrongUse
from training.dataset.store import read_set
from training.mine import Request, mine
from training.mining import false_alarms
from training.mining.false_alarms import hard_negatives
from training.mining.pool import Shot, again, frames
from training.yolo_data import read_data_set

LIMITS = {"car": 0.4, "litter": 0.3}
BOX = (10, 10, 40, 40)


@pytest.fixture
def street(tmp_path, noise, write_clip):
    """Two folders of pictures and a clip: 3 pictures each, 2 s of film."""
    for folder, seed in (("day", 1), ("night", 11)):
        (tmp_path / "in" / folder).mkdir(parents=True)
        for number in range(3):
            cv2.imwrite(str(tmp_path / "in" / folder / f"{number}.png"), noise(seed + number))
    write_clip(tmp_path / "in" / "clip.mp4", [noise(30 + n // 5) for n in range(20)])
    return tmp_path


def by_brightness(detections):
    """Give a model that doubts dark pictures."""

    def detect(image):
        return detections(("car", min(0.99, 0.3 + float(image.mean()) / 255), BOX))

    return detect


def test_a_list_a_sheet_and_frames(street, detections):
    request = Request(street / "in", street / "out", by_brightness(detections), LIMITS, count=5, every_s=0.5)
    rows = mine(request)
    assert json.loads((street / "out" / "mined.json").read_text()) == rows
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    assert (street / "out" / "sheet.jpg").is_file()
    scenes = [row["scene"] for row in rows]
    assert max(map(scenes.count, scenes)) <= 4
    for row in rows:
        path = street / "out" / row["picture"] if "clip" in row else None
        assert path is None or path.is_file()
        assert {"uncertainty", "disagreement", "novelty", "value"} <= set(row)


def test_the_same_every_time(street, detections):
    def run(name):
        request = Request(street / "in", street / name, by_brightness(detections), LIMITS, every_s=0.5)
        return mine(request), (street / name / "sheet.jpg").read_bytes()

    assert run("one") == run("two")


def test_what_is_known_is_not_chosen_again(street, detections):
    detect = by_brightness(detections)
    rows = mine(Request(street / "in", street / "out", detect, LIMITS, known=street / "in" / "day"))
    assert rows
    assert "day" not in {row["scene"] for row in rows}


def test_two_models_that_differ(street, detections):
    def blind(image):
        return detections()

    turns = count()

    def sees(image):
        return detections(("car", 0.9, BOX)) if next(turns) % 2 else detections()

    rows = mine(Request(street / "in", street / "out", sees, LIMITS, second=blind, count=20))
    assert {row["disagreement"] for row in rows} == {0.0, 1.0}


def test_only_the_classes_asked_for_count(street, detections):
    def detect(_):
        return detections(("car", 0.4, BOX), ("litter", 0.99, BOX))

    rows = mine(Request(street / "in", street / "out", detect, LIMITS, classes=frozenset({"litter"})))
    assert max(row["uncertainty"] for row in rows) < 0.1


def test_wrong_numbers_and_places(street, detections, tmp_path):
    detect = by_brightness(detections)
    with pytest.raises(WrongUse, match="at least 1"):
        mine(Request(street / "in", street / "out", detect, LIMITS, count=0))
    with pytest.raises(WrongUse, match="neither pictures nor clips"):
        mine(Request(street / "nowhere", street / "out", detect, LIMITS))
    with pytest.raises(WrongUse, match="exists already"):
        mine(Request(street / "in", street / "in", detect, LIMITS))
    (street / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff cut")
    with pytest.raises(Failure, match=r"broken\.jpg"):
        mine(Request(street / "in", street / "out", detect, LIMITS))
    assert not (street / "out").exists()
    assert [path.name for path in street.iterdir() if path.name.startswith(".")] == []


def test_a_broken_clip_is_named(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no clip at all")
    with pytest.raises(Failure, match=r"a\.mp4: the clip cannot be read"):
        list(frames(tmp_path / "a.mp4", 1))


def test_frames_go_by_the_clips_own_time(street):
    times = [at for at, _ in frames(street / "in" / "clip.mp4", 0.5)]
    assert times == pytest.approx([0, 0.5, 1.0, 1.5])
    chosen = [Shot(street / "in" / "clip.mp4", "clip", at) for at in (times[2], times[1])]
    first = dict(frames(street / "in" / "clip.mp4", 0.5))
    for place, image in again(chosen, 0.5):
        assert np.array_equal(image, first[chosen[place].at_s])


def alarms(street, detect, **changes):
    wanted = {
        "folder": street / "in",
        "out": street / "out",
        "detect": detect,
        "score_min": LIMITS,
        "absent": ("litter",),
        "names": ("car", "litter"),
        "licence": "ours",
        "every_s": 0.5,
    }
    return hard_negatives(false_alarms.Request(**{**wanted, **changes}))


def test_false_alarms_become_pictures_without_that_class(street, detections):
    rows = alarms(street, lambda _: detections(("litter", 0.8, BOX), ("car", 0.9, BOX)))
    assert sorted(row["scene"] for row in rows) == [
        "clip.mp4",
        "day",
        "night",
    ]  # it stays where it is: once a scene
    assert rows[0]["false_alarms"] == [{"label": "litter", "score": 0.8, "xyxy": [10.0, 10.0, 40.0, 40.0]}]
    assert len(read_data_set(street / "out" / "set" / "data.yaml", "train").pictures) == 3
    for sample in read_set(street / "out" / "set").samples:
        assert [(box.label, box.ignore) for box in sample.boxes] == [("car", True)]
        assert sample.boxes[0].xyxy == (0, 0, *sample.size_px)
        assert sample.unlabelled == {"car"}


def test_an_alarm_at_another_place_is_another(street, detections):
    places = iter([(10, 10, 40, 40)] * 2 + [(50, 10, 80, 40)] * 20)
    rows = alarms(
        street, lambda _: detections(("litter", 0.8, next(places))), folder=street / "in" / "clip.mp4"
    )
    assert [row["at_s"] for row in rows] == [0.0, 1.0]


def test_without_false_alarms_the_list_is_empty(street, detections):
    assert alarms(street, lambda _: detections(("litter", 0.1, BOX), ("car", 0.9, BOX))) == []
    assert json.loads((street / "out" / "false_alarms.json").read_text()) == []
    assert not (street / "out" / "set").exists()


@pytest.mark.parametrize("absent", [(), ("litter", "dragon")])
def test_classes_that_are_none(street, detections, absent):
    with pytest.raises(WrongUse, match="--absent"):
        alarms(street, lambda _: detections(), absent=absent)


def test_false_alarms_join_the_next_version(street, detections, noise, tmp_path):
    """The set has no val of its own; its pictures go to train of the version that it joins."""
    import kerbwatch
    from training.dataset.manifest import Manifest, Source
    from training.dataset.store import write_set
    from training.dataset.types import LabelledBox, Sample
    from training.labels import load_taxonomy

    names = load_taxonomy().names
    alarms(street, lambda _: detections(("litter", 0.8, BOX)), names=names)
    samples = []
    for number, split in enumerate(("train", "val")):
        path = tmp_path / f"parent-{number}.png"
        cv2.imwrite(str(path), noise(70 + number))
        samples.append(Sample(path, (96, 64), (LabelledBox("car", (10, 10, 60, 50)),), split, source="old"))
    source = Source(folder="old", title="old", licence="ours")
    (tmp_path / "parent").mkdir()
    write_set(
        samples, names, tmp_path / "parent", Manifest(name="street-2", licence="ours", source=(source,))
    )
    argv = ["dataset", "import", "yolo", str(street / "out" / "set"), "--name", "street-3"]
    argv += ["--parent", str(tmp_path / "parent"), "--out", str(tmp_path / "next")]
    assert kerbwatch.main(argv) == 0
    stored = read_set(tmp_path / "next")
    assert stored.manifest.parent == "street-2"
    assert [sample.split for sample in stored.samples].count("train") == 4
    mined = [sample for sample in stored.samples if sample.source != "old"]
    assert all(sample.unlabelled == set(names) - {"litter"} for sample in mined)
    assert all({box.label for box in sample.boxes} == set(names) - {"litter"} for sample in mined)
