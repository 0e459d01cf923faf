"""`make bench-model`: the figures of a card again."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from detector.errors import Failure
from detector.registry import resolve
from training.evaluation.reproduce import Outcome, reproduce

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data" / "in_street_vendor"
SHIPPED = ROOT / "models" / "street" / "1"


@pytest.fixture
def bench():
    spec = importlib.util.spec_from_file_location("bench_model", ROOT / "benchmarks" / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_figures_are_compared_leaf_by_leaf():
    outcome = Outcome()
    outcome.compare("a", {"x": 0.5, "n": 3, "sets": ["one"]}, {"x": 0.5005, "n": 4, "sets": ["one"]})
    assert outcome.same == ["a.x", "a.sets.0"]
    assert outcome.different == [("a.n", 3, 4)]
    assert outcome.furthest == pytest.approx(0.0005)


def test_a_figure_that_only_one_side_has_is_a_difference():
    outcome = Outcome()
    outcome.compare("a", {"x": 0.5}, {"y": 0.5})
    outcome.compare("b", [1, 2], [1])
    assert outcome.different == [("a.x", 0.5, None), ("a.y", None, 0.5), ("b", [1, 2], [1])]


def test_without_pictures_everything_is_skipped_by_name_and_that_is_no_failure(
    bench, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("sys.argv", ["model.py", "--model", "street@1", "--data", str(tmp_path)])
    assert bench.main() == 0
    out = capsys.readouterr().out
    for name in ("cn_garbage_bins", "taco_litter", "in_street_vendor", "parked_scooters", "coco_mini"):
        assert f"skipped    figures on {name}: no such set in" in out
    assert " 0 do not" in out


def test_a_version_without_figures_is_one_sentence(bench, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "street" / "9"
    shutil.copytree(SHIPPED, folder)
    (folder / "metrics.json").unlink()
    monkeypatch.setattr("sys.argv", ["model.py", "--model", f"{folder}/", "--data", str(tmp_path)])
    assert bench.main() == 1
    assert "states no figures" in capsys.readouterr().err


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the labelled pictures in ../shared/data")
def test_what_can_be_measured_reproduces_and_a_wrong_figure_is_found(tmp_path, taxonomy):
    data, folder = tmp_path / "data", tmp_path / "street" / "1"
    data.mkdir()
    (data / SHARED.name).symlink_to(SHARED)
    shutil.copytree(SHIPPED, folder)
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["classes"]["tricycle"]["ap50"] -= 0.1
    metrics["classes"]["stall"]["n"] += 1
    metrics["classes"]["car"]["ap50"] = 0.99  # of a set that is not there: cannot be told
    path.write_text(json.dumps(metrics))
    outcome = reproduce(resolve(f"{folder}/"), taxonomy, data)
    assert [name for name, *_ in outcome.different] == ["classes.tricycle.ap50", "classes.stall.n"]
    assert "classes.stall.ap50" in outcome.same
    assert "completed.stall.ap50" in outcome.same
    assert any(name == "figures on coco_mini" for name, _ in outcome.skipped)


def test_damaged_figures_are_one_sentence(tmp_path, taxonomy):
    folder = tmp_path / "street" / "1"
    shutil.copytree(SHIPPED, folder)
    (folder / "metrics.json").write_text("{")
    with pytest.raises(Failure, match="damaged"):
        reproduce(resolve(f"{folder}/"), taxonomy, tmp_path)
