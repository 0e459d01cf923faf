"""Where the time of a frame goes: the stages of a whole run by its StageClock, each step alone by CPU clock.

python benchmarks/stage_costs.py [--kind typical] [--gate lookback] [--quick]

First table: one run of the pipeline on the clip, one camera, one core: milliseconds of each stage per run of
it, and its share of all CPU seconds; "infer_wait" is idle; "rest" is what no stage claims: mostly stills and
clips, which a thread of their own makes, then demuxing, queues, the interpreter (benchmarks/cpu_profile.py
takes it apart). Second table: the same steps by themselves on the clip's own pictures, CPU time of the
thread, median and 90 % range.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks import cameras_per_core, ours
from benchmarks.clips import KINDS, Clip, add_arguments, clip
from benchmarks.footage import bgr
from benchmarks.machine import describe, result, save
from detector.backends import Options, open_backend
from detector.decode import CANDIDATES_MAX, decode
from detector.detector import Detector
from detector.errors import Failure
from detector.letterbox import letterbox
from detector.nms import nms
from detector.precision import choose
from detector.registry import resolve
from ingest.gate import open_gate
from ingest.tracker import Tracker
from ingest.types import Frame

STEPS = 60


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: both")
    parser.add_argument("--variant", default="plain")
    parser.add_argument("--quick", action="store_true", help="the typical street only")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/stage_costs.json")
    ours.add_arguments(parser)
    add_arguments(parser)
    args = parser.parse_args()
    kinds = args.kind or (["typical"] if args.quick else KINDS)
    try:
        made = {kind: clip(kind, args.variant, args.folder, args.street) for kind in kinds}
        machine = describe()
        runs = {kind: whole(args, one) for kind, one in made.items()}
        alone = steps(args, made[kinds[0]])
    except Failure as failure:
        print(f"stage_costs: {failure}", file=sys.stderr)
        return failure.exit_code
    show_steps(alone)
    document = result(
        "stage_costs",
        {"runs": runs, "steps": alone},
        STEPS,
        "steps: median with the 5 and 95 percentiles of n; runs: one",
        machine=machine,
        model=resolve(args.model).ref,
        gate=args.gate,
        variant=args.variant,
    )
    save(document, args.json)
    return 0


def whole(args: argparse.Namespace, one: Clip) -> dict[str, Any]:
    """Run the pipeline; give and print its stages."""
    said = cameras_per_core.run_ours(args, one)
    spent, frames = said["cpu_s"], said["frames"]
    rows = [
        {
            "stage": name,
            "times": said["stage_n"].get(name, 0),
            "ms": round(1000 * seconds / max(said["stage_n"].get(name, 0), 1), 3),
            "s": round(seconds, 3),
            "share": round(seconds / spent, 3),
        }
        for name, seconds in sorted(said["stage_s"].items(), key=lambda pair: -pair[1])
    ]
    rest = spent - sum(row["s"] for row in rows if row["stage"] != "infer_wait")
    rows.append({"stage": "rest", "times": frames, "ms": None, "s": round(rest, 3), "share": rest / spent})
    print(
        f"{one.kind}: {spent:.2f} CPU seconds for {said['video_s']:.0f} s of video, {frames} analysed, "
        f"dropped {said['dropped']}"
    )
    print(f"  {'stage':<14}{'times':>8}{'ms each':>10}{'s':>9}{'share':>8}")
    for row in rows:
        each = "" if row["ms"] is None else f"{row['ms']:.3f}"
        print(f"  {row['stage']:<14}{row['times']:>8}{each:>10}{row['s']:>9.2f}{row['share']:>8.0%}")
    return {
        "cpu_s": round(spent, 3),
        "wall_s": round(said["wall_s"], 3),
        "video_s": said["video_s"],
        "frames": frames,
        "dropped": said["dropped"],
        "stages": rows,
        "note": "stages are wall-clock seconds of the camera's threads; where cores are shared, too long",
    }


def timed(what: Callable[[Any], Any], over: Iterable[Any]) -> dict[str, Any]:
    """Give CPU milliseconds of this thread per call: median, 5 and 95 percentiles."""
    spent = []
    for item in over:
        began = time.thread_time()
        what(item)
        spent.append(1000 * (time.thread_time() - began))
    low, middle, high = np.percentile(spent[2:] or spent, (5, 50, 95))
    return {
        "ms": round(float(middle), 3),
        "low": round(float(low), 3),
        "high": round(float(high), 3),
        "n": len(spent),
    }


def steps(args: argparse.Namespace, one: Clip) -> dict[str, dict[str, Any]]:
    """Time each step by itself."""
    pictures = _pictures(one, STEPS)
    images = [bgr(picture) for picture in pictures]
    spec = resolve(args.model)
    table = {
        "decode a picture": timed(next, _repeat(_decoder(one, keys=False), STEPS)),
        "decode a key frame": timed(next, _repeat(_decoder(one, keys=True), 25)),
        "whole picture to BGR": timed(bgr, pictures),
        "letterbox of BGR": timed(lambda image: letterbox(image, spec.side_px, spec.stride_px), images),
    }
    start = datetime(2026, 1, 1, tzinfo=UTC)
    frames = [Frame("bench", i, start + timedelta(seconds=i / 5), image) for i, image in enumerate(images)]
    table["motion gate"] = timed(open_gate("motion").admit, frames)
    canvases = [letterbox(image, spec.side_px, spec.stride_px)[0][None] for image in images]
    with Detector(spec, threads=1, precision=args.precision, hint="throughput") as detector:
        found = [detector.detect(image) for image in images]
    table |= _inference(args, canvases)
    tracker, score_min = Tracker("bench"), dict(spec.score_min)
    pairs = list(zip(frames, found, strict=True))
    table["track"] = timed(
        lambda pair: tracker.update(pair[0].index, pair[0].at, pair[1], score_min, pair[0].wh), pairs
    )
    return table


def _inference(args: argparse.Namespace, canvases: list[Any]) -> dict[str, dict[str, Any]]:
    """Time the network alone (all threads of this process) and what is read out of it."""
    spec = resolve(args.model)
    precision = choose(args.precision, spec, "openvino")
    backend = open_backend("openvino", spec, Options(1, precision, "throughput"))
    raws, spent = [], []
    for canvas in canvases:
        began = time.process_time()
        raws.append(backend.infer(canvas)[0])
        spent.append(1000 * (time.process_time() - began))
    backend.close()
    low, middle, high = (round(float(v), 3) for v in np.percentile(spent[2:], (5, 50, 95)))
    limits = np.array([0.1] * len(spec.labels), np.float32)

    def read(raw: Any) -> None:
        found = decode(raw, limits, CANDIDATES_MAX)
        nms(*found, iou_max=spec.iou_max, limit=300)

    return {
        f"network, {precision}": {"ms": middle, "low": low, "high": high, "n": len(spent)},
        "boxes and NMS": timed(read, raws),
    }


def _pictures(one: Clip, count: int) -> list[av.VideoFrame]:
    """Give pictures spread over the clip's first half minute."""
    found = []
    with av.open(str(one.path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for index, picture in enumerate(container.decode(video=0)):
            if index % 12 == 0:
                found.append(picture)
            if len(found) == count:
                break
    return found


def _decoder(one: Clip, *, keys: bool) -> Any:
    container = av.open(str(one.path))
    stream = container.streams.video[0]
    stream.thread_count = 1
    if keys:
        stream.codec_context.skip_frame = "NONKEY"
    return container.decode(stream)


def _repeat(item: Any, count: int) -> Iterable[Any]:
    return (item for _ in range(count))


def show_steps(table: dict[str, dict[str, Any]]) -> None:
    """Print the second table."""
    print(f"{'step by itself':<24}{'CPU ms':>9}{'5 %':>9}{'95 %':>9}{'n':>6}")
    for name, row in table.items():
        print(f"{name:<24}{row['ms']:>9.3f}{row['low']:>9.3f}{row['high']:>9.3f}{row['n']:>6}")


if __name__ == "__main__":
    sys.exit(main())
