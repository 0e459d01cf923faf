"""Every format out and back in: the same pictures, labels, splits and ignored regions, boxes within half a pixel."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.errors import Failure, WrongUse
from training.dataset.classes import class_map, translated
from training.dataset.formats import EXPORTERS, IMPORTERS, exporter, importer
from training.dataset.types import EVERY_CLASS, LabelledBox, Sample
from training.labels import load_taxonomy

NAMES = load_taxonomy().names
SIZES = ((64, 48), (33, 71), (200, 40))
KINDS = sorted(EXPORTERS)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("given")
    paths = []
    for number, (width, height) in enumerate(SIZES):
        paths.append(folder / f"图 {number}.png")
        paths[-1].write_bytes(
            cv2.imencode(".png", np.full((height, width, 3), 40 * number, np.uint8))[1].tobytes()
        )
    return tuple(paths)


@st.composite
def labelled_boxes(draw, size):
    left, right = sorted(draw(st.lists(st.floats(0, size[0]), min_size=2, max_size=2)))
    top, bottom = sorted(draw(st.lists(st.floats(0, size[1]), min_size=2, max_size=2)))
    right, bottom = max(right, min(left + 1, size[0])), max(bottom, min(top + 1, size[1]))
    xyxy = (min(left, right - 1), min(top, bottom - 1), right, bottom)
    ignore = draw(st.booleans())
    label = draw(st.sampled_from([*NAMES, EVERY_CLASS] if ignore else NAMES))
    return LabelledBox(label, xyxy, ignore=ignore)


@st.composite
def sample_lists(draw):
    chosen = draw(st.lists(st.sampled_from(range(len(SIZES))), min_size=1, max_size=3, unique=True))
    return [
        (
            number,
            tuple(draw(st.lists(labelled_boxes(SIZES[number]), max_size=4))),
            draw(st.sampled_from(["train", "val", "test"])),
        )
        for number in chosen
    ]


def there_and_back(kind: str, samples: list[Sample], folder: Path) -> tuple[Sample, ...]:
    folder.mkdir()
    exporter(kind).write(samples, NAMES, folder)
    scratch = folder.parent / f"{folder.name}-scratch"
    scratch.mkdir()
    found = importer(kind).load(str(folder), scratch)
    return translated(found, class_map(found.names, load_taxonomy(), {}, kind), NAMES)


def in_order(boxes):
    return sorted(
        boxes, key=lambda box: (box.label, box.ignore, [round(side) for side in box.xyxy], box.xyxy)
    )


counter = itertools.count()


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=sample_lists())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_set_comes_back_as_it_went_out(kind, drawn, pictures, tmp_path_factory):
    samples = [Sample(pictures[n], SIZES[n], boxes, split) for n, boxes, split in drawn]
    back = there_and_back(kind, samples, tmp_path_factory.mktemp("trip") / str(next(counter)))
    assert {sample.path.name: sample.split for sample in back} == {s.path.name: s.split for s in samples}
    found = {sample.path.name: sample for sample in back}
    for sample in samples:
        other = found[sample.path.name]
        assert other.size_px == sample.size_px
        assert len(other.boxes) == len(sample.boxes)
        unmatched = list(other.boxes)
        for box in sample.boxes:
            near = [
                candidate
                for candidate in unmatched
                if (candidate.label, candidate.ignore) == (box.label, box.ignore)
                and np.abs(np.subtract(candidate.xyxy, box.xyxy)).max() <= 0.5
            ]
            assert near, f"{box} is missing among {unmatched}"
            unmatched.remove(near[0])


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_that_share_a_name_stay_apart(kind, pictures, tmp_path):
    twins = []
    for folder, label in (("a", "bin"), ("b", "car")):
        (tmp_path / folder).mkdir()
        for suffix in (".png", ".PNG"):
            path = tmp_path / folder / f"1{suffix}"
            path.write_bytes(pictures[0].read_bytes())
            twins.append(Sample(path, SIZES[0], (LabelledBox(label, (1, 2, 30, 40)),), "train"))
    back = there_and_back(kind, twins, tmp_path / "out")
    assert len({sample.path for sample in back}) == 4
    assert sorted(sample.boxes[0].label for sample in back) == ["bin", "bin", "car", "car"]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"voc", "cvat"}))
def test_scores_of_guesses_survive(kind, pictures, tmp_path):
    guess = LabelledBox("bin", (1, 2, 30, 40), "completed", score=0.75)
    (back,) = there_and_back(kind, [Sample(pictures[0], SIZES[0], (guess,), "train")], tmp_path / "out")
    assert back.boxes[0].score == 0.75


def test_our_own_layout_keeps_provenance(pictures, tmp_path):
    boxes = (
        LabelledBox("bin", (1, 2, 30, 40), "completed", score=0.75),
        LabelledBox("stall", (0, 0, 20, 20), "added", ignore=True),
        LabelledBox("car", (5, 5, 9, 9), "verdict"),
    )
    sample = Sample(pictures[0], SIZES[0], boxes, None, "scene 7", frozenset({"person"}), "cams")
    (back,) = there_and_back("yolo", [sample], tmp_path / "out")
    assert (back.scene, back.source, back.split) == ("scene 7", "cams", None)
    assert "person" in back.unlabelled
    assert {box.label: box.origin for box in back.boxes} == {
        "bin": "completed",
        "stall": "added",
        "car": "verdict",
    }


def test_every_kind_is_a_class_with_the_one_method():
    for kind in set(IMPORTERS) - {"verdicts"}:
        assert callable(importer(kind).load)
    for kind in EXPORTERS:
        assert callable(exporter(kind).write)


def test_an_unknown_format_is_wrong_use():
    with pytest.raises(WrongUse, match="no format 'tfrecord'; wanted one of yolo, coco"):
        importer("tfrecord")


# What strangers write


def a_picture(folder: Path, name: str = "a.png") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.zeros((50, 100, 3), np.uint8))[1].tobytes())
    return path


def coco(
    folder: Path, *, category_id=7, bbox=(1, 2, 3, 4), file_name="a.png", raw: str | None = None
) -> Path:
    a_picture(folder)
    document = {
        "licenses": [{"name": "CC0"}],
        "images": [{"id": 3, "file_name": file_name, "width": 100, "height": 50}],
        "categories": [{"id": 7, "name": "bin"}],
        "annotations": [{"id": 5, "image_id": 3, "category_id": category_id, "bbox": list(bbox)}],
    }
    (folder / "instances_val.json").write_text(raw if raw is not None else json.dumps(document))
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"category_id": 99}, "annotation 5: class 99 is none of its categories"),
        ({"bbox": (float("nan"), 2, 3, 4)}, "annotation 5: a number of the box is not finite"),
        ({"bbox": (5e9, 2, 3, 4)}, r"annotation 5: the box 5e\+09.* is not in its picture of 100x50"),
        ({"bbox": (-5e9, 2, 1e10, 4)}, "is not in its picture"),
        ({"file_name": "../../a.png"}, r"'../../a.png' leads out of the set"),
        ({"file_name": "b.png"}, "picture 'b.png' is not below"),
        ({"raw": "{"}, "is no JSON"),
        ({"raw": "[]"}, "is no COCO instances file"),
        (
            {"raw": '{"images": [], "annotations": [{}], "categories": []}'},
            "annotations.0.image_id: field required",
        ),
    ],
)
def test_coco_that_is_at_fault(change, said, tmp_path):
    with pytest.raises(Failure, match=said):
        importer("coco").load(str(coco(tmp_path, **change)), tmp_path)


def test_coco_states_its_licence_and_split(tmp_path):
    found = importer("coco").load(str(coco(tmp_path)), tmp_path)
    assert (found.licence, found.samples[0].split, found.names) == ("CC0", "val", ("bin",))


def test_a_box_without_area_is_left_out_and_told(tmp_path, caplog):
    found = importer("coco").load(str(coco(tmp_path, bbox=(1, 2, 0, 4))), tmp_path)
    assert found.samples[0].boxes == ()
    assert "annotation 5: a box without area is left out" in caplog.text


VOC = """<annotation>{head}<filename>elsewhere/a.png</filename><size><width>100</width><height>50</height></size>
<object><name>bin</name><difficult>{difficult}</difficult><bndbox><xmin>{xmin}</xmin><ymin>1</ymin><xmax>100</xmax>
<ymax>50</ymax></bndbox></object></annotation>"""


def voc(folder: Path, *, start="", **changed) -> Path:
    a_picture(folder)
    (folder / "a.xml").write_text(start + VOC.format(**{"head": "", "difficult": 0, "xmin": 1} | changed))
    return folder


def test_voc_counts_pixels_from_one(tmp_path):
    (sample,) = importer("voc").load(str(voc(tmp_path)), tmp_path).samples
    assert sample.boxes == (LabelledBox("bin", (0, 0, 100, 50)),)


def test_what_voc_calls_difficult_is_ignored(tmp_path):
    (sample,) = importer("voc").load(str(voc(tmp_path, difficult=1)), tmp_path).samples
    assert sample.boxes[0].ignore


BILLION_LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize("kind", ["voc", "cvat"])
@pytest.mark.parametrize("start", [BILLION_LAUGHS, OUTSIDE, '<!DOCTYPE l SYSTEM "http://127.0.0.1/x.dtd">'])
def test_xml_with_a_document_type_is_refused(kind, start, tmp_path):
    folder = voc(tmp_path, start=start, head="&b;" if "ENTITY b" in start else "")
    (folder / "a.xml").rename(folder / "annotations.xml")
    with pytest.raises(Failure, match=r"annotations.xml: it declares a document type \(l\)"):
        importer(kind).load(str(folder), tmp_path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"xmin": "nan"}, "object 1: bndbox/xmin is not finite"),
        ({"xmin": "5e9"}, "object 1: the box 5e"),
        ({"xmin": "left"}, "bndbox/xmin is 'left', wanted a number"),
        ({"head": "</x>"}, "a.xml: is no XML"),
    ],
)
def test_voc_that_is_at_fault(changed, said, tmp_path):
    with pytest.raises(Failure, match=said):
        importer("voc").load(str(voc(tmp_path, **changed)), tmp_path)


def cvat(folder: Path, areas: str) -> Path:
    a_picture(folder / "images" / "Validation")
    (folder / "annotations.xml").write_text(
        "<annotations><meta><job><labels><label><name>bin</name></label><label><name>stall</name></label></labels>"
        '</job></meta><image id="0" name="a.png" subset="Validation" width="100" height="50">'
        f"{areas}</image></annotations>"
    )
    return folder


def test_cvat_polygons_and_rotated_boxes_become_upright(tmp_path):
    folder = cvat(
        tmp_path,
        '<polygon label="bin" points="10,5;20,30;12.5,40"/>'
        '<box label="stall" xtl="40" ytl="10" xbr="60" ybr="20" rotation="90"/><points label="bin" points="1,1"/>',
    )
    found = importer("cvat").load(str(folder), tmp_path)
    assert found.names == ("bin", "stall")
    assert found.samples[0].split == "val"
    polygon, turned = found.samples[0].boxes
    assert polygon.xyxy == (10, 5, 20, 40)
    assert turned.xyxy == pytest.approx((45, 5, 55, 25))


def test_cvat_of_a_video_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "annotations.xml").write_text('<annotations><track id="0" label="bin"/></annotations>')
    with pytest.raises(WrongUse, match=r"export it as 'CVAT for images 1.1'"):
        importer("cvat").load(str(tmp_path), tmp_path)


def label_studio(folder: Path, *tasks) -> Path:
    a_picture(folder / "images")
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder


def region(**value):
    value = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["bin"]} | value
    return {
        "id": "r1",
        "type": "rectanglelabels",
        "value": value,
        "original_width": 100,
        "original_height": 50,
    }


def task(*regions, image="/data/upload/1/0a1b2c3d-a.png", **more):
    annotation = {"result": list(regions), "was_cancelled": False, "updated_at": "2026-01-02"} | more
    return {"id": 1, "data": {"photo": image}, "annotations": [annotation]}


@pytest.mark.parametrize(
    "image",
    ["/data/upload/1/0a1b2c3d-a.png", "/data/local-files/?d=x/images/a.png", "s3://b/a.png?sig=1", "a.png"],
)
def test_label_studio_is_in_percent_and_finds_its_picture(image, tmp_path):
    (sample,) = (
        importer("label_studio")
        .load(str(label_studio(tmp_path, task(region(), image=image))), tmp_path)
        .samples
    )
    assert sample.boxes == (LabelledBox("bin", (10, 10, 40, 30)),)


def test_label_studio_turns_about_the_corner(tmp_path):
    folder = label_studio(tmp_path, task(region(x=50, y=20, rotation=90)))
    (sample,) = importer("label_studio").load(str(folder), tmp_path).samples
    assert sample.boxes[0].xyxy == pytest.approx((30, 10, 50, 40))


def test_label_studio_tasks_that_nobody_submitted_are_no_negatives(tmp_path):
    skipped = task(region(), was_cancelled=True)
    untouched = {"id": 2, "data": {"image": "a.png"}, "annotations": []}
    with pytest.raises(WrongUse, match="none of its 2 tasks has been submitted"):
        importer("label_studio").load(str(label_studio(tmp_path, skipped, untouched)), tmp_path)


def test_label_studio_takes_what_was_saved_last(tmp_path):
    twice = task(region(rectanglelabels=["car"]))
    twice["annotations"].append({"result": [region()], "updated_at": "2026-01-03"})
    (sample,) = importer("label_studio").load(str(label_studio(tmp_path, twice)), tmp_path).samples
    assert [box.label for box in sample.boxes] == ["bin"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"x": 5e9}, "region r1: the box 5e"),
        ({"rectanglelabels": []}, "region r1: has no label"),
    ],
)
def test_label_studio_that_is_at_fault(value, said, tmp_path):
    with pytest.raises(Failure, match=said):
        importer("label_studio").load(str(label_studio(tmp_path, task(region(**value)))), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_without_labels_is_wrong_use(kind, tmp_path):
    a_picture(tmp_path)
    with pytest.raises(WrongUse, match=r"there (is|are) no"):
        importer(kind).load(str(tmp_path), tmp_path)


def test_a_yolo_list_that_leads_elsewhere_is_refused(tmp_path):
    a_picture(tmp_path / "set" / "images")
    outside = a_picture(tmp_path, "secret.png")
    (tmp_path / "set" / "train.txt").write_text(f"{outside}\n")
    (tmp_path / "set" / "data.yaml").write_text("train: train.txt\nval: train.txt\nnames: [bin]\n")
    with pytest.raises(WrongUse, match=r"secret.png, which is outside"):
        importer("yolo").load(str(tmp_path / "set"), tmp_path)
