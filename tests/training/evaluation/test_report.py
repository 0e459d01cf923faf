"""The report folder: tables, plots, sheets; and the verb that writes it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import kerbwatch
from detector.errors import WrongUse
from training.evaluation.measure import measure_model
from training.evaluation.report import check_folder, write_report
from training.evaluation.svg import Panel, counts, panels
from training.evaluation.worst import MOST, faults_of, sheet, tile, write_sheets


@pytest.fixture
def lists(make_list):
    return make_list("bins", ("bin", "garbage")), make_list("streets", ("bin", "car"), 20, 1)


def test_a_report_holds_tables_plots_and_sheets(lists, taxonomy, tmp_path):
    parts = measure_model(lists, taxonomy, rounds=20)
    folder = tmp_path / "out" / "report"
    page = write_report(folder, "street@7 on <two> lists", lists, taxonomy, parts)
    assert page.is_file()
    names = {path.name for path in folder.iterdir()}
    assert names >= {"index.html", "report.md", "figures.json", "false_alarms.jpg", "misses.jpg"}
    assert json.loads((folder / "figures.json").read_text()) == parts
    html, text = page.read_text(), (folder / "report.md").read_text()
    assert "&lt;two&gt;" in html
    for name in names:
        if name.endswith((".svg", ".jpg")):
            assert f'src="{name}"' in html
            assert f"({name})" in text
    for name, row in parts["classes"].items():
        assert f"| {name} | {row['ap50']:.3f} [" in text
    for plot in folder.glob("*.svg"):
        assert ET.parse(plot).getroot().tag.endswith("svg")
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


def test_an_earlier_report_is_replaced_and_anything_else_is_left_alone(lists, taxonomy, tmp_path):
    parts = measure_model(lists, taxonomy, rounds=20)
    folder = tmp_path / "report"
    write_report(folder, "one", lists, taxonomy, parts)
    write_report(folder, "two", lists, taxonomy, parts)
    assert "# two" in (folder / "report.md").read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for place in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        with pytest.raises(WrongUse, match="exists and is no report"):
            check_folder(place)


def test_a_blind_model_has_a_report_too(lists, taxonomy, tmp_path):
    nothing = np.zeros(0)
    blind = tuple(
        replace(
            picture,
            found_xyxy=np.zeros((0, 4)),
            found_score=nothing,
            found_class=nothing.astype(np.int64),
        )
        for picture in lists[0].pictures
    )
    entry = replace(lists[0], pictures=blind, at_work=blind)
    parts = measure_model((entry,), taxonomy, rounds=20)
    assert parts["classes"]["bin"]["ap50_high"] == parts["classes"]["bin"]["precision"] == 0.0
    assert parts["calibration"]["all"]["ece"] is None
    page = write_report(tmp_path / "report", "blind", (entry,), taxonomy, parts)
    assert "nan" not in page.read_text()
    assert not (tmp_path / "report" / "false_alarms.jpg").exists()


def test_faults_are_what_confusion_counts_worst_first(lists, taxonomy):
    limits = {"bin": 0.3, "garbage": 0.3, "car": 0.3}
    parts = measure_model(lists, taxonomy, limits, rounds=20)
    table = np.array(parts["confusion"]["rows"])
    faults = faults_of(lists, taxonomy, limits)
    of_kind = {kind: [f for f in faults if f.kind == kind] for kind in ("misses", "false_alarms", "mixed_up")}
    assert len(of_kind["misses"]) == table[:-1, -1].sum()
    assert len(of_kind["false_alarms"]) == table[-1, :-1].sum()
    assert len(of_kind["mixed_up"]) == table[:-1, :-1].sum() - np.trace(table[:-1, :-1])
    for rows in of_kind.values():
        assert [f.weight for f in rows] == sorted((f.weight for f in rows), reverse=True)


def test_a_sheet_shows_the_worst_and_says_how_many_there_are(lists, taxonomy, tmp_path):
    faults = faults_of(lists, taxonomy, {"bin": 0.99, "garbage": 0.99, "car": 0.99})
    counted = write_sheets(faults, tmp_path)
    assert counted["misses"] > MOST
    image = cv2.imread(str(tmp_path / "misses.jpg"))
    height, width = sheet([tile(faults[0])] * MOST).shape[:2]
    assert image.shape[:2] == (height, width)
    assert not (tmp_path / "mixed_up.jpg").exists()


def test_a_tile_shows_the_fault_in_its_middle_even_at_the_edge(lists, taxonomy):
    fault = replace(faults_of(lists, taxonomy, {})[0], xyxy=(300.0, 220.0, 320.0, 240.0))
    image = tile(fault)
    red = (image[..., 2] > 180) & (image[..., 1] < 90)
    rows, columns = np.nonzero(red)
    assert abs(rows.mean() - 75) < 3
    assert abs(columns.mean() - 75) < 3


def test_plots_are_well_formed_and_titles_escaped():
    text = panels([Panel("a < b", curve=[(0, 1), (1, 0)], point=(0.5, 0.5), diagonal=True)] * 5, "x", "y")
    root = ET.fromstring(text)
    assert text.count("<circle") == 5
    assert int(root.get("height")) > int(root.get("width")) / 4
    assert "a &lt; b" in text
    table = counts(["a", "b"], [[3, 1], [0, 0]], "said", "labelled")
    assert ET.fromstring(table) is not None
    assert table.count("<rect") == 5


SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "in_street_vendor" / "data.yaml"


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_file(), reason="needs the labelled pictures in ../shared/data")
def test_the_verb_writes_the_report_and_the_same_figures(tmp_path, capsys):
    folder = tmp_path / "report"
    command = ["evaluate", str(SHARED), "--model", "street@1", "--json", "--report", str(folder)]
    assert kerbwatch.main(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result)[:6] == ["model", "dataset", "images", "classes", "map50", "map5095"]
    assert set(result) >= {"decoding", "slices", "calibration", "confusion"}
    figures = json.loads((folder / "figures.json").read_text())
    for name, row in result["classes"].items():
        for key in ("ap50", "ap5095", "precision", "recall", "n"):
            assert row[key] == pytest.approx(figures["classes"][name][key], abs=1e-4)


def test_a_folder_that_is_in_use_is_refused_before_anything_is_looked_at(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    (tmp_path / "data.yaml").write_text("val: images\nnames: [bin]\n")
    command = ["evaluate", str(tmp_path / "data.yaml"), "--model", "none@1", "--report", str(tmp_path)]
    assert kerbwatch.main(command) == 2
    assert "is no report" in capsys.readouterr().err
