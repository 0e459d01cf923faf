"""What a frozen, a garbled and a 4K60 camera do to healthy ones: a part of rtsp_rated_load (`--faults`).

Healthy cameras show the busy street, each at another place of the clip. Their analysed frames are counted
over whole rounds of it (60 s each) before, and over as many from the moment of the faults on, so that both
counts are of the same pictures; three rounds, because in one a camera has 70 analysed frames, and one more
or less of each is more than 1 %: one camera's server is frozen by SIGSTOP, one camera comes that sends
noise, and one of 3840x2160 at 60 fps. The fault of each must be named in the status, and its state in the
metrics, within 10 s.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.clips import Clip
from benchmarks.footage import SECONDS
from benchmarks.rtsp_figures import change
from benchmarks.serving import LoadServer, Look, Serve, Watch, camera_table, site_of, zones_of
from detector.errors import Failure

CHANGE_MAX, NAMED_MAX_S = 0.01, 10.0
"""Issue 4."""
CONNECT_S, SETTLE_S = 90.0, 30.0
ROUNDS = 3
FINE = frozenset({"running"})


def faults(options: Sequence[str], count: int, one: Clip, flood: Clip) -> dict[str, Any]:
    """Let three cameras fall sick beside healthy ones; give and print what changes.

    Args:
        options: of `kerbwatch serve`.
        count: healthy cameras.
        one: what they show, and the frozen and the garbled one.
        flood: of 4K60.
    """
    healthy = [f"cam-{number}" for number in range(count)]
    with (
        tempfile.TemporaryDirectory() as folder,
        LoadServer(one.path, count, SECONDS) as load,
        LoadServer(one.path, 1, 0.0) as freezing,
        LoadServer(one.path, 1, 0.0, garbage_after=0.0) as noise,
        LoadServer(flood.path, 1, 0.0) as big,
    ):
        tables = [camera_table(name, load.url(number)) for number, name in enumerate(healthy)]
        tables.append(camera_table("frozen", freezing.url()))
        site = Path(folder) / "site.toml"
        site.write_text(site_of(one, tables), encoding="utf-8")
        # room for the sick ones as well: it is the bulkheads that are looked at, not the admission
        with (
            Serve(site, Path(folder) / "data", [*options, "--max-load", "1"]) as serve,
            Watch(serve) as watch,
        ):
            _wait(watch, [*healthy, "frozen"])
            before = _counted(watch, healthy)
            fell_at = {"frozen": time.time()}
            freezing.freeze()
            for name, url in (("garbage", noise.url()), ("flood", big.url())):
                fell_at[name] = time.time()
                _add(serve, {**camera_table(name, url), "zone": zones_of(one)})
            during = _counted(watch, healthy)
            measured = serve.metrics()
            named = {name: first_fault(watch.looks, name, at) for name, at in fell_at.items()}
            for name, row in named.items():
                row["in_metrics"] = state_in(measured, name)
    worst: float = max((change({n: before[n]}, {n: during[n]}) for n in healthy), key=abs)
    said = {
        "healthy": count,
        "rounds": ROUNDS,
        "analysed_before": sum(before.values()),
        "analysed_during": sum(during.values()),
        "change": change(before, during),
        "change_worst_camera": worst,
        "faults": named,
    }
    _show(said)
    return said


def _wait(watch: Watch, names: Sequence[str]) -> None:
    """Wait until all run, and until what stood there is reported.

    Raises:
        Failure: not all run in CONNECT_S.
    """
    until = time.monotonic() + CONNECT_S
    while time.monotonic() < until:
        latest = watch.looks[-1].cameras if watch.looks else {}
        if all(latest.get(name, {}).get("state") == "running" for name in names):
            time.sleep(SETTLE_S)
            return
        time.sleep(0.2)
    raise Failure(f"not all of {len(names)} cameras run after {CONNECT_S:.0f} s; take fewer or wait.")


def _counted(watch: Watch, names: Sequence[str]) -> dict[str, float]:
    """Wait for some rounds of the clip; give how many frames of each camera were analysed meanwhile.

    Raises:
        Failure: a camera was not in the status.
    """
    start = time.time()
    time.sleep(ROUNDS * SECONDS + 0.5)
    looks = [
        look.cameras for look in watch.between(start, time.time()) if all(n in look.cameras for n in names)
    ]
    if len(looks) < 2:
        raise Failure(
            "the status did not tell of all healthy cameras; the machine is too busy to measure on."
        )
    return {name: float(looks[-1][name]["analysed"] - looks[0][name]["analysed"]) for name in names}


def _add(serve: Serve, table: Mapping[str, Any]) -> None:
    """Add a camera; that it is refused is an answer too, and status says so."""
    try:
        serve.add(table)
    except Failure as failure:
        print(f"  {failure}", file=sys.stderr)


def first_fault(looks: Sequence[Look], name: str, since: float) -> dict[str, Any]:
    """Give when and how a camera's fault was first named in the status, seconds after `since`.

    That a camera waits for a worker, or has just begun, is no fault of it.
    """
    for look in looks:
        row = look.cameras.get(name)
        if look.at < since or row is None or row["state"] == "starting":
            continue
        if row["fault"] or row["state"] not in FINE:
            return {"named_s": round(look.at - since, 1), "state": row["state"], "fault": row["fault"]}
    return {"named_s": None, "state": None, "fault": ""}


def state_in(metrics: str, name: str) -> str | None:
    """Give a camera's state as Prometheus is told it; None: it is told nothing of it.

    >>> state_in('kerbwatch_camera_state{camera="a",state="silent"} 1.0', "a")
    'silent'
    """
    for line in metrics.splitlines():
        if (
            line.startswith("kerbwatch_camera_state{")
            and f'camera="{name}"' in line
            and line.endswith(" 1.0")
        ):
            found = re.search(r'state="(\w+)"', line)
            return found.group(1) if found else None
    return None


def _show(said: Mapping[str, Any]) -> None:
    print(
        f"{said['healthy']} healthy cameras beside a frozen, a garbled and a 4K60 one: frames analysed in "
        f"{said['rounds']} rounds {said['analysed_before']:.0f} before, {said['analysed_during']:.0f} during "
        f"({said['change']:+.2%}, the worst camera {said['change_worst_camera']:+.2%}); wanted within 1 %: "
        f"{'met' if abs(said['change']) <= CHANGE_MAX else 'NOT MET'}"
    )
    for name, row in said["faults"].items():
        at = row["named_s"]
        when = "not named" if at is None else f"named after {at:.1f} s"
        watched = row["state"] != "refused"  # what is not watched proves nothing about bulkheads
        met = "met" if watched and at is not None and at <= NAMED_MAX_S and row["in_metrics"] else "NOT MET"
        print(
            f"  {name}: {when}: {row['state']}: {row['fault']} (metrics: {row['in_metrics']}): {met}",
            flush=True,
        )
