"""Putting the training set together from small sets made here."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from detector.errors import Failure, WrongUse
from training.complete import Completion
from training.importers.street import (
    Added,
    SetRecipe,
    as_regions,
    build,
    read_added,
    recipes_of,
    translate,
    without_doubles,
)
from training.labels import load_taxonomy
from training.yolo_data import read_boxes, read_data_set

REPOSITORY = Path(__file__).resolve().parents[2]
TAXONOMY = load_taxonomy()
PERSON, CAR, TRICYCLE, STALL = (TAXONOMY.names.index(n) for n in ("person", "car", "tricycle", "stall"))
NOTHING = np.zeros((0, 5))
N = len(TAXONOMY.names)


def foreign_set(root: Path, names: str, train: dict[str, str], val: dict[str, str]) -> None:
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for split, pictures in (("train", train), ("val", val)):
        for name, text in pictures.items():
            cv2.imwrite(str(root / f"images/{name}.jpg"), np.zeros((8, 8, 3), np.uint8))
            (root / f"labels/{name}.txt").write_text(text)
        (root / f"{split}.txt").write_text("".join(f"./images/{name}.jpg\n" for name in pictures))
    (root / "data.yaml").write_text(f"path: .\ntrain: train.txt\nval: val.txt\nnames: {names}\n")


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    foreign_set(
        root / "vendors",
        "[thela, pothole, rickshaw]",
        {"t1": "0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.1 0.1\n", "t2": "2 0.5 0.5 0.4 0.4\n"},
        {"v1": "0 0.5 0.5 0.2 0.2\n"},
    )
    foreign_set(root / "coco", "[person, cup]", {"c1": "0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.1 0.1\n"}, {"c2": ""})
    return root


def guess(_: Path, labelled: frozenset[str]) -> Completion:
    """Be sure of a person, and of a car where the tricycle is; doubt a car in a corner. Never asked of what is labelled."""
    assert "person" not in labelled
    sure = np.array([[PERSON, 0.1, 0.5, 0.1, 0.3], [CAR, 0.5, 0.5, 0.3, 0.3]], dtype=float)
    return Completion(sure, np.array([[CAR, 0.9, 0.1, 0.1, 0.1]], dtype=float))


RECIPES = (
    SetRecipe("vendors", repeat_with={"stall": 3}),
    SetRecipe("coco", repeat=2, complete=True),
)
ADDED = Added({("vendors", "v1.jpg"): np.array([[STALL, 0.2, 0.2, 0.1, 0.1]])})


def put_together(data_root: Path, tmp_path: Path, added: Added = ADDED, recipes=RECIPES):
    return build(data_root, tmp_path / "scenes", tmp_path / "out", recipes, TAXONOMY, added, guess)


def test_train_is_completed_and_val_only_translated(data_root: Path, tmp_path: Path) -> None:
    boxes = {**ADDED.boxes, ("vendors", "t2.jpg"): np.array([[STALL, 0.9, 0.9, 0.1, 0.1]])}
    regions = {("vendors", "t2.jpg"): np.array([[-1, 0.1, 0.9, 0.1, 0.1]])}
    census = put_together(data_root, tmp_path, Added(boxes, regions))
    out = tmp_path / "out"
    everything = 2 * N + 1
    t1 = read_boxes(out / "images/vendors/t1.jpg", everything)
    assert t1[:, 0].tolist() == [STALL, PERSON, CAR, N + CAR]
    t2 = read_boxes(out / "images/vendors/t2.jpg", everything)
    assert t2[:, 0].tolist() == [
        TRICYCLE,
        STALL,
        PERSON,
        N + CAR,
        2 * N,
    ]  # the guessed car lies in the tricycle
    assert read_boxes(out / "images/vendors/v1.jpg", N)[:, 0].tolist() == [STALL]  # as given
    assert read_boxes(out / "images/coco/c1.jpg", N)[:, 0].tolist() == [PERSON]  # complete: no guesses
    assert census.boxes["added"] == {"stall": 1}
    assert census.boxes["completed"] == {"person": 2, "car": 1}
    assert census.boxes["ignored"] == {"car": 2, "*": 1}
    assert census.boxes["val"] == {"stall": 1}


def test_regions_to_ignore_have_indices_behind_the_classes() -> None:
    assert as_regions(np.array([[CAR, 0, 0, 1, 1], [-1, 0, 0, 1, 1.0]]), N)[:, 0].tolist() == [N + CAR, 2 * N]


def test_val_pictures_are_never_listed_for_training(data_root: Path, tmp_path: Path) -> None:
    census = put_together(data_root, tmp_path)
    train = (tmp_path / "out/train.txt").read_text().split()
    val = (tmp_path / "out/val.txt").read_text().split()
    assert not set(train) & set(val)
    assert (
        train == ["./images/vendors/t1.jpg"] * 3 + ["./images/vendors/t2.jpg"] + ["./images/coco/c1.jpg"] * 2
    )
    assert census.listed == 6
    told = json.loads(json.dumps(census.as_json()))
    assert told["pictures"] == {"vendors/train": 2, "vendors/val": 1, "coco/train": 1, "coco/val": 1}
    assert told["boxes"]["val"] == {"stall": 1}


def test_rendered_pictures_come_from_the_scratch_folder_and_only_their_train_list(
    data_root: Path, tmp_path: Path
) -> None:
    foreign_set(tmp_path / "scenes/wires", "[flying_wire]", {"w": "0 0.5 0.5 0.2 0.2\n"}, {"never": ""})
    wires = SetRecipe("wires", rendered=True, labelled=frozenset({"flying_wire"}))
    census = put_together(data_root, tmp_path, Added(), [wires])
    assert census.pictures == {"wires/train": 1}
    found = read_boxes(tmp_path / "out/images/wires/w.jpg", 2 * N + 1)[:, 0].tolist()
    assert found == [TAXONOMY.names.index("flying_wire"), PERSON, CAR, N + CAR]


def test_regions_that_a_set_brings_along_are_ignored(data_root: Path, tmp_path: Path) -> None:
    (data_root / "vendors/ignore").mkdir()
    (data_root / "vendors/ignore/t2.txt").write_text(
        "0 0.1 0.1 0.1 0.1\n1 0.9 0.1 0.1 0.1\n-1 0.2 0.8 0.1 0.1\n"
    )
    census = put_together(data_root, tmp_path)
    found = read_boxes(tmp_path / "out/images/vendors/t2.jpg", 2 * N + 1)[:, 0].tolist()
    assert found == [TRICYCLE, PERSON, N + CAR, N + STALL, 2 * N]  # a pothole is none of our classes
    assert census.boxes["ignored"] == {"car": 2, "stall": 1, "*": 1}


def test_mined_hard_negatives_are_learnt_from_without_a_val_list(data_root: Path, tmp_path: Path) -> None:
    foreign_set(data_root / "mined", str(list(TAXONOMY.names)), {"m1": ""}, {})
    (data_root / "mined/ignore").mkdir()
    (data_root / "mined/ignore/m1.txt").write_text(f"{PERSON} 0.5 0.5 1 1\n")
    nothing = lambda *_: Completion(NOTHING, NOTHING)  # noqa: E731
    with pytest.raises(WrongUse, match=r"mined/data\.yaml: split 'val' lists no picture"):
        build(data_root, tmp_path, tmp_path / "out", (SetRecipe("mined"),), TAXONOMY, Added(), nothing)
    (recipe,) = recipes_of({"set": [{"folder": "mined", "train_only": True}]})
    census = build(data_root, tmp_path, tmp_path / "out", (recipe,), TAXONOMY, Added(), nothing)
    assert census.pictures == {"mined/train": 1}
    assert (tmp_path / "out/labels/mined/m1.txt").read_text().split()[0] == str(N + PERSON)
    assert (tmp_path / "out/val.txt").read_text() == ""


def test_pictures_held_out_are_not_trained_on(data_root: Path, tmp_path: Path) -> None:
    census = put_together(
        data_root, tmp_path, Added(held_out=frozenset({("vendors", "t1.jpg"), ("coco", "c2.jpg")}))
    )
    assert "t1" not in (tmp_path / "out/train.txt").read_text()
    assert "c2" in (tmp_path / "out/val.txt").read_text()  # a val list stays as it is
    assert census.pictures["vendors/held out"] == 1


def test_the_built_set_reads_as_a_data_set(data_root: Path, tmp_path: Path) -> None:
    put_together(data_root, tmp_path)
    data = read_data_set(tmp_path / "out/data.yaml", "train")
    assert data.names[:N] == TAXONOMY.names
    assert data.names[N + CAR] == "ignore car"
    assert all(picture.is_file() for picture in data.pictures)
    document = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert "path" not in document  # ultralytics reads it otherwise
    assert document["classes"] == N


def test_added_boxes_of_an_unknown_picture_are_refused(data_root: Path, tmp_path: Path) -> None:
    added = Added({("vendors", "gone.jpg"): np.array([[STALL, 0.5, 0.5, 0.1, 0.1]])})
    with pytest.raises(Failure, match=r"gone\.jpg"):
        put_together(data_root, tmp_path, added)


@pytest.mark.parametrize("name", ["vendors/images/t2.jpg", "coco/images/c1.jpg", "coco/images/c2.jpg"])
@pytest.mark.parametrize(
    ("keep", "said"),
    [(None, "does not exist"), (0, r"is empty \(0 bytes\)"), (150, "is a JPEG picture that is cut short")],
)
def test_a_broken_picture_is_named_and_not_learnt_from(
    data_root: Path, tmp_path: Path, name: str, keep: int | None, said: str
) -> None:
    path = data_root / name
    data = path.read_bytes()
    path.unlink()
    if keep is not None:
        path.write_bytes(data[:keep])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/data.yaml").write_text("of a set that was built before, whose labels are gone")
    with pytest.raises(Failure, match=rf"{name} {said}"):
        put_together(data_root, tmp_path)
    assert not (tmp_path / "out/data.yaml").exists()


def test_an_unknown_class_stops_the_import(data_root: Path, tmp_path: Path) -> None:
    foreign_set(data_root / "odd", "[zeppelin]", {"z": "0 0.5 0.5 0.1 0.1\n"}, {"y": ""})
    with pytest.raises(WrongUse, match="zeppelin"):
        put_together(data_root, tmp_path, Added(), [SetRecipe("odd")])


def test_guesses_that_a_label_covers_are_dropped() -> None:
    real = np.array([[STALL, 0.5, 0.5, 0.4, 0.4]])
    guesses = np.array(
        [
            [PERSON, 0.5, 0.5, 0.1, 0.3],  # a vendor behind the stall stays
            [CAR, 0.5, 0.5, 0.1, 0.1],  # the stall's wheels
            [PERSON, 0.5, 0.5, 0.38, 0.4],  # the stall itself, taken for a person
            [CAR, 0.9, 0.9, 0.1, 0.1],
        ]
    )
    assert without_doubles(guesses, real)[:, 1].tolist() == [0.5, 0.9]
    assert without_doubles(guesses, NOTHING) is guesses
    assert len(without_doubles(NOTHING, real)) == 0


def test_translate_drops_unused_classes() -> None:
    boxes = np.array([[0, 0.1, 0.1, 0.1, 0.1], [1, 0.2, 0.2, 0.2, 0.2]])
    assert translate(boxes, (None, 7)).tolist() == [[7, 0.2, 0.2, 0.2, 0.2]]
    assert translate(boxes, (None, None)).shape == (0, 5)


def test_recipes_from_the_config() -> None:
    document = {
        "set": [
            {"folder": "a", "repeat_with": {"class": "stall", "times": 8}},
            {"folder": "b", "repeat": 2, "complete": True},
        ]
    }
    assert recipes_of(document) == (SetRecipe("a", 1, {"stall": 8}), SetRecipe("b", 2, {}, complete=True))


def test_our_own_added_stalls_are_boxes_inside_their_pictures() -> None:
    path = Path(__file__).resolve().parents[2] / "datasets/street-1/stalls_added.csv"
    added = read_added(path, TAXONOMY)
    boxes = np.concatenate(list(added.values()))
    assert len(boxes) == 9
    assert set(boxes[:, 0]) == {STALL}
    assert (boxes[:, 1:3] - boxes[:, 3:] / 2 >= -1e-6).all()
    assert (boxes[:, 1:3] + boxes[:, 3:] / 2 <= 1 + 1e-6).all()


def test_the_class_map_of_the_data_set_is_what_the_importer_does() -> None:
    described = tomllib.loads((REPOSITORY / "datasets/street-2/dataset.toml").read_text(encoding="utf-8"))
    real = {one["folder"] for one in described["source"] if one["url"]}
    assert set(described["class_map"]) == real
    for names in described["class_map"].values():
        assert {name: TAXONOMY.class_of(name) or "" for name in names} == names
