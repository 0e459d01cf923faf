"""What a further camera costs: 1, 2, 4, 8 and 16 cameras in one worker, and in a worker per core.

python benchmarks/scaling.py [--cameras 1 2 4 ...] [--kind typical] [--gate lookback] [--quick]

Each camera reads the clip from the disk, as fast as the machine goes, through `CameraGroup`: the code of a
worker of `kerbwatch serve`. Cost: CPU seconds of the workers per second of video of one camera. Memory is the
largest seen while all cameras ran: RSS (with what processes share) and PSS (shared pages divided among those
who share them); per further camera it is the slope from 1 camera to the most. A minute of events comes within
seconds here and waits for its evidence, so memory is the most it can be; that of paced cameras is measured by
benchmarks/rtsp_camera_cost.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks import ours
from benchmarks.clips import KINDS, Clip, add_arguments, clip
from benchmarks.footage import FPS
from benchmarks.machine import describe, how_many, result, save, usable_cores
from detector.errors import Failure
from detector.registry import resolve

COUNTS = (1, 2, 4, 8, 16)
WANTED_MB = 25.0
"""Most RSS that a further camera may take: issue 4."""
PATIENCE_S = 300.0


def memory_mb() -> tuple[float, float]:
    """Give RSS and PSS of this process, MB; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0, 0.0
    table = {line.split(":")[0]: float(line.split()[1]) / 1024 for line in lines[1:]}
    return table["Rss"], table["Pss"]


class MemoryWatch:
    """Note the largest RSS and PSS while a `with` block runs."""

    def __init__(self) -> None:
        self.rss_mb = self.pss_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            rss, pss = memory_mb()
            self.rss_mb, self.pss_mb = max(self.rss_mb, rss), max(self.pss_mb, pss)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def work(args: argparse.Namespace) -> dict[str, Any]:
    """Be one worker: watch so many cameras to the end of their clip; say what it took."""
    from ingest.config import load_site
    from ingest.fleet.group import CameraGroup, GroupSettings

    site = load_site(args.site)
    camera = site.cameras[0].model_copy(update={"source": str(args.clip)})
    settings = GroupSettings(
        model=args.model, precision=args.precision, threads=args.threads, gate=args.gate, sends=False
    )
    began = 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        CameraGroup(site, settings, Path(folder), "http://127.0.0.1:9") as group,
        MemoryWatch() as memory,
    ):
        for number in range(args.work):
            group.add(camera.model_copy(update={"id": f"bench-{number}"}))
        wall = time.monotonic()
        while time.monotonic() - wall < PATIENCE_S:
            states = group.status().cameras
            if not began and any(state.analysed for state in states):
                began = ours.cpu_s()  # what came before was mostly the loading of the model
            if all(state.state in {"ended", "failed"} for state in states):
                break
            time.sleep(0.02 if not began else 0.2)
        spent = ours.cpu_s() - began
        states = group.status().cameras
    if any(state.state != "ended" for state in states):
        faults = {f"{state.camera_id}: {state.state} {state.fault}" for state in states}
        raise Failure(f"not every camera came to its end: {sorted(faults)[:3]}")
    return {
        "cpu_s": spent,
        "wall_s": time.monotonic() - wall,
        "video_s": sum(state.frames_in for state in states) / FPS,
        "analysed": sum(state.analysed for state in states),
        "events": sum(sum(state.events.values()) for state in states),
        "rss_mb": memory.rss_mb,
        "pss_mb": memory.pss_mb,
    }


