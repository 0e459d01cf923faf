"""From reports and decisions to a data set that trains the next model, over a real server."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import httpx2
import numpy as np
import pytest

import kerbwatch
from api.app import Parts, create_app
from training.dataset.manifest import read_manifest
from training.dataset.store import read_set
from training.labels import load_taxonomy
from training.yolo_data import read_boxes, read_data_set, read_ignored

WH = (160, 120)
CAR = {"x0": 0.25, "y0": 0.25, "x1": 0.5, "y1": 0.75}
TRUE_BOX = {"x0": 0.25, "y0": 0.25, "x1": 0.625, "y1": 0.875}


def frame(seed: int) -> bytes:
    blocks = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    image = cv2.resize(blocks, WH, interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


class Street:
    """A pipeline and an operator, as the API sees them."""

    def __init__(self, url, payload):
        self.http = httpx2.Client(base_url=url, trust_env=False)
        self.payload = payload
        self.sha256: dict[int, str] = {}

    def report(self, number, **changes) -> str:
        stills = []
        for sealed in (False, True):
            jpeg = frame(number) if sealed else frame(number + 1000)
            sha256 = hashlib.sha256(jpeg).hexdigest()
            self.http.put(
                f"/v1/evidence/{sha256}", content=jpeg, params={"sealed": sealed}
            ).raise_for_status()
            stills.append(
                {
                    "role": "far",
                    "sha256": sha256,
                    "media_type": "image/jpeg",
                    "size_bytes": len(jpeg),
                    "sealed": sealed,
                    "frame_index": 1,
                    "at": "2026-11-23T01:18:00Z",
                }
            )
        self.sha256[number] = stills[1]["sha256"]
        body = self.payload(number, evidence=stills, box=CAR, **changes)
        return self.http.post("/v1/reports", json=body).raise_for_status().json()["case_id"]

    def review(self, case_id, **said):
        self.http.post(f"/v1/cases/{case_id}/reviews", json={"operator": "li.na", **said}).raise_for_status()


@pytest.fixture
def street(services, served, make_payload):
    """Six cases of three cameras, decided in six ways."""
    with served(create_app(Parts(services=services))) as url:
        street = Street(url, make_payload)
        street.url = url
        street.review(street.report(1, source_id="cam-1"), verdict="confirm")
        street.review(
            street.report(2, source_id="cam-1"),
            verdict="confirm",
            correction={"box": TRUE_BOX, "label": "truck"},
        )
        street.review(
            street.report(3, source_id="cam-2", kind="exposed_garbage", label="garbage", variant=""),
            verdict="reject",
            reason_code="not_there",
        )
        street.review(street.report(4, source_id="cam-2"), verdict="reject", reason="permitted")
        street.review(street.report(5, source_id="cam-3"), verdict="reject", reason="picture_unclear")
        street.review(street.report(6, source_id="cam-3"), verdict="reject", reason="some reason of his own")
        street.report(7)
        yield street
        street.http.close()


def pictures_by_sha256(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in (folder / "images").rglob("*.jpg")}


def run(capsys, *argv) -> tuple[int, str, str]:
    code = kerbwatch.main(["dataset", *map(str, argv)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_decisions_become_the_next_version(street, tmp_path, capsys):
    code, out, err = run(
        capsys, "import", "verdicts", street.url, "--evidence", tmp_path, "--out", tmp_path / "street-3",
        "--name", "street-3", "--val", "0.5", "--json",
    )  # fmt: skip
    assert code == 0, err
    folder, names = tmp_path / "street-3", load_taxonomy().names
    pictures = pictures_by_sha256(folder)
    assert set(pictures) == {street.sha256[number] for number in (1, 2, 3, 4)}

    def boxes(number):
        found = read_boxes(pictures[street.sha256[number]], len(names))
        return [(names[int(row[0])], [round(side, 3) for side in row[1:].tolist()]) for row in found]

    assert boxes(1) == [("car", [0.375, 0.5, 0.25, 0.5])]
    assert boxes(2) == [("truck", [0.438, 0.562, 0.375, 0.625])]  # as the operator corrected it
    assert boxes(3) == []  # no garbage there: a hard negative
    assert boxes(4) == [("car", [0.375, 0.5, 0.25, 0.5])]
    ignored = read_ignored(pictures[street.sha256[3]], len(names))
    garbage = ignored[ignored[:, 0] == names.index("garbage")]
    assert len(garbage) == 4  # left, above, below and right of what was judged
    assert {names[int(row[0])] for row in ignored} == set(names)

    lists = [
        {path.stem for path in read_data_set(folder / "data.yaml", split).pictures}
        for split in ("train", "val")
    ]
    assert lists[0] & lists[1] == set()
    cameras = [{street.sha256[number] for number in pair} for pair in ((1, 2), (3, 4))]
    assert sorted(map(sorted, lists)) == sorted(map(sorted, cameras))  # no camera straddles
    manifest = read_manifest(folder / "dataset.toml")
    (source,) = manifest.source
    assert source.unredacted == 4
    assert source.used_for == "car, truck"
    assert source.verdicts == {
        "confirm": 1,
        "confirm_corrected": 1,
        "reject_not_there": 1,
        "reject_permitted": 1,
        "reject_picture_unclear": 1,
        "reject": 1,
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert json.loads(out)["name"] == "street-3"
    assert kerbwatch.main(["dataset", "check", str(folder)]) == 0
    code, _, err = run(capsys, "export", "coco", folder, "--out", tmp_path / "coco")
    assert (code, "4 pictures show people unblurred" in err) == (0, True)
    assert (tmp_path / "coco").stat().st_mode & 0o777 == 0o700


def test_the_training_set_takes_them_with_their_ignored_regions(street, tmp_path, capsys):
    from training.complete import NOTHING
    from training.importers.street import Added, SetRecipe, build

    argv = ("import", "verdicts", street.url, "--evidence", tmp_path, "--val", "0.5", "--name", "street-3")
    assert run(capsys, *argv, "--out", tmp_path / "sets" / "street-3")[0] == 0
    taxonomy = load_taxonomy()
    recipes = [SetRecipe("street-3", complete=True)]
    build(tmp_path / "sets", tmp_path, tmp_path / "built", recipes, taxonomy, Added(), lambda *_: NOTHING)
    (train,) = (tmp_path / "built" / "labels").iterdir()
    of_train = {path.stem for path in read_data_set(tmp_path / "built" / "data.yaml", "train").pictures}
    classes = len(taxonomy.names)
    for path in train.glob("*.txt"):
        indices = {int(line.split()[0]) for line in path.read_text().splitlines()}
        regions = {index for index in indices if index >= classes}
        wanted = set(range(classes, 2 * classes)) if path.stem in of_train else set()
        assert regions == wanted  # every class is ignored somewhere: nobody looked at all of the picture


def test_they_grow_from_a_parent(street, tmp_path, capsys):
    saved = tmp_path / "verdicts.jsonl"
    page = street.http.get("/v1/verdicts").json()
    saved.write_text("".join(json.dumps(row) + "\n" for row in page["verdicts"]), encoding="utf-8")
    common = ("--evidence", tmp_path, "--val", "0.5")
    first = run(
        capsys, "import", "verdicts", saved, "--out", tmp_path / "street-3", "--name", "street-3", *common
    )
    assert first[0] == 0, first[2]
    before = {
        split: {path.name for path in read_data_set(tmp_path / "street-3" / "data.yaml", split).pictures}
        for split in ("train", "val")
    }
    street.review(street.report(8, source_id="cam-1"), verdict="confirm")
    newest = street.http.get("/v1/verdicts", params={"after": page["verdicts"][-1]["entry"]}).json()
    later = tmp_path / "later.json"
    later.write_text(json.dumps(newest), encoding="utf-8")
    code, _, err = run(
        capsys, "import", "verdicts", later, "--out", tmp_path / "street-4", "--name", "street-4",
        "--parent", tmp_path / "street-3", *common,
    )  # fmt: skip
    assert code == 0, err
    manifest = read_manifest(tmp_path / "street-4" / "dataset.toml")
    assert (manifest.parent, manifest.version) == ("street-3", 2)
    assert [source.verdicts for source in manifest.source][-1] == {"confirm": 1}
    stored = read_set(tmp_path / "street-4")
    assert len(stored.samples) == 5
    by_scene: dict[str, set[str | None]] = {}
    for sample in stored.samples:
        by_scene.setdefault(sample.scene, set()).add(sample.split)
    assert all(len(splits) == 1 for splits in by_scene.values())
    for split, names in before.items():
        now = {path.name for path in read_data_set(tmp_path / "street-4" / "data.yaml", split).pictures}
        assert names <= now


def test_public_stills_without_a_drawn_box_come_over_the_wire(street, tmp_path, capsys):
    code, _, err = run(
        capsys, "import", "verdicts", street.url, "--out", tmp_path / "street-3", "--name", "street-3",
        "--val", "0.5",
    )  # fmt: skip
    assert code == 0, err
    (source,) = read_manifest(tmp_path / "street-3" / "dataset.toml").source
    assert source.unredacted == 0
    assert set(pictures_by_sha256(tmp_path / "street-3")) & set(street.sha256.values()) == set()


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("import", "verdicts", "http://127.0.0.1:9"), 1, "cannot be reached"),
        (("import", "verdicts", "nothing.jsonl"), 2, "cannot be read"),
        (("import", "verdicts", "nothing.jsonl", "--evidence", "nowhere"), 2, "holds no sealed originals"),
        (("import", "verdicts", "nothing.jsonl", "--since", "yesterday"), 2, "a time with its offset"),
        (("import", "yolo", "somewhere", "--evidence", "nowhere"), 2, "belongs to `import verdicts`"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(tmp_path, capsys, argv, code, said):
    got, _, err = run(capsys, *argv, "--out", tmp_path / "out", "--name", "street-3")
    assert (got, err.count("\n")) == (code, 1)
    assert said in err
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_label_of_no_class_is_refused_and_can_be_mapped(street, tmp_path, capsys):
    street.review(street.report(9, source_id="cam-4"), verdict="confirm", correction={"label": "cra"})
    argv = ("import", "verdicts", street.url, "--evidence", tmp_path, "--val", "0.4", "--name", "street-3")
    code, _, err = run(capsys, *argv, "--out", tmp_path / "one")
    assert code == 2
    assert "unknown class 'cra'" in err
    assert not (tmp_path / "one").exists()
    code, _, err = run(capsys, *argv, "--out", tmp_path / "two", "--map", "cra=car")
    assert code == 0, err
