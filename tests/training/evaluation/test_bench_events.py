"""`make bench-events`, with runs that are told what to report."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TRUTH = """
clip = "a.mp4"
seconds = 40.0
size = [640, 360]
[[event]]
kind = "road_litter"
xyxy = [64, 36, 128, 72]
from_s = 5.0
to_s = 40.0
"""
SITE = '[site]\nname = "a"\n[[camera]]\nid = "a"\nstarts_at = "2026-06-01T08:00:00+08:00"\n'
CASE = {
    "kind": "road_litter",
    "zone_id": "z",
    "box": {"x0": 0.1, "y0": 0.1, "x1": 0.2, "y1": 0.2},
    "observed_at": "2026-06-01T00:00:17Z",
}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("bench_events", ROOT / "benchmarks" / "events.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "a.toml").write_text(TRUTH)
    (tmp_path / "a.site.toml").write_text(SITE)

    def call(*cases, code=0, clip=True):
        if clip:
            (tmp_path / "a.mp4").touch()
        lines = "".join(json.dumps(case) + "\n" for case in cases)
        done = subprocess.CompletedProcess([], code, lines, "kerbwatch run: the file is no video")
        monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: done)
        report = tmp_path / "report.json"
        monkeypatch.setattr("sys.argv", ["events.py", str(tmp_path / "a.toml"), "--json", str(report)])
        result = module.main()
        return result, json.loads(report.read_text()) if report.is_file() else None

    return call


def test_a_clip_is_run_and_scored(bench, capsys):
    code, report = bench(CASE, {**CASE, "kind": "bin_overflow"})
    assert code == 0
    row = report["clips"]["a.mp4"]
    assert (row["hits"], row["false_alarms"], row["seconds_to_alarm_max"]) == (1, 1, 12.0)
    assert row["false_alarms_are"] == [["bin_overflow", "z", 17.0]]
    assert report["total"]["recall"] == 1.0
    assert "precision 0.50" in capsys.readouterr().out


def test_a_clip_that_is_not_there_is_skipped_by_name(bench, capsys):
    code, report = bench(clip=False)
    assert (code, report["skipped"], report["clips"]) == (0, ["a.mp4"], {})
    assert "a.mp4: the clip is not there" in capsys.readouterr().out


def test_a_run_that_fails_is_one_sentence(bench, capsys):
    code, report = bench(code=1)
    assert (code, report) == (1, None)
    assert "a.mp4: kerbwatch run ended with 1: kerbwatch run: the file is no video" in capsys.readouterr().err
