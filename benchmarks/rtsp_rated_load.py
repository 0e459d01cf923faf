"""Paced cameras over RTSP by the real `kerbwatch serve`: how many hold, what three sick ones do to others.

python benchmarks/rtsp_rated_load.py [--cameras 40] [--seconds 60] [--no-faults]   rated load, then faults
python benchmarks/rtsp_rated_load.py --search [--quick]   the most cameras that keep up: doubled, then halved
python benchmarks/rtsp_rated_load.py --substream [...]      640x360 analysed, main streams for evidence only
python benchmarks/rtsp_rated_load.py --faults               faults alone: see benchmarks/rtsp_faults.py

Every camera is 1080p25 4 Mbit/s, the typical street, each at another place of the clip (so they start one
after the other), at 5 analysed frames a second when active. Counting begins when all run and have reported
what stood there already. A camera holds if it was always running, all its pictures came and at most 1 % of
the frames that were due were lost. A rate holds if every camera does and 95 % of all analysed frames were at
most 1 s old: from when the picture came (by the stream's own clock, so what waited in the kernel counts) to
the end of its analysis. What is decoded looking back is up to a group of pictures (2 s) old by design, with
one camera as with forty; so a search goes by the lag: how old the newest picture taken was when an analysis
ended, which must be 1 s at most for 95 %. Ages are told beside it and decide what is "met".

Each event of the clips must become a case; its delay runs from the end of the dwell (by the clip)
to the first answer of GET /v1/cases with it.

Admission may refuse cameras for lack of room; when nothing has changed about who is in for 45 s, that is its
answer. A rated load is then counted with the cameras that are let in, says so first, and has not held; a
search counts nothing: so many cameras do not hold. What is said for a camera is for one that is watched.

The RTSP server (it sends coded packets again and encodes nothing) and this program run on the same cores;
what they take is given. About 3 minutes for a rate, 3 for faults, 15 for a search (--quick: a count of 30 s,
8 cameras unless said otherwise, no faults; a search of 12 minutes).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.clips import Clip, add_arguments, clip
from benchmarks.footage import DWELL_S, SECONDS
from benchmarks.machine import RESULTS, describe, how_many, machine_cpu_s, result, save, usable_cores
from benchmarks.rtsp_faults import CHANGE_MAX, NAMED_MAX_S, faults
from benchmarks.rtsp_figures import (
    AGE_MAX_S,
    LetIn,
    all_hold,
    delays,
    dues,
    held,
    in_time,
    keep_up,
    largest,
    percentiles,
    summed,
    watched,
)
from benchmarks.rtsp_waiting import wait_decided, wait_reported
from benchmarks.serving import LoadServer, Serve, Watch, camera_table, options_of, site_of, tree_cpu_s
from detector.errors import Failure
from detector.registry import resolve
from ingest.fleet.ages import quantile

RATED = {"main": 40, "substream": 100}
EVENT_TO_CASE_S = 3.0
WANTED = {
    "cameras": RATED,
    "age_p95_s": AGE_MAX_S,
    "event_to_case_p95_s": EVENT_TO_CASE_S,
    "change": CHANGE_MAX,
    "named_s": NAMED_MAX_S,
}
"""Issue 4."""
GRACE_S = 12.0
"""So long an event's case is still awaited after the count."""
STEP = 2
"""A search is over when the answer is known to so many cameras."""


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=how_many, help="at rated load (default 40, by substreams 100)")
    parser.add_argument(
        "--substream", action="store_true", help="analyse 640x360, open the main stream for evidence only"
    )
    parser.add_argument("--search", action="store_true", help="find the most cameras that hold")
    parser.add_argument("--first", type=int, default=8, help="cameras that a search begins with (8)")
    parser.add_argument("--most", type=int, help="most cameras of a search (64, by substreams 160)")
    parser.add_argument("--seconds", type=float, help="of the count (60, a round of the clip)")
    parser.add_argument("--fault-cameras", type=int, default=4, help="healthy ones beside the sick (4)")
    parser.add_argument("--no-faults", action="store_true")
    parser.add_argument("--faults", action="store_true", help="faults alone")
    parser.add_argument("--quick", action="store_true", help="a count of 30 s, 8 cameras, no faults")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/rtsp_rated_load.json")
    ours.add_arguments(parser)
    add_arguments(parser)
    args = parser.parse_args()
    rated = RATED["substream" if args.substream else "main"]
    args.cameras = args.cameras or (min(rated, 8) if args.quick else rated)
    args.most = args.most or (160 if args.substream else 64)
    args.seconds = args.seconds or (SECONDS / 2 if args.quick else SECONDS)
    try:
        return measure(args)
    except Failure as failure:
        print(f"rtsp_rated_load: {failure}", file=sys.stderr)
        return failure.exit_code


