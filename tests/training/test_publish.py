"""A version is published whole or not at all. Skipped without the extra [train]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("ultralytics", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("onnx", reason="needs pip install 'kerbwatch[train]'")

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True, scope="module")
def prepared() -> None:
    from training.torchvision_shim import install

    install()


def a_request(tmp_path: Path, **changes):
    from training.publish import Request

    plain = {"weights": tmp_path, "run": tmp_path, "base": tmp_path, "data_root": tmp_path}
    return Request(**{**plain, **changes})


def test_versions_count_up(tmp_path: Path) -> None:
    from training.publish import next_version

    assert next_version(tmp_path / "street") == 1
    for name in ("1", "3", ".publishing-x"):
        (tmp_path / "street" / name).mkdir(parents=True)
    assert next_version(tmp_path / "street") == 4


def test_a_version_is_not_written_over_by_accident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.errors import WrongUse
    from training import publish

    monkeypatch.setattr(publish, "_fill", lambda folder, *_: (folder / "card.md").write_text("new"))
    (tmp_path / "street/1").mkdir(parents=True)
    (tmp_path / "street/1/card.md").write_text("old")
    with pytest.raises(WrongUse, match="street@1 is published already"):
        publish.publish(a_request(tmp_path, version=1), tmp_path)
    assert (tmp_path / "street/1/card.md").read_text() == "old"
    assert publish.publish(a_request(tmp_path, version=1, replace=True), tmp_path) == tmp_path / "street/1"
    assert (tmp_path / "street/1/card.md").read_text() == "new"
    assert publish.publish(a_request(tmp_path), tmp_path).name == "2"


@pytest.mark.parametrize("why", ["broken", "large"])
def test_what_goes_wrong_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    from detector.errors import Failure
    from training import publish

    def fill(folder: Path, *_: object) -> None:
        (folder / "street.onnx").write_bytes(b"0" * 13_000_000)
        if why == "broken":
            raise Failure("no pictures")

    monkeypatch.setattr(publish, "_fill", fill)
    with pytest.raises(Failure, match=r"no pictures|at most 12000000"):
        publish.publish(a_request(tmp_path), tmp_path)
    assert list((tmp_path / "street").iterdir()) == []


def a_list(name: str, carried: set[str], truth: list[list[float]], found: list[list[float]], label: int):
    from training.metrics import LabelledPicture
    from training.publish import ValList

    picture = LabelledPicture(
        (100, 100),
        np.array(truth, float).reshape(-1, 4),
        np.full(len(truth), label),
        np.array(found, float).reshape(-1, 4),
        np.linspace(0.9, 0.5, len(found)),
        np.full(len(found), label),
    )
    return ValList(name, frozenset(carried), (Path("a.jpg"),), (picture,))


def test_a_class_is_scored_on_every_list_that_labels_it_and_on_no_other() -> None:
    from training.labels import load_taxonomy
    from training.publish import THRESHOLD_OF_FEW, score_by_class

    taxonomy = load_taxonomy()
    motorcycle = taxonomy.names.index("motorcycle")
    box = [10.0, 10, 50, 50]
    lists = (
        a_list("scooters", {"motorcycle"}, [box], [box], motorcycle),
        a_list("coco", {"motorcycle", "car"}, [box], [], motorcycle),
        a_list("bins", {"bin"}, [], [box, box], motorcycle),  # motorcycles are not labelled there
    )
    rows = score_by_class(lists, taxonomy)
    assert set(rows) == {"motorcycle"}
    assert rows["motorcycle"]["sets"] == ["scooters", "coco"]
    assert rows["motorcycle"]["ap50"] == pytest.approx(0.505, abs=0.01)
    assert rows["motorcycle"]["score_min"] == THRESHOLD_OF_FEW


def test_a_class_with_few_boxes_takes_the_threshold_of_its_kin() -> None:
    from training.metrics import ClassScore, Matches
    from training.publish import threshold_of

    def score(n: int, threshold: float) -> ClassScore:
        hits = np.array([threshold] * n + [0.2] * n)
        return ClassScore(0.5, 0.5, n, Matches(np.zeros(2 * n, np.int64), hits, hits > 0.2, np.array([n])))

    scores = {"car": score(40, 0.41), "bus": score(5, 0.38), "stall": score(9, 0.4)}
    assert threshold_of("car", scores) == 0.41
    assert threshold_of("bus", scores) == 0.38  # the lowest hit of car and bus together
    assert threshold_of("stall", scores) == 0.30
