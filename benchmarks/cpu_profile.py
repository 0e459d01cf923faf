"""Where the CPU time of a camera goes, by thread and step: of a clip read from the disk, of cameras by RTSP.

python benchmarks/cpu_profile.py [--cameras 4] [--seconds 60] [--only file rtsp substream] [--quick]
python benchmarks/cpu_profile.py --page      writes benchmarks/PROFILE.md from the results, measures nothing

"file" is the run that cameras_per_core.py and floor.py measure, on both streets; "rtsp" is the inside of a
worker of `kerbwatch serve` (`CameraGroup`) on one core with so many paced cameras of 1080p25 4 Mbit/s, each
at another place of the typical street, evidence included; "substream" the same with 640x360. Sums are the
CPU clocks of threads, so they add up to what the process took; parts of them are samples, one every 4 ms
(benchmarks/sampling.py). Loading, the RTSP server and the supervisor are not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.clips import KINDS, Clip, add_arguments, clip
from benchmarks.footage import SECONDS
from benchmarks.machine import RESULTS, describe, how_many, result, save
from benchmarks.profile_page import PAGE, page
from benchmarks.sampling import Sampler
from benchmarks.serving import LoadServer
from detector.errors import Failure
from detector.registry import resolve

ALL = ("file", "rtsp", "substream")
WARM_S = 25.0
"""Before the count begins: what stood there is reported."""


def of_file(args: argparse.Namespace) -> dict[str, Any]:
    """Be the process that runs the pipeline on a clip; say where its time went."""
    sampler = Sampler()
    said = ours.run(args, around=sampler)
    return {
        "cpu_s": round(sampler.whole_s, 3),
        "per": "second of video",
        "cost_ms": round(1000 * sampler.whole_s / said["video_s"], 2),
        "analysed": said["frames"],
        "decoded": said["decoded"],
        "events": len(said["events"]),
        "rows": sampler.rows(said["video_s"]),
    }


def of_cameras(args: argparse.Namespace) -> dict[str, Any]:
    """Be the worker of so many cameras; say where its time went.

    Raises:
        Failure: not all of them ran to the end.
    """
    from ingest.config import load_site
    from ingest.fleet.group import CameraGroup, GroupSettings

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    site = load_site(args.site)
    settings = GroupSettings(
        model=args.model, precision=args.precision, threads=1, gate=args.gate, sends=False
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        CameraGroup(site, settings, Path(folder), "http://127.0.0.1:9") as group,
    ):
        group.load([args.model])
        for number in range(args.cameras):
            source = f"rtsp://127.0.0.1:{args.port}/{number}"
            more = {"id": f"cam-{number}", "source": source, "starts_at": None}
            group.add(site.cameras[0].model_copy(update=more))
        time.sleep(args.warm)
        first, began = group.status(), time.monotonic()
        with Sampler() as sampler:
            time.sleep(args.seconds)
        last, took = group.status(), time.monotonic() - began
    if wrong := {row.camera_id: row.fault for row in last.cameras if row.state.value != "running"}:
        raise Failure(f"not all cameras ran to the end: {list(wrong.items())[:2]}")
    per = took * args.cameras
    pairs = list(zip(first.cameras, last.cameras, strict=True))
    return {
        "cpu_s": round(sampler.whole_s, 3),
        "per": "second of a camera",
        "cost_ms": round(1000 * sampler.whole_s / per, 2),
        "cameras": args.cameras,
        "analysed": sum(new.analysed - old.analysed for old, new in pairs),
        "events": sum(sum(new.events.values()) - sum(old.events.values()) for old, new in pairs),
        "rows": sampler.rows(per),
    }


def child(args: argparse.Namespace, *words: str) -> dict[str, Any]:
    """Run this file as the process that is measured.

    Raises:
        Failure: it failed.
    """
    command = [sys.executable, __file__, *words, "--gate", args.gate, "--model", args.model]
    command += ["--precision", args.precision] if args.precision else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"the measured process ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def measure(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure what is asked for; give the profiles by name."""
    found = {}
    for kind in ("typical",) if args.quick else KINDS:
        if "file" in args.only:
            one = clip(kind, "plain", args.folder, args.street)
            found[f"{kind} street from a file"] = child(args, "--work", "file", str(one.path), str(one.site))
    for what, variant in (("rtsp", "plain"), ("substream", "sub")):
        if what in args.only and not (args.quick and what == "substream"):
            one = clip("typical", variant, args.folder, args.street)
            size = "640x360 substream" if what == "substream" else "1080p"
            found[f"typical street by RTSP, {size}"] = _by_rtsp(args, one)
    return found


def _by_rtsp(args: argparse.Namespace, one: Clip) -> dict[str, Any]:
    with LoadServer(one.path, args.cameras, SECONDS) as load:
        words = ["--work", "cameras", str(one.path), str(one.site), "--port", str(load.port)]
        words += ["--cameras", str(args.cameras), "--seconds", str(args.seconds), "--warm", str(args.warm)]
        return child(args, *words)


def main() -> int:
    """Measure, print, write; with --work be what is measured, with --page write the page."""
    args = arguments()
    try:
        if args.work:
            print(json.dumps(of_file(args) if args.work == "file" else of_cameras(args)))
            return 0
        if args.page:
            PAGE.write_text(page(RESULTS), encoding="utf-8")
            print(f"written: {PAGE}")
            return 0
        machine, rows = describe(), measure(args)
    except Failure as failure:
        print(f"cpu_profile: {failure}", file=sys.stderr)
        return failure.exit_code
    show(rows)
    document = result(
        "cpu_profile",
        rows,
        1,
        "one run each; sums are exact, their parts samples of 4 ms",
        machine=machine,
        model=resolve(args.model).ref,
        gate=args.gate,
        seconds=args.seconds,
    )
    save(document, args.json)
    return 0


def show(profiles: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the tables."""
    for name, said in profiles.items():
        print(
            f"{name}: {said['cost_ms']:.1f} ms of CPU per {said['per']}; {said['analysed']} analysed, "
            f"{said['events']} events"
        )
        for row in said["rows"]:
            print(f"  {row['thread']:<12}{row['step']:<40}{row['ms']:>8.2f} ms{row['share']:>7.1%}")


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("clip", type=Path, nargs="?", help=argparse.SUPPRESS)
    add("site", type=Path, nargs="?", help=argparse.SUPPRESS)
    add("--only", nargs="+", choices=ALL, default=ALL, help="default: all three")
    add("--cameras", type=how_many, default=4, help="by RTSP (4)")
    add("--seconds", type=float, default=SECONDS, help="of the count by RTSP (a round of the clip)")
    add("--warm", type=float, default=WARM_S, help=f"seconds before the count ({WARM_S:g})")
    add("--quick", action="store_true", help="the typical street, from a file and at 1080p by RTSP")
    add("--page", action="store_true", help="write benchmarks/PROFILE.md from the results that are there")
    add("--json", type=Path, help="default: benchmarks/results/cpu_profile.json")
    add("--work", choices=("file", "cameras"), help=argparse.SUPPRESS)
    add("--port", type=int, help=argparse.SUPPRESS)
    ours.add_arguments(parser)
    add_arguments(parser)
    args = parser.parse_args(words)
    args.small, args.no_evidence = False, False
    return args


if __name__ == "__main__":
    sys.exit(main())
