"""`kerbwatch dataset` from the command line: bad input is named and refused, and nothing is left half-imported."""

from __future__ import annotations

import json
import shutil
import tomllib
import zipfile
from pathlib import Path

import cv2
import pytest

import kerbwatch
from tests.training.dataset.sets import a_picture, a_set
from training.dataset.check import check
from training.dataset.store import read_set
from training.yolo_data import read_data_set

LICENCE = ("--licence", "CC0-1.0")


def run(*args: object) -> int:
    return kerbwatch.main(["dataset", *(str(arg) for arg in args)])


def import_from(source: Path, out: Path, *more: object, kind: str = "yolo") -> int:
    return run("import", kind, source, "--out", out, "--name", "small-2", *(more or LICENCE))


@pytest.fixture
def given(tmp_path) -> Path:
    return a_set(tmp_path / "given", manifest="")


def test_a_set_is_imported_whole(given, tmp_path, capsys):
    assert (
        import_from(
            given, tmp_path / "out", *LICENCE, "--json", "--title", "Small", "--url", "https://example.org"
        )
        == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert (answer["name"], answer["train_pictures"], answer["val_pictures"]) == ("small-2", 4, 2)
    assert check(tmp_path / "out") == ()
    manifest = tomllib.loads((tmp_path / "out" / "dataset.toml").read_text())
    assert manifest["licence"] == "CC0-1.0"
    assert manifest["source"] == [
        {
            "folder": "small-2",
            "title": "Small",
            "url": "https://example.org",
            "licence": "CC0-1.0",
            "used_for": "bin, stall",
            "kind": "yolo",
            "pictures": {"train": 4, "val": 2},
        }
    ]
    names = read_data_set(tmp_path / "out" / "data.yaml", "val").names
    assert names[:3] == ("person", "bicycle", "motorcycle")
    assert all("person" in sample.unlabelled for sample in read_set(tmp_path / "out").samples)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given", "out"]


def lines(text):
    return lambda folder: (folder / "labels" / "2.txt").write_text(text)


def cut_picture(folder):
    path = folder / "images" / "2.png"
    path.write_bytes(path.read_bytes()[:-30])


def twin_on_val(folder):
    shutil.copyfile(folder / "images" / "1.png", folder / "images" / "5.png")


BAD = {
    "broken picture": (cut_picture, 1, "2.png is a PNG picture that is cut short or damaged"),
    "NaN": (lines("0 nan 0.5 0.5 0.5\n"), 1, "2.txt:1: a number is not finite"),
    "5e9": (lines("0 0.5 0.5 5e9 0.5\n"), 1, "2.txt:1: wanted fractions of width and height"),
    "class 99": (
        lines("0 0.5 0.5 0.5 0.5\n99 0.5 0.5 0.5 0.5\n"),
        1,
        "2.txt:2: class 99 is not one of 0 to 1",
    ),
    "missing picture": (lambda folder: (folder / "images" / "2.png").unlink(), 1, "2.png does not exist"),
    "empty val": (lambda folder: (folder / "val.txt").write_text(""), 2, "its val is empty"),
    "near-duplicates": (twin_on_val, 1, "looks like images/small-2/1.png on train"),
    "unknown class": (
        lambda folder: (folder / "data.yaml").write_text(
            "train: train.txt\nval: val.txt\nnames: [bin, dodo]\n"
        ),
        2,
        "unknown class 'dodo'; say --map 'dodo=OURS'",
    ),
    "no data.yaml": (lambda folder: (folder / "data.yaml").unlink(), 2, "there is no data.yaml in it"),
}


@pytest.mark.parametrize(("spoil", "code", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_named_and_nothing_is_imported(spoil, code, said, given, tmp_path, capsys):
    spoil(given)
    assert import_from(given, tmp_path / "out") == code
    error = capsys.readouterr().err
    assert said in error.splitlines()[-1]
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_a_set_without_licence_is_refused(given, tmp_path, capsys):
    assert import_from(given, tmp_path / "out", "--title", "x") == 2
    assert "states no licence; say under which one" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_a_manifest_without_licence_is_refused(tmp_path, capsys):
    given = a_set(tmp_path / "given", manifest='name = "small-1"\n')
    assert import_from(given, tmp_path / "out") == 1
    assert "dataset.toml: licence is missing" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


@pytest.mark.parametrize("bad", ["../evil.txt", "/tmp/evil.txt"])
def test_an_archive_that_leads_out_is_refused(bad, given, tmp_path, capsys):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(given.rglob("*")):
            packed.write(path, path.relative_to(given))
        packed.writestr(bad, "evil")
    assert import_from(archive, tmp_path / "sets" / "out") == 1
    assert f"the entry {bad!r} leads out of the folder" in capsys.readouterr().err
    assert list((tmp_path / "sets").iterdir()) == []
    assert not (tmp_path / "sets" / "evil.txt").exists()


@pytest.mark.parametrize("form", ["zip", "gztar", "tar"])
def test_an_archive_is_imported_like_its_folder(form, given, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "set"), form, given, ".")
    assert import_from(Path(archive), tmp_path / "out") == 0
    stored = read_set(tmp_path / "out")
    assert len(stored.samples) == 6
    assert stored.manifest.source[0].title == "set"


def test_a_version_is_never_written_over(given, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert import_from(given, tmp_path / "out") == 2
    assert "exists already" in capsys.readouterr().err


def test_labels_made_on_another_size_are_refused(given, tmp_path, capsys):
    assert run("export", "coco", given, "--out", tmp_path / "coco") == 0
    a_picture(tmp_path / "coco" / "images" / "3.png", 3, size=(128, 96))
    assert import_from(tmp_path / "coco", tmp_path / "out", kind="coco") == 1
    assert "3.png: is 128x96 px, but its labels were made on 64x48" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_map_renames_and_leaves_out(given, tmp_path):
    (given / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [dodo, stall]\n")
    maps = ("--map", "dodo=garbage", "--map", "stall=")
    assert import_from(given, tmp_path / "out", *LICENCE, *maps) == 0
    assert {box.label for sample in read_set(tmp_path / "out").samples for box in sample.boxes} == {"garbage"}
    manifest = tomllib.loads((tmp_path / "out" / "dataset.toml").read_text())
    assert manifest["class_map"] == {"small-2": {"dodo": "garbage", "stall": ""}}


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("dodo", "wanted FOREIGN=OURS"),
        ("bin=dodo", "'dodo' is no class of ours"),
        ("dodo=bin", "has no class 'dodo'"),
    ],
)
def test_a_map_that_makes_no_sense(pair, said, given, tmp_path, capsys):
    assert import_from(given, tmp_path / "out", *LICENCE, "--map", pair) == 2
    assert said in capsys.readouterr().err


def test_near_duplicates_are_kept_together_when_lists_are_drawn(given, tmp_path):
    twin_on_val(given)
    assert import_from(given, tmp_path / "out", *LICENCE, "--split-by-scene", "--val", "0.3") == 0
    splits = {sample.path.stem: sample.split for sample in read_set(tmp_path / "out").samples}
    assert splits["1"] == splits["5"]
    assert set(splits.values()) == {"train", "val"}
    manifest = tomllib.loads((tmp_path / "out" / "dataset.toml").read_text())
    assert manifest["split"]["by"] == "scene"
    assert manifest["split"]["groups"] == 5


def test_one_scene_alone_cannot_be_split(given, tmp_path, capsys):
    pattern = ("--split-by-scene", "--scene-pattern", "(.)png")
    assert import_from(given, tmp_path / "out", *LICENCE, *pattern) == 2
    assert "all 6 pictures belong to 1 scene" in capsys.readouterr().err


def test_a_version_grows_from_its_parent_and_keeps_its_lists(given, tmp_path):
    assert import_from(given, tmp_path / "one") == 0
    more = a_set(tmp_path / "more", train=10, val=3, manifest="")
    for number in range(6):  # the first six are those of the parent, one with a new label
        shutil.copyfile(given / "images" / f"{number}.png", more / "images" / f"{number}.png")
    (more / "labels" / "4.txt").write_text("1 0.25 0.25 0.5 0.5\n")
    grown = run(
        "import",
        "yolo",
        more,
        "--out",
        tmp_path / "two",
        "--name",
        "small-3",
        "--licence",
        "own",
        "--parent",
        tmp_path / "one",
    )
    assert grown == 0
    old = {sample.path.name: sample for sample in read_set(tmp_path / "one").samples}
    new = {sample.path.name: sample for sample in read_set(tmp_path / "two").samples}
    assert len(new) == 13
    assert {name: new[name].split for name in old} == {name: sample.split for name, sample in old.items()}
    assert [box.label for box in new["4.png"].boxes] == ["stall"]
    manifest = tomllib.loads((tmp_path / "two" / "dataset.toml").read_text())
    assert (manifest["parent"], manifest["version"], manifest["licence"]) == ("small-2", 2, "CC0-1.0; own")
    assert [source["folder"] for source in manifest["source"]] == ["small-2", "small-3"]


# The other verbs


def test_check_says_one_line_a_fault_and_exits_by_errors(given, tmp_path, capsys):
    good = a_set(tmp_path / "good")
    assert run("check", good) == 0
    (good / "labels" / "0.txt").write_text("0 0.5 0.5 0.01 0.5\n")
    assert run("check", good) == 0
    (good / "labels" / "1.txt").write_text("99 0.5 0.5 0.01 0.5\n")
    capsys.readouterr()
    assert run("check", good) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "error: labels/1.txt:1: class 99 is not one of 0 to 1. [label-bad]",
        "warning: labels/0.txt:1: bin 0.6x24.0 px is under 3 px; nobody can find it. [box-tiny]",
    ]
    assert "1 errors, 1 warnings" in err
    assert run("check", good, "--json") == 1
    assert json.loads(capsys.readouterr().out)["kinds"] == {"label-bad": 1, "box-tiny": 1}


def test_split_draws_lists_anew_and_the_manifest_says_how(tmp_path, capsys):
    folder = a_set(tmp_path / "set", train=18, val=2)
    before = {path.name for path in folder.iterdir()}
    assert run("split", folder, "--val", "0.3", "--test", "0.1", "--seed", "4") == 0
    assert "12 train, 6 val, 2 test" in capsys.readouterr().out
    assert check(folder) == ()
    manifest = tomllib.loads((folder / "dataset.toml").read_text())
    assert manifest["split"]["seed"] == 4
    assert (manifest["train_pictures"], manifest["val_pictures"], manifest["test_pictures"]) == (12, 6, 2)
    assert {path.name for path in folder.iterdir()} == before | {"test.txt", "samples.jsonl"}


@pytest.mark.parametrize(
    "args", [("--val", "1.5"), ("--val", "nan"), ("--val", "0.6", "--test", "0.5"), ("--scene-bits", "99")]
)
def test_shares_that_make_no_sense(args, tmp_path, capsys):
    folder = a_set(tmp_path / "set")
    lists = (folder / "train.txt").read_text()
    assert run("split", folder, *args) == 2
    assert "kerbwatch dataset: --" in capsys.readouterr().err
    assert (folder / "train.txt").read_text() == lists


def test_stats_go_on_where_a_label_is_at_fault_and_the_report_tells_it(tmp_path, capsys):
    folder = a_set(tmp_path / "set")
    (folder / "labels" / "1.txt").write_text("0 nan 0.5 0.01 0.5\n")
    assert run("stats", folder, "--json", "--report", tmp_path / "report") == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 5
    page = (tmp_path / "report" / "index.html").read_text()
    assert "labels/1.txt:1" in page
    assert "a number is not finite" in page
    assert cv2.imread(str(tmp_path / "report" / "sheet.jpg")) is not None
    assert json.loads((tmp_path / "report" / "stats.json").read_text())["faults"][0]["kind"] == "label-bad"


def test_show_writes_a_sheet(tmp_path):
    folder = a_set(tmp_path / "set")
    out = tmp_path / "sheets" / "a.png"
    assert run("show", folder, "--out", out, "--class", "stall", "--n", 2) == 0
    assert cv2.imread(str(out)).shape[1] > 700


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--class", "dodo"), "--class dodo"),
        (("--n", "0"), "--n 0"),
        (("--out", "sheet.txt"), "wanted a name that ends in .jpg"),
    ],
)
def test_a_sheet_that_makes_no_sense(args, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("show", a_set(tmp_path / "set"), *args) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["yolo", "coco", "voc", "cvat", "label_studio"])
def test_a_set_goes_out_and_comes_back_through_every_format(kind, tmp_path):
    folder = a_set(tmp_path / "set")
    assert run("export", kind, folder, "--out", tmp_path / "there") == 0
    assert import_from(tmp_path / "there", tmp_path / "back", kind=kind) == 0
    labels = {sample.path.name: [box.label for box in sample.boxes] for sample in read_set(folder).samples}
    assert {
        s.path.name: [box.label for box in s.boxes] for s in read_set(tmp_path / "back").samples
    } == labels


def test_an_export_never_writes_over_a_folder(tmp_path, capsys):
    folder = a_set(tmp_path / "set")
    assert run("export", "coco", folder, "--out", folder) == 2
    assert "exists already" in capsys.readouterr().err