def measure(args: argparse.Namespace) -> int:
    """Do what is asked."""
    sick = args.faults or not (args.no_faults or args.quick or args.search or args.substream)
    one = clip("typical", "plain", args.folder, args.street)
    small = clip("typical", "sub", args.folder, args.street) if args.substream else None
    busy = clip("busy", "plain", args.folder, args.street) if sick else None
    flood = clip("typical", "uhd60", args.folder, args.street) if sick else None
    machine = describe()
    print(f"{machine['processor']}, {machine['cores']} cores; {machine.get('warning', 'idle at the start')}")
    rows: dict[str, Any] = {}
    if args.search and not args.faults:
        rows["search"] = search(args, one, small)
    elif not args.faults:
        rows["rated"] = rated_load(args, one, small, args.cameras)
    if busy and flood:
        rows["faults"] = faults(options_of(args), args.fault_cameras, busy, flood)
    document = result(
        "rtsp_rated_load",
        rows,
        args.cameras,
        "percentiles over cameras and time, ages within classes taken for evenly spread",
        machine=machine,
        model=resolve(args.model).ref,
        gate=args.gate,
        wanted=WANTED,
    )
    names = ["rtsp", "substream" if small else "rated_load", *(["search"] if args.search else [])]
    save(document, args.json or RESULTS / f"{'_'.join(names)}{'_faults' if args.faults else ''}.json")
    return 0


def search(args: argparse.Namespace, one: Clip, small: Clip | None) -> dict[str, Any]:
    """Find the most cameras that hold; give all that was tried."""
    tried: list[dict[str, Any]] = []

    def holds(count: int) -> bool:
        try:
            tried.append(rated_load(args, one, small, count, all_or_none=True))
        except Failure as failure:
            print(f"{count} cameras: {failure}", flush=True)
            tried.append({"cameras": count, "keeps_up": False, "holds": False, "failure": str(failure)})
        return bool(tried[-1]["keeps_up"])

    found = largest(holds, args.first, args.most, STEP)
    wanted = RATED["substream" if small else "main"]
    at_most = next((row for row in tried if row["cameras"] == found), None)
    in_age = at_most is not None and at_most["holds"]
    print(
        f"the most cameras that keep up: {found} on {usable_cores()} cores, ages of their frames: "
        f"{_met(in_age)}; wanted {wanted} on 2: {_met(in_age and found >= wanted)}"
    )
    return {"most": found, "in_age": in_age, "step": STEP, "tried": tried}


