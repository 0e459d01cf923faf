"""What a worker that was put on some cores may touch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
from pathlib import Path
import numpy as np
from detector.detector import Detector
from detector.registry import resolve
with Detector(resolve("colours@0", Path(sys.argv[2])), hint="throughput", threads=4) as detector:
    for _ in range(3):
        detector.detect(np.zeros((192, 320, 3), np.uint8))
    graph = next(iter(detector._backend._graphs.values()))
    request = graph.take()
    compiled = request.get_compiled_model()
    masks = {line.split()[1] for task in os.listdir("/proc/self/task")
             for line in open(f"/proc/self/task/{task}/status") if line.startswith("Cpus_allowed_list")}
    print(json.dumps({
        "in_flight": detector._backend.in_flight,
        "streams": compiled.get_property("NUM_STREAMS"),
        "threads": compiled.get_property("INFERENCE_NUM_THREADS"),
        "pinned": compiled.get_property("ENABLE_CPU_PINNING"),
        "masks": sorted(masks),
    }))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_a_worker_on_one_core_stays_there_with_one_thread(colour_models):
    core = max(os.sched_getaffinity(0))
    if os.cpu_count() == 1:
        pytest.skip("one core: there is nowhere else to be")
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(core), str(colour_models)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "in_flight": 1,
        "streams": 1,
        "threads": 1,
        "pinned": False,
        "masks": [str(core)],
    }
