"""kill -9 of the pipeline and of the API at random moments in a run of 200 reports: 200 cases, none twice."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time

import httpx2
import pytest

from tests.e2e import support

COLUMNS, ROWS, AT_ONCE, STAY, PAUSE = 20, 10, 20, 12, 8
WH = (320, 192)
REPORTS = COLUMNS * ROWS
KILLS = 8


def script():
    """200 cars, each in a cell of its own, 20 at a time for 2.4 s; a dwell of 1 s makes each a case."""
    pictures = {}
    for number in range(REPORTS):
        column, row = number % COLUMNS, number // COLUMNS
        x, y = column * WH[0] / COLUMNS, row * WH[1] / ROWS
        box = (x + 2, y + 3, x + 14, y + 16)
        start = 1 + (number // AT_ONCE) * (STAY + PAUSE)
        for picture in range(start, start + STAY):
            pictures.setdefault(picture, []).append(("car", 0.9, box))
    return pictures, 1 + (REPORTS // AT_ONCE) * (STAY + PAUSE) + 5


def start_api(data, port):
    process = subprocess.Popen(
        [sys.executable, "-m", "api.server", "--data", str(data), "--port", str(port), "--no-desk"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=support.ROOT,
    )
    assert json.loads(process.stdout.readline())["url"]
    return process


def end(process):
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.timeout(540)
def test_kill_9_at_random_moments_loses_no_case_and_makes_none_twice(tmp_path):
    pictures, frames = script()
    clip = support.write_clip(tmp_path / "clip.mp4", frames, WH)
    model = support.write_scripted_model(tmp_path / "model", pictures, WH)
    site = support.write_site(tmp_path / "site.toml", [("kerb", "no_parking", 1, support.WHOLE)])
    port, chance = support.free_port(), random.Random(7)
    api = start_api(tmp_path / "api", port)
    words = ["run", clip, "--site", site, "--model", model, "--backend", "scripted"]
    words += ["--data", tmp_path / "edge", "--api", f"http://127.0.0.1:{port}"]
    killed = {"pipeline": 0, "api": 0}

    def start_pipeline():
        return subprocess.Popen(
            support.command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=support.ROOT
        )

    pipeline = start_pipeline()
    try:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.5, 4.0))
            if chance.random() < 0.5:
                end(api)
                time.sleep(chance.uniform(0.0, 1.0))
                api = start_api(tmp_path / "api", port)
                killed["api"] += 1
            else:
                killed["pipeline"] += pipeline.poll() is None
                end(pipeline)
                pipeline = start_pipeline()
        assert pipeline.wait(timeout=400) == 0
        cases = all_cases(port)
    finally:
        end(pipeline)
        end(api)
    assert killed["pipeline"] >= 2, killed
    assert killed["api"] >= 2, killed
    assert len(cases) == REPORTS
    assert len({case["case_id"] for case in cases}) == REPORTS
    assert len({json.dumps(case["box"]) for case in cases}) == REPORTS
    for case in cases:
        for piece in case["evidence"]:
            suffix = ".mp4" if piece["media_type"] == "video/mp4" else ".jpg"
            sha = piece["sha256"]
            path = tmp_path / "api" / "evidence" / "public" / sha[:2] / (sha + suffix)
            assert hashlib.sha256(path.read_bytes()).hexdigest() == sha


def all_cases(port):
    cases, before = [], None
    while True:
        query = {"limit": 200, **({"before": before} if before else {})}
        page = httpx2.get(f"http://127.0.0.1:{port}/v1/cases", params=query, timeout=30).json()
        cases += page["cases"]
        before = page["next_before"]
        if before is None:
            return cases