def rated_load(
    args: argparse.Namespace, one: Clip, small: Clip | None, cameras: int, *, all_or_none: bool = False
) -> dict[str, Any]:
    """Run so many cameras; give and print what came of it.

    Args:
        args: of the command.
        one: the clip, and its substream, if that is to be analysed.
        small: the same as a substream, which is analysed; None: `one` is.
        cameras: how many.
        all_or_none: count nothing if not all are let in.

    Raises:
        Failure: a process did not start, or no camera runs.
    """
    names = [f"cam-{number}" for number in range(cameras)]
    with (
        tempfile.TemporaryDirectory() as folder,
        LoadServer((small or one).path, cameras, SECONDS) as load,
        LoadServer(one.path, cameras, SECONDS, epoch=load.epoch) as main_streams,
    ):
        tables = [camera_table(name, load.url(number)) for number, name in enumerate(names)]
        for number, table in enumerate(tables if small else []):
            table["evidence_source"] = main_streams.url(number)
        site = Path(folder) / "site.toml"
        site.write_text(site_of(one, tables), encoding="utf-8")
        options = [*options_of(args), "--max-load", "1"]
        with Serve(site, Path(folder) / "data", options) as serve, Watch(serve) as watch:
            connected_s, found = wait_decided(watch, names)
            if all_or_none and found.refused:
                return not_let_in(cameras, found, connected_s)
            warm_s = wait_reported(watch, found.running)
            servers = (load.process.pid, main_streams.process.pid)
            start, before = time.time(), _spent(serve, servers)
            time.sleep(args.seconds)
            end, after = time.time(), _spent(serve, servers)
            workers = serve.status()
            time.sleep(GRACE_S)
        said = rated_figures(one, names, found.running, load, watch, (start, end))
    seconds = end - start
    shares = {what: round((after[what] - before[what]) / seconds, 3) for what in after}
    serve_share = sum(shares[what] for what in ("workers", "supervisor", "api"))
    said |= {
        "substream": small is not None,
        "cores": usable_cores(),
        "connected_s": round(connected_s, 1),
        "warm_s": round(warm_s, 1),
        "seconds": round(seconds, 1),
        "cores_used": shares,
        "serve_per_camera": round(serve_share / said["watched"], 4) if said["watched"] else None,
        "refused": len(found.refused),
        "refusal": next(iter(found.refused.values()), ""),
        "workers": [
            {"rss_mb": round(row["rss_bytes"] / 1e6), "cpu_share": round(row["cpu_share"], 2)}
            for row in workers
            if row["cores"]
        ],
    }
    show_rated(said)
    return said


def _spent(serve: Serve, servers: Sequence[int]) -> dict[str, float]:
    """Give the CPU seconds so far by who took them, and those of the whole machine."""
    return {
        **serve.cpu_s(),
        "rtsp_server": sum(tree_cpu_s(pid) for pid in servers),
        "benchmark": time.process_time(),
        "machine": machine_cpu_s(),
    }


def not_let_in(cameras: int, found: LetIn, connected_s: float) -> dict[str, Any]:
    """Give and print the answer that so many cameras do not fit."""
    said = {
        "cameras": cameras,
        "let_in": len(found.running),
        "refused": len(found.refused),
        "refusal": next(iter(found.refused.values())),
        "connected_s": round(connected_s, 1),
        "keeps_up": False,
        "holds": False,
    }
    print(f"{cameras} cameras do not hold{_only(said)}; decided after {connected_s:.0f} s", flush=True)
    return said


