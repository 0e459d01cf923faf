from __future__ import annotations

import threading
import time

import pytest

from ingest.stages import StageClock


def test_counts_from_many_threads() -> None:
    stages = StageClock()

    def work() -> None:
        for _ in range(2000):
            stages.add("decode", 0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stages.counts() == {"decode": 8000}
    assert stages.seconds()["decode"] == pytest.approx(8.0)


def test_a_run_that_breaks_is_counted() -> None:
    stages = StageClock()
    with pytest.raises(ValueError, match="broken"), stages.span("rules"):
        raise ValueError("broken")
    assert stages.counts() == {"rules": 1}
    assert stages.seconds()["rules"] > 0


def test_the_last_run_of_each_stage_can_be_placed_in_time() -> None:
    stages = StageClock()
    before = time.perf_counter()
    for _ in range(2):
        with stages.span("gate"):
            time.sleep(0.01)
    after = time.perf_counter()
    began, ended = stages.laps()["gate"]
    assert before + 0.01 <= began <= ended - 0.01
    assert ended <= after
