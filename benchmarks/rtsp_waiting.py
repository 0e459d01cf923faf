"""Waiting until what a `serve` does over many cameras can be counted: who is in, what stood there is told."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.rtsp_figures import LetIn, let_in
from benchmarks.serving import Watch
from detector.errors import Failure

SETTLE_S = 5.0
"""From when everything that stood there is reported to the begin of the count."""
WARM_S = 60.0
"""So long that is waited for at most."""
CONNECT_S = 240.0
"""So long is waited for at most until admission has taken in or refused every camera, by what the first ones
were measured to cost (which takes half a minute, and again as long to see who was taken in wrongly)."""
DECIDED_S = 45.0
"""What has stood for so long is admission's answer: by then it knows what those cost that it took in."""


def wait_decided(watch: Watch, names: Sequence[str], connect_s: float = CONNECT_S) -> tuple[float, LetIn]:
    """Wait until admission sticks to what it has decided: all cameras run, or are refused.

    Returns:
        how long that took, seconds, and who was let in.

    Raises:
        Failure: none was running in `connect_s`.
    """
    began = since = time.monotonic()
    found = let_in({}, names)
    while (now := time.monotonic()) - began < connect_s:
        latest = let_in(watch.looks[-1].cameras if watch.looks else {}, names)
        if (latest.running, latest.refused.keys()) != (found.running, found.refused.keys()):
            since = now
        found = latest
        if found.decided and found.running and now - since >= DECIDED_S:
            break
        time.sleep(0.2)
    if not found.running:
        said = [*found.refused.values(), *found.others.values()][:2]
        raise Failure(f"no camera runs after {connect_s:.0f} s: {said}")
    return time.monotonic() - began, found


def wait_reported(watch: Watch, names: Sequence[str]) -> float:
    """Wait until every camera has reported what stood there when it came, and a little; give how long.

    What stands there at the beginning is reported by all cameras within a few seconds; that is no rated load.
    """
    began = time.monotonic()
    while time.monotonic() - began < WARM_S:
        told = {case["source_id"] for case in list(watch.cases.values())}
        if told.issuperset(names):
            break
        time.sleep(0.2)
    time.sleep(SETTLE_S)
    return time.monotonic() - began