def rated_figures(
    one: Clip,
    names: Sequence[str],
    running: Sequence[str],
    load: LoadServer,
    watch: Watch,
    window: tuple[float, float],
) -> dict[str, Any]:
    """Give what the looks of the window say.

    Args:
        one: the clip.
        names: of all cameras.
        running: those that were let in when the count began; events are due of them.
        load: who sends the clip.
        watch: has asked for status and cases.
        window: of the count, wall-clock seconds.
    """
    truth = json.loads(one.truth.read_text(encoding="utf-8"))
    looks = [look.cameras for look in watch.between(*window)]
    rows = [held(looks, name, window[1] - window[0]) for name in names]
    due = [
        event
        for number, name in enumerate(names)
        if name in running
        for event in dues(name, truth["events"], load.epoch - load.ahead_s(number), window, SECONDS, DWELL_S)
    ]
    late, missing, twice = delays(due, list(watch.cases.values()), watch.seen_at)
    counts, aged = summed(row.counts for row in rows), summed(row.ages for row in rows)
    lagged = summed(row.lags for row in rows)
    worst = [row.age_p95_s for row in rows if row.age_p95_s is not None]
    stages = summed(_stages(looks, name) for name in names)
    ran = watched(looks)
    camera_s = max(ran, 1e-9) * (window[1] - window[0])
    return {
        "cameras": len(names),
        "let_in": len(running),
        "watched": ran,
        "holds": all_hold(rows),
        "keeps_up": keep_up(rows),
        "holding": sum(row.holds for row in rows),
        "states": dict(Counter(state for row in rows for state in row.states)),
        "not_holding": [row.__dict__ for row in rows if not row.holds][:5],
        "looks": len(looks),
        "age_s": [quantile(aged, share) for share in (0.5, 0.95, 0.99)],
        "ages": aged,
        "share_in_time": in_time(aged),
        "lag_s": [quantile(lagged, share) for share in (0.5, 0.95, 0.99)],
        "lags": lagged,
        "camera_age_p95_worst_s": max(worst, default=None),
        "counts": counts,
        "lost": round(sum(row.lost for row in rows if row.camera in running) / max(1, len(running)), 4),
        "analysed_per_camera_s": round(counts.get("analysed", 0) / camera_s, 3),
        "stage_s_per_camera_s": {stage: round(seconds / camera_s, 5) for stage, seconds in stages.items()},
        "events_due": len(due),
        "events_missing": [event.__dict__ for event in missing][:5],
        "events_missing_n": len(missing),
        "cases_twice": len(twice),
        "event_to_case_s": percentiles(late),
    }


def _stages(looks: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    rows = [look[name]["stage_s"] for look in looks if name in look]
    return {stage: s - rows[0].get(stage, 0.0) for stage, s in rows[-1].items()} if rows else {}


def show_rated(said: Mapping[str, Any]) -> None:
    """Print the rated load."""
    shares = ", ".join(f"{what} {share:.2f}" for what, share in said["cores_used"].items())
    share, events, missing = said["share_in_time"], said["event_to_case_s"], said["events_missing_n"]
    all_in = said["let_in"] == said["cameras"]
    print(
        f"{said['cameras']} {'substreams' if said['substream'] else 'cameras'} for {said['seconds']:.0f} s"
        f"{'' if all_in else _only(said)}: "
        f"{said['holding']} hold, {said['lost']:.2%} of due frames lost; behind the camera when a frame was "
        f"analysed, p50 p95 p99: {said['lag_s']} s: keeps up: {'yes' if said['keeps_up'] else 'NO'}"
    )
    print(
        f"  age of an analysed frame, p50 p95 p99: {said['age_s']} s, "
        f"{0 if share is None else share:.1%} at most {AGE_MAX_S:g} s (n = {sum(said['ages'].values())}); "
        f"wanted 95 %: {_met(all_in and share is not None and share >= 0.95)}"
    )
    print(
        f"  event to case, p50 p95 max: {events} s (n = {said['events_due']}, missing {missing}, "
        f"twice {said['cases_twice']}); wanted p95 <= {EVENT_TO_CASE_S:g} s, none missing: "
        f"{_met(all_in and bool(events) and events[1] <= EVENT_TO_CASE_S and not missing)}"
    )
    each = said["serve_per_camera"]
    print(
        f"  cores used of {said['cores']}: {shares}; serve {0 if each is None else each:.4f} for each of "
        f"{said['watched']:g} cameras watched"
    )
    print(f"  workers: {said['workers']}; states: {said['states']}; counted: {said['counts']}", flush=True)


def _only(said: Mapping[str, Any]) -> str:
    """Say that not all cameras were let in, and why."""
    why = f", {said['refused']} refused: {said['refusal'].rstrip('.')}" if said["refused"] else ""
    return f", of which ONLY {said['let_in']} WERE LET IN{why}"


def _met(met: bool) -> str:  # noqa: FBT001 - one word for one truth
    return "met" if met else "NOT MET"


if __name__ == "__main__":
    sys.exit(main())
