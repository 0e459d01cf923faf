"""Which model teaches which class. Needs no torch but where a model is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.errors import WrongUse

pytest.importorskip("torch", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("ultralytics", reason="needs pip install 'kerbwatch[train]'")

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore")]

VERSION = "street@1"


@pytest.fixture(autouse=True, scope="module")
def prepared() -> None:
    from training.torchvision_shim import install

    install()


def classes_of(teacher) -> set[str]:
    from training.labels import load_taxonomy

    return {load_taxonomy().names[index] for index in teacher.of}


def test_a_version_teaches_what_it_is_asked_for_and_the_base_the_rest(tmp_path: Path) -> None:
    from training.teachers import published, teachers_of

    base = published(VERSION, tmp_path)
    first, second = teachers_of(base, {VERSION: ["stall", "bin"]}, tmp_path)
    assert classes_of(second) == {"stall", "bin"}
    assert {"person", "car", "litter"} <= classes_of(first)
    assert not classes_of(first) & {"stall", "bin"}
    (alone,) = teachers_of(base, {}, tmp_path)
    assert {"person", "stall", "bin"} <= classes_of(alone)


def test_what_a_version_cannot_teach_and_what_two_would_teach_is_refused(tmp_path: Path) -> None:
    from training.teachers import published, teachers_of

    base = published(VERSION, tmp_path)
    with pytest.raises(WrongUse, match="street@1 cannot teach kiosk: it has no such class"):
        teachers_of(base, {VERSION: ["kiosk"]}, tmp_path)
    with pytest.raises(WrongUse, match="bin is taught by two versions"):
        teachers_of(base, {VERSION: ["bin"], "street@2": ["bin"]}, tmp_path)


@pytest.mark.parametrize("teachers", [["street@1"], {"street@1": "bin"}, "street@1"])
def test_teachers_that_are_no_table_are_refused(tmp_path: Path, teachers) -> None:
    from training.teachers import teachers_of

    with pytest.raises(WrongUse, match="is no table of versions; write"):
        teachers_of(tmp_path / "never opened.pt", teachers, tmp_path)


def test_a_last_stage_that_makes_no_sense_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    from training.teachers import published
    from training.train import run_stages

    base = published(VERSION, tmp_path)
    for wrong in ({"teachers": {VERSION: ["kiosk"]}}, {"take_epoch": 9}):
        stages = [{"name": "one", "epochs": 1}, {"name": "two", "epochs": 1, **wrong}]
        config = {"name": "r", "data": {"set": []}, "train": {"device": "cpu"}, "stage": stages}
        with pytest.raises(WrongUse, match=r"no such class|from 1 to 1"):
            run_stages(config, base, tmp_path / "no pictures here", tmp_path / "work")


def test_two_teachers_both_draw_the_scores_of_their_classes() -> None:
    import torch

    from tests.training.test_loss import a_batch, a_network
    from training.loss import StreetLoss

    model = a_network()
    model.distil = 1.0
    batch = a_batch()
    preds = model(batch["img"])
    preds["scores"].retain_grad()
    boxes = preds["boxes"].detach()
    ones = torch.full((1, 1, boxes.shape[2]), 3.0)
    batch["teachers"] = [{"scores": ones, "of": [index], "boxes": boxes} for index in (0, 2)]
    loss, _ = StreetLoss(model)(preds, batch)
    loss.sum().backward()
    first, nobody, second = preds["scores"].grad[0]
    assert (first < 0).all()
    assert (second < 0).all()
    assert (nobody > 0).all()
