"""A real street: every vehicle that stands longer than the dwell, once each, none that passes; file and RTSP alike."""

from __future__ import annotations

import json
import subprocess
import threading
import time

import pytest

from tests.e2e import support
from tests.rtsp_server import RtspServer

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not support.INTERSECTION.exists(), reason="the clips beside the checkout are absent"),
]

CARRIAGEWAY = [[0.0, 0.33], [0.45, 0.33], [0.62, 0.42], [1.0, 0.56], [1.0, 1.0], [0.0, 1.0]]
"""The road itself. By hand, frame by frame: all traffic on it flows, nothing stands for 15 s."""
WITH_FORECOURT = [[0.0, 0.28], [1.0, 0.28], [1.0, 1.0], [0.0, 1.0]]
"""With the forecourt behind it, on which one white car (x 0.67, y 0.37) and one dark one (x 0.55, y 0.31) stand."""
SECONDS = 24.95
CLEAR = 0.25
"""Mean score from which a case does not hang on which frames were looked at; 0.2 makes a case. The white car has 0.29
to 0.40 by version, the dark one of 15 px 0.23 at best."""


def places(cases):
    return sorted(round((case["box"]["x0"] + case["box"]["x1"]) / 2, 2) for case in cases)


def near(place, others):
    """Count the places within 2 % of the frame's width, the distance at which cars are told apart here."""
    return sum(abs(place - other) < 0.02 for other in others)


def site(folder, polygon, **keys):
    return support.write_site(folder / "site.toml", [("road", "no_parking", 15, polygon)], **keys)


@pytest.mark.timeout(400)
def test_no_vehicle_that_passes_is_a_case(kerbwatch, tmp_path):
    done = kerbwatch(
        "run", support.INTERSECTION, "--site", site(tmp_path, CARRIAGEWAY), "--data", tmp_path / "d", "--json"
    )
    assert done.code == 0, done.err
    assert done.cases == []


@pytest.fixture(scope="module")
def from_file(tmp_path_factory, kerbwatch):
    folder = tmp_path_factory.mktemp("file")
    words = [
        "run",
        support.INTERSECTION,
        "--site",
        site(folder, WITH_FORECOURT),
        "--data",
        folder / "d",
        "--json",
    ]
    done = kerbwatch(*words)
    assert done.code == 0, done.err
    return done.cases


def test_what_stands_is_a_case_once(from_file):
    assert len(from_file) == len(set(places(from_file)))
    assert any(abs(place - 0.67) < 0.02 for place in places(from_file))
    assert all(min(abs(place - 0.67), abs(place - 0.55)) < 0.02 for place in places(from_file))
    for case in from_file:
        assert case["kind"] == "illegal_parking"
        assert case["variant"] == "motor"


def start_run(folder, port):
    """Start on an address at which nobody answers yet; give the process once it has tried."""
    words = ["run", f"rtsp://127.0.0.1:{port}/live", "--site", site(folder, WITH_FORECOURT)]
    words += ["--data", folder / "d", "--json", "--max-down", "8"]
    process = subprocess.Popen(
        support.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=support.ROOT
    )
    for line in process.stderr:
        if "refused" in line:
            return process
    raise AssertionError("the run ended before it tried to connect")


@pytest.mark.rtsp
@pytest.mark.timeout(300)
@pytest.mark.parametrize("broken", [False, True], ids=["unbroken", "killed in the middle"])
def test_rtsp_gives_the_same_cases(tmp_path, from_file, broken):
    if missing := RtspServer.missing():
        pytest.skip(missing)
    port = support.free_port()
    process = start_run(tmp_path, port)
    server = RtspServer(support.INTERSECTION, port=port, epoch=time.time() + 3)

    def during():
        if broken:
            time.sleep(max(0.0, server.epoch + 9 - time.time()))
            server.kill()
            time.sleep(1.5)
            server.start()
        time.sleep(max(0.0, server.epoch + SECONDS + 1 - time.time()))
        server.kill()

    worker = threading.Thread(target=during)
    worker.start()
    out, err = process.communicate(timeout=180)
    worker.join()
    assert process.returncode == 0, err
    cases = [json.loads(line) for line in out.splitlines()]
    # A live run analyses other frames than the file run (it waits for the network). What the model sees clearly must
    # be there, once, at the same place but for a pixel; a case whose mean score is at the limit may fall on either side.
    clear = [case for case in from_file if case["confidence"] >= CLEAR]
    assert clear
    assert all(near(place, places(cases)) == 1 for place in places(clear)), err
    assert all(near(place, places(from_file)) == 1 for place in places(cases)), err
    assert len(cases) <= len(from_file), err
