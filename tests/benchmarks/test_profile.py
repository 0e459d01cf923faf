"""The profile: what it puts down to whom, that it adds up, and that its page is made of the results."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from benchmarks import cpu_profile, profile_page, sampling
from benchmarks.clips import site_text
from benchmarks.machine import RESULTS
from benchmarks.sampling import Sampler, where
from detector.errors import Failure
from ingest.shots import shrink

ROOT = RESULTS.parents[1]


@pytest.mark.parametrize("module", [sampling, profile_page], ids=lambda m: m.__name__)
def test_doctests(module):
    assert doctest.testmod(module).failed == 0


def burn(seconds):
    """Take so much CPU time of this thread in `ingest.shots`."""
    image = np.zeros((1080, 1920, 3), np.uint8)
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        shrink(image, 0.7)


@pytest.fixture
def one_thread_each():
    """OpenCV computes where it is called, not in threads of its own that bear their creator's name."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("one_thread_each")
def test_what_a_thread_takes_is_put_down_to_its_step_and_all_adds_up():
    with Sampler() as sampler:
        threads = [
            threading.Thread(target=burn, args=(seconds,), name=name)
            for name, seconds in (("evidence a", 0.6), ("camera a", 0.3))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    by_thread = {
        kind: sum(took for (of, _), took in sampler.spent.items() if of == kind)
        for kind in ("evidence", "camera")
    }
    assert by_thread["evidence"] == pytest.approx(0.6, rel=0.25)
    assert by_thread["camera"] == pytest.approx(0.3, rel=0.4)
    assert sampler.spent["evidence", "stills"] > 0.4
    assert sum(sampler.spent.values()) == pytest.approx(sampler.whole_s, rel=0.1)
    rows = sampler.rows(10.0)
    assert rows[0]["thread"] == "evidence"
    assert sum(row["share"] for row in rows) == pytest.approx(1.0, rel=0.1)


def test_what_is_not_ours_is_the_rest():
    assert where(sys._getframe()) == "rest"
    assert where(None) == "rest"


def test_steps_name_files_that_are_there():
    for path in sampling.STEPS:
        assert list(ROOT.glob(path)), path


def test_the_pipeline_on_a_clip(stage, short_clip, tmp_path):
    site = tmp_path / "site.toml"
    site.write_text(site_text(stage))
    words = ["--work", "file", str(short_clip), str(site), "--gate", "every"]
    done = subprocess.run(
        [sys.executable, cpu_profile.__file__, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-800:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["analysed"], said["decoded"]) == (10, 50)
    spent = {(row["thread"], row["step"]): row["ms"] for row in said["rows"]}
    assert spent["camera", "network"] > 0
    assert spent["camera", "decode"] > 0
    assert sum(spent.values()) == pytest.approx(said["cost_ms"], rel=0.1)


def test_the_page_is_what_the_results_say():
    assert profile_page.PAGE.read_text(encoding="utf-8") == profile_page.page(RESULTS), "run `make profile`"


def test_a_result_that_is_missing_is_named(tmp_path):
    with pytest.raises(Failure, match=r"cameras_per_core\.json is missing or broken .*cameras_per_core\.py"):
        profile_page.page(tmp_path)


def test_what_was_not_measured_is_not_met(tmp_path):
    for name in profile_page.SECTIONS:
        (tmp_path / f"{name}.json").write_bytes((RESULTS / f"{name}.json").read_bytes())
    lines = [line for line in profile_page.page(tmp_path).splitlines() if "not measured" in line]
    assert len(lines) == 5
    assert all("| NOT MET |" in line for line in lines)


def test_events_that_are_missing_meet_nothing():
    rated = {
        "cameras": 40,
        "states": {"running": 40},
        "substream": False,
        "cores": 2,
        "keeps_up": True,
        "age_s": [0.2, 0.8, 0.9],
        "event_to_case_s": [1.0, 2.0, 2.5],
        "events_due": 30,
        "events_missing_n": 0,
    }
    wanted = {"cameras": {"main": 40, "substream": 100}, "age_p95_s": 1.0, "event_to_case_p95_s": 3.0}
    said = {"rows": {"rated": rated}, "wanted": wanted}
    assert [met for *_, met in profile_page._rated(said)] == [True, True, True]
    rated |= {"events_missing_n": 1, "age_s": [0.2, None, None], "states": {"running": 39, "refused": 1}}
    assert [met for *_, met in profile_page._rated(said)] == [False, False, False]