def run(args: argparse.Namespace, one: Clip, count: int, workers: int) -> dict[str, Any]:
    """Run `count` cameras in `workers` processes; give the row of the table.

    Raises:
        Failure: a worker failed.
    """
    shares = [count // workers + (index < count % workers) for index in range(workers)]
    children = [_start(args, one, share, workers) for share in shares if share]
    said = []
    for child in children:
        out, error = child.communicate()
        if child.returncode:
            raise Failure(
                f"a worker with {max(shares)} cameras ended with {child.returncode}: {error.strip()[-300:]}"
            )
        said.append(json.loads(out.strip().splitlines()[-1]))
    total = {key: sum(row[key] for row in said) for key in said[0]}
    return {
        "cameras": count,
        "workers": workers,
        "cost": round(total["cpu_s"] / total["video_s"], 4),
        "analysed_per_camera": round(total["analysed"] / count, 1),
        "events_per_camera": round(total["events"] / count, 2),
        "rss_mb": round(total["rss_mb"], 1),
        "pss_mb": round(total["pss_mb"], 1),
        "wall_s": round(max(row["wall_s"] for row in said), 1),
    }


def _start(args: argparse.Namespace, one: Clip, cameras: int, workers: int) -> subprocess.Popen[str]:
    threads = max(1, usable_cores() // workers)
    words = [sys.executable, __file__, "--work", str(cameras), "--clip", str(one.path)]
    words += ["--site", str(one.site), "--gate", args.gate, "--threads", str(threads), "--model", args.model]
    words += ["--precision", args.precision] if args.precision else []
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def slope(rows: Sequence[dict[str, Any]], key: str) -> float | None:
    """Give how much `key` grows per camera, from the fewest to the most cameras; None with one row.

    >>> slope([{"cameras": 1, "rss_mb": 200.0}, {"cameras": 5, "rss_mb": 280.0}], "rss_mb")
    20.0
    """
    ordered = sorted(rows, key=lambda row: row["cameras"])
    if len(ordered) < 2:
        return None
    first, last = ordered[0], ordered[-1]
    return round(float((last[key] - first[key]) / (last["cameras"] - first["cameras"])), 2)


def main() -> int:
    """Measure, print, write; with --work be a worker."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=how_many, nargs="+", help=f"default: {' '.join(map(str, COUNTS))}")
    parser.add_argument("--kind", default="typical", choices=KINDS)
    parser.add_argument("--variant", default="plain")
    parser.add_argument("--quick", action="store_true", help="1, 2 and 4 cameras")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/scaling.json")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--clip", type=Path, help=argparse.SUPPRESS)
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
        print(f"scaling: {failure}", file=sys.stderr)
        return failure.exit_code


def measure(args: argparse.Namespace) -> int:
    """Do it all."""
    one = clip(args.kind, args.variant, args.folder, args.street)
    machine = describe()
    counts = args.cameras or ((1, 2, 4) if args.quick else COUNTS)
    plans = [(count, 1) for count in counts]
    if usable_cores() > 1:
        plans.append((max(counts), min(usable_cores(), max(counts))))
    rows = []
    print(f"{'cameras':>8}{'workers':>8}{'C':>9}{'RSS MB':>9}{'PSS MB':>9}{'events':>8}{'wall s':>8}")
    for count, workers in plans:
        row = run(args, one, count, workers)
        rows.append(row)
        print(
            f"{count:>8}{workers:>8}{row['cost']:>9.4f}{row['rss_mb']:>9.0f}{row['pss_mb']:>9.0f}"
            f"{row['events_per_camera']:>8.1f}{row['wall_s']:>8.1f}",
            flush=True,
        )
    alone = [row for row in rows if row["workers"] == 1]
    per_camera = {key: slope(alone, key) for key in ("rss_mb", "pss_mb")}
    if per_camera["rss_mb"] is not None:
        met = "met" if per_camera["rss_mb"] <= WANTED_MB else "NOT MET"
        print(
            f"per further camera: RSS {per_camera['rss_mb']} MB, PSS {per_camera['pss_mb']} MB; "
            f"wanted at most {WANTED_MB:g} MB: {met}"
        )
    document = result(
        "scaling",
        rows,
        1,
        "one run of each row",
        machine=machine,
        model=resolve(args.model).ref,
        gate=args.gate,
        clip=one.path.name,
        unit="CPU seconds per second of video of one camera; MB summed over the workers",
        per_further_camera=per_camera,
        wanted={"rss_mb_per_camera": WANTED_MB},
    )
    save(document, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
