from __future__ import annotations

import cv2
import numpy as np
import pytest

from detector.errors import Failure, WrongUse
from training.dataset.formats.verdicts import VerdictImporter
from training.labels import load_taxonomy
from training.verdicts.pictures import has_outline

BOX = {"x0": 0.25, "y0": 0.25, "x1": 0.5, "y1": 0.75}
SIZE_PX = (80, 60)


def load(centre, tmp_path, **options):
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return VerdictImporter(**options).load(str(centre.file), scratch)


@pytest.fixture
def outlined(street):
    """Give a public far still as the pipeline makes it: the box in red on white."""
    from ingest.stills import jpeg, outlined

    image = cv2.imdecode(np.frombuffer(street(1, (320, 240)), np.uint8), cv2.IMREAD_COLOR)
    return jpeg(outlined(image, (80, 60, 160, 180)))


def test_originals_become_samples(centre, tmp_path):
    centre.decide()
    centre.decide("reject", reason_code="not_there", source_id="cam-2")
    centre.decide("reject", reason_code="picture_unclear")
    centre.decide(by="auto")
    found = load(centre, tmp_path, evidence=centre.data)
    assert [sample.size_px for sample in found.samples] == [SIZE_PX] * 2
    assert [sample.scene for sample in found.samples] == ["camera:cam-1", "camera:cam-2"]
    assert set(found.names) == set(load_taxonomy().names)
    assert found.unredacted == 2
    assert found.verdicts == {
        "confirm": 1,
        "reject_not_there": 1,
        "reject_picture_unclear": 1,
        "confirm_auto": 1,
    }
    assert all(sample.path.is_file() for sample in found.samples)
    assert found.licence


def test_the_evidence_folder_itself_will_do(centre, tmp_path):
    centre.decide()
    assert load(centre, tmp_path, evidence=centre.data / "evidence").samples


def test_two_cases_of_one_frame_are_one_picture(centre, tmp_path, street):
    jpeg = street(7)
    centre.decide(jpeg=jpeg)
    centre.decide(jpeg=jpeg, box={**BOX, "x0": 0.6, "x1": 0.9})
    centre.decide("reject", jpeg=jpeg, reason_code="picture_unclear", box={**BOX, "x0": 0.0, "x1": 0.1})
    found = load(centre, tmp_path, evidence=centre.data)
    (sample,) = found.samples
    assert sum(not box.ignore for box in sample.boxes) == 2
    assert any(box.label == "*" for box in sample.boxes)


def test_aliases_become_our_names_and_unknown_ones_are_left_to_be_refused(centre, tmp_path, caplog):
    centre.decide(correction={"label": "motorbike"})
    centre.decide(correction={"label": "cra"})
    found = load(centre, tmp_path, evidence=centre.data)
    assert [box.label for sample in found.samples for box in sample.boxes if not box.ignore] == [
        "motorcycle",
        "cra",
    ]
    assert "cra" in found.names
    assert centre.rows[1]["case_id"] in caplog.text


def test_without_the_originals_it_says_what_is_missing(centre, tmp_path, outlined):
    row = centre.decide(jpeg=b"")
    row["stills"] = [centre.keep(outlined, sealed=False)]
    centre.decide(jpeg=b"")
    with pytest.raises(Failure, match="--evidence") as raised:
        load(centre, tmp_path)
    assert "2 have no picture" in str(raised.value)
    with pytest.raises(Failure, match="1 has no picture and 1 has the box drawn"):
        load(centre, tmp_path, evidence=centre.data)


def test_a_clean_public_still_will_do(centre, tmp_path, street):
    row = centre.decide(jpeg=b"")
    row["stills"] = [centre.keep(street(3), sealed=False)]
    centre.decide(jpeg=b"")
    found = load(centre, tmp_path, evidence=centre.data)
    assert len(found.samples) == 1
    assert found.unredacted == 0


def test_a_drawn_box_is_seen_and_a_red_street_is_not_one(street, outlined):
    image = cv2.imdecode(np.frombuffer(outlined, np.uint8), cv2.IMREAD_COLOR)
    assert has_outline(image, (80, 60, 160, 180))
    assert not has_outline(image, (20, 20, 60, 50))
    plain = cv2.imdecode(np.frombuffer(street(1, (320, 240)), np.uint8), cv2.IMREAD_COLOR)
    assert not has_outline(plain, (80, 60, 160, 180))
    assert not has_outline(np.zeros((10, 10, 3), np.uint8), (0, 0, 10, 10))


def test_a_damaged_original_is_named_and_nothing_is_taken(centre, tmp_path, street):
    row = centre.decide()
    path = next((centre.data / "evidence" / "sealed").rglob("*.jpg"))
    path.write_bytes(street(99))
    with pytest.raises(Failure, match="is not the picture that was judged") as raised:
        load(centre, tmp_path, evidence=centre.data)
    assert row["stills"][0]["sha256"] in str(raised.value)
    path.write_bytes(b"\xff\xd8\xff\xe0 cut short")
    with pytest.raises(Failure, match="cut short or damaged"):
        load(centre, tmp_path, evidence=centre.data)


def test_a_folder_without_originals_is_wrong_use(centre, tmp_path):
    centre.decide()
    with pytest.raises(WrongUse, match="holds no sealed originals"):
        load(centre, tmp_path, evidence=tmp_path / "scratch")


@pytest.mark.parametrize("reason", ["picture_unclear", "duplicate", None])
def test_decisions_that_teach_nothing_are_said_to(centre, tmp_path, reason):
    centre.decide("reject", reason_code=reason)
    with pytest.raises(Failure, match="none says what is or is not in a picture"):
        load(centre, tmp_path, evidence=centre.data)


def test_no_decision_at_all(centre, tmp_path):
    centre.file.write_text("")
    with pytest.raises(Failure, match="there is no decision in it"):
        load(centre, tmp_path, evidence=centre.data)
