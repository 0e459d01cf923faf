"""What a camera by RTSP costs a worker, by what its threads do: CPU, memory, wake-ups.

python benchmarks/rtsp_camera_cost.py [--cameras 1 2 4 8 16] [--street-kind still] [--substream] [--quick]

Cameras are paced (25 pictures a second, looped) and watched by one `CameraGroup`, the inside of a worker of
`kerbwatch serve`, in a process of its own on one core (the second, where there are two). "typical": the clip
with its five events a minute and their evidence. "still": six seconds of it in which nothing moves, over and
over: what a camera costs on which nothing happens, which is receiving, a key frame every 2 s and a look every
2 s. The RTSP server's CPU is not in it. Memory per further camera is the slope of the largest RSS of the
counts, from the fewest to the most cameras. About 55 s for each number of cameras.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import av

from benchmarks import ours
from benchmarks.clips import Clip, add_arguments, clip
from benchmarks.footage import SECONDS
from benchmarks.machine import describe, how_many, result, save
from benchmarks.scaling import WANTED_MB, slope
from benchmarks.serving import LoadServer
from detector.errors import Failure
from detector.registry import resolve

COUNTS = (1, 2, 4, 8, 16)
STILL_S = (44.0, 50.0)
"""Nothing moves in the typical clip; begins and ends with a group of pictures."""


def cut_still(one: Clip, to: Path) -> None:
    """Copy the coded pictures of STILL_S into a clip of their own."""
    with av.open(str(one.path)) as source, av.open(str(to), "w") as target:
        stream = source.streams.video[0]
        written = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.pts is None or packet.dts is None or stream.time_base is None:
                continue
            if STILL_S[0] <= float(packet.pts * stream.time_base) < STILL_S[1]:
                since = round(STILL_S[0] / stream.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - since, packet.dts - since, written
                target.mux(packet)


def work(args: argparse.Namespace) -> dict[str, Any]:
    """Be a worker of so many cameras; say what it took while it was counted."""
    from ingest.config import load_site
    from ingest.fleet.cpu import ThreadMeter, camera_threads
    from ingest.fleet.group import CameraGroup, GroupSettings

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    site = load_site(args.site)
    settings = GroupSettings(
        model=args.model, precision=args.precision, threads=1, gate=args.gate, sends=False
    )
    names = [f"cam-{number}" for number in range(args.work)]
    meters = {name: ThreadMeter() for name in names}

    def spent() -> dict[str, float]:
        threads, usage = camera_threads(), resource.getrusage(resource.RUSAGE_SELF)
        total: dict[str, float] = defaultdict(float)
        total |= {"all": time.process_time(), "waits": usage.ru_nvcsw, "preempted": usage.ru_nivcsw}
        for name, meter in meters.items():
            for what, seconds in meter.read(threads.get(name, {})).items():
                total[what] += seconds
        return total

    with (
        tempfile.TemporaryDirectory() as folder,
        CameraGroup(site, settings, Path(folder), "http://127.0.0.1:9") as group,
    ):
        group.load([args.model])
        for number, name in enumerate(names):
            source = {"id": name, "source": f"rtsp://127.0.0.1:{args.port}/{number}", "starts_at": None}
            group.add(site.cameras[0].model_copy(update=source))
            time.sleep(0.1)
        _watch(group, args.warm)
        before, first, began = spent(), group.status(), time.monotonic()
        rss_bytes = _watch(group, args.seconds)
        after, last, took = spent(), group.status(), time.monotonic() - began
    wrong = {row.camera_id: row.fault for row in last.cameras if row.state.value != "running"}
    if wrong:
        raise Failure(f"not all cameras ran to the end: {list(wrong.items())[:2]}")
    per = {what: (after[what] - before.get(what, 0.0)) / took / args.work for what in after}
    pairs = list(zip(first.cameras, last.cameras, strict=True))
    analysed = sum(new.analysed - old.analysed for old, new in pairs)
    lost = sum(new.dropped.get("late", 0) - old.dropped.get("late", 0) for old, new in pairs)
    threads = {what: per.pop(what, 0.0) for what in ("rtsp", "camera", "evidence", "main")}
    return {
        "cameras": args.work,
        "cpu": round(per["all"], 5),
        **{what: round(share, 5) for what, share in threads.items()},
        "inference_and_rest": round(per["all"] - sum(threads.values()), 5),
        "waits": round(per["waits"], 1),
        "preempted": round(per["preempted"], 1),
        "analysed": round(analysed / took / args.work, 3),
        "late": lost,
        "rss_mb": round(rss_bytes / (1 << 20), 1),
    }


def _watch(group: Any, seconds: float) -> int:
    """Wait, asking for the status every second as a worker does; give the largest RSS told."""
    until, most = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        most = max(most, group.status().rss_bytes)
        time.sleep(1.0)
    return most


def run(args: argparse.Namespace, one: Clip, film: Path, count: int) -> dict[str, Any]:
    """Give the row of the table for so many cameras.

    Raises:
        Failure: the worker failed.
    """
    spread = SECONDS if args.street_kind == "typical" else STILL_S[1] - STILL_S[0]
    with LoadServer(film, count, spread) as load:
        words = [sys.executable, __file__, "--work", str(count), "--port", str(load.port)]
        words += ["--site", str(one.site), "--gate", args.gate, "--model", args.model]
        words += ["--warm", str(args.warm), "--seconds", str(args.seconds)]
        words += ["--precision", args.precision] if args.precision else []
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip()[-300:]
        raise Failure(f"the worker of {count} cameras ended with {done.returncode}: {said}")
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def measure(args: argparse.Namespace) -> int:
    """Do it all."""
    one = clip("typical", "plain", args.folder, args.street)
    shown = clip("typical", "sub", args.folder, args.street) if args.substream else one
    machine, rows = describe(), []
    columns = (
        "cpu",
        "rtsp",
        "camera",
        "evidence",
        "inference_and_rest",
        "waits",
        "analysed",
        "late",
        "rss_mb",
    )
    print(f"{machine['processor']}, {machine['cores']} cores; {machine.get('warning', 'idle at the start')}")
    print("CPU seconds per second of one camera, and wake-ups and analysed frames per second of one camera")
    print(f"{'cameras':>8}" + "".join(f"{what:>{max(10, len(what) + 2)}}" for what in columns))
    with tempfile.TemporaryDirectory() as folder:
        film = shown.path
        if args.street_kind == "still":
            film = Path(folder) / "still.mp4"
            cut_still(shown, film)
        for count in args.cameras or ((1, 4) if args.quick else COUNTS):
            row = run(args, one, film, count)
            rows.append(row)
            said = "".join(f"{row[what]:>{max(10, len(what) + 2)}}" for what in columns)
            print(f"{count:>8}{said}", flush=True)
    per_camera = slope(rows, "rss_mb")
    if per_camera is not None:
        met = "met" if per_camera <= WANTED_MB else "NOT MET"
        print(f"per further camera: RSS {per_camera} MB; wanted at most {WANTED_MB:g} MB: {met}")
    document = result(
        "rtsp_camera_cost",
        rows,
        1,
        f"one count of {args.seconds:g} s for each row",
        machine=machine,
        model=resolve(args.model).ref,
        gate=args.gate,
        clip=shown.path.name,
        street_kind=args.street_kind,
        per_further_camera={"rss_mb": per_camera},
        wanted={"rss_mb_per_camera": WANTED_MB},
    )
    save(document, args.json)
    return 0


def main() -> int:
    """Measure, print, write; with --work be a worker."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=how_many, nargs="+", help=f"default: {' '.join(map(str, COUNTS))}")
    parser.add_argument("--street-kind", default="typical", choices=("typical", "still"))
    parser.add_argument("--substream", action="store_true", help="640x360")
    parser.add_argument(
        "--warm", type=float, default=25.0, help="seconds before the count (25): what stood there is reported"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of the count (30)")
    parser.add_argument("--quick", action="store_true", help="1 and 4 cameras")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/rtsp_camera_cost.json")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--site", type=Path, help=argparse.SUPPRESS)
    ours.add_arguments(parser)
    add_arguments(parser)
    args = parser.parse_args()
    try:
        if args.work:
            print(json.dumps(work(args)))
            return 0
        return measure(args)
    except Failure as failure:
        print(f"rtsp_camera_cost: {failure}", file=sys.stderr)
        return failure.exit_code


if __name__ == "__main__":
    sys.exit(main())
