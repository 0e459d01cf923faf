"""The floor: what decoding and the network alone take for what had to be done, and how near we are.

python benchmarks/floor.py [--kind typical] [--runs 3] [--gate lookback] [--quick]

The pipeline runs once and says which frames the detector saw. To have those, of each group of pictures that
holds one besides its key frame everything up to the last must be decoded; of each other group the key frame,
to know that nothing changed, unless the pipeline knew that without it. Those pictures are decoded again with
nothing else done (one thread, no conversion), and as many canvases go through the network with nothing else
done (same precision, one thread). The share is the sum of both over the CPU seconds of the whole pipeline
(decode, gate, detect, track, rules, evidence), and over those of a run that makes no stills and clips, since
the floor has none. The floor takes the decoder as it comes; a pipeline that switches off the loop filter may
decode faster than its floor.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import av

from benchmarks import cameras_per_core, ours
from benchmarks.clips import KINDS, Clip, add_arguments, clip
from benchmarks.footage import FPS, bgr
from benchmarks.machine import describe, result, save
from detector.backends import Options, open_backend
from detector.errors import Failure
from detector.letterbox import letterbox
from detector.precision import choose
from detector.registry import resolve

WANTED = 0.85
"""Share of the floor to be reached: issue 4."""


@dataclass(frozen=True)
class Group:
    """One group of pictures: its packets' numbers in the order of showing, the key frame first.

    Args:
        first: number of its key frame. count: of its pictures.
    """

    first: int
    count: int

    def needed(self, analysed: Collection[int], given: Collection[int]) -> int:
        """Give how many of its pictures must be decoded to have those analysed, or to know it was still.

        Args:
            analysed: those that the detector saw.
            given: those and the ones in which it was known what it would see.

        >>> group = Group(50, 50)
        >>> group.needed({0, 57, 62}, {50, 62}), group.needed(set(), {50}), group.needed({50}, {50})
        (13, 1, 1)
        >>> group.needed({0}, {0, 100})
        0
        """
        if not any(n in given or n in analysed for n in range(self.first, self.first + self.count)):
            return 0
        last = max((n for n in analysed if self.first <= n < self.first + self.count), default=self.first)
        return last - self.first + 1


def groups(path: Path) -> list[Group]:
    """Read a clip's groups of pictures from its packets."""
    keys, count = [], 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size == 0:
                continue
            if packet.is_keyframe:
                keys.append(count)
            count += 1
    return [Group(first, end - first) for first, end in zip(keys, [*keys[1:], count], strict=True)]


def decode_only(path: Path, wanted: Sequence[int]) -> tuple[float, int]:
    """Decode the first `wanted[i]` pictures of the i-th group and do nothing with them.

    Returns:
        CPU seconds of this process, pictures that came out.
    """
    came = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        context = stream.codec_context
        packets = list(_grouped(container))
        began = time.process_time()
        for group, count in zip(packets, wanted, strict=True):
            for packet in group[:count]:
                came += len(context.decode(packet))
            came += len(context.decode(None))
            context.flush_buffers()
        return time.process_time() - began, came


def _grouped(container: Any) -> Iterator[list[Any]]:
    """Give the packets by group; they are read before the clock starts."""
    group: list[Any] = []
    for packet in container.demux(video=0):
        if packet.size == 0:
            continue
        if packet.is_keyframe and group:
            yield group
            group = []
        group.append(packet)
    if group:
        yield group


def inference_only(args: argparse.Namespace, one: Clip, count: int) -> tuple[float, str]:
    """Send `count` canvases through the network and do nothing with what comes out.

    Returns:
        CPU seconds of this process, the precision.
    """
    spec = resolve(args.model)
    precision = choose(args.precision, spec, "openvino")
    canvases = []
    with av.open(str(one.path)) as container:
        for index, picture in enumerate(container.decode(video=0)):
            if index % 10 == 0:
                canvases.append(letterbox(bgr(picture), spec.side_px, spec.stride_px)[0][None])
            if len(canvases) == 16:
                break
    backend = open_backend("openvino", spec, Options(1, precision, "throughput"))
    for canvas in canvases[:3]:
        backend.infer(canvas)
    began = time.process_time()
    for index in range(count):
        backend.infer(canvases[index % len(canvases)])
    spent = time.process_time() - began
    backend.close()
    return spent, precision


def measure(args: argparse.Namespace, one: Clip) -> dict[str, Any]:
    """Measure one clip; give the row."""
    runs = [cameras_per_core.run_ours(args, one) for _ in range(args.runs)]
    bare = median(
        cameras_per_core.run_ours(args, one, more=("--no-evidence",))["cpu_s"] for _ in range(args.runs)
    )
    said = min(runs, key=lambda run: abs(run["cpu_s"] - median(run["cpu_s"] for run in runs)))
    analysed = set(said["analysed"])
    whole = groups(one.path)
    wanted = [group.needed(analysed, set(said["given"])) for group in whole]
    decoding = [decode_only(one.path, wanted) for _ in range(args.runs)]
    infer = [inference_only(args, one, len(analysed)) for _ in range(args.runs)]
    decode_s, infer_s = median(s for s, _ in decoding), median(s for s, _ in infer)
    spent = median(run["cpu_s"] for run in runs)
    floors = [d + i for (d, _), (i, _) in zip(decoding, infer, strict=True)]
    return {
        "clip": one.kind,
        "pipeline_s": round(spent, 3),
        "pipeline_s_all": [round(run["cpu_s"], 3) for run in runs],
        "floor_s": round(decode_s + infer_s, 3),
        "decode_s": round(decode_s, 3),
        "infer_s": round(infer_s, 3),
        "share": round((decode_s + infer_s) / spent, 3),
        "share_low": round(min(floors) / max(run["cpu_s"] for run in runs), 3),
        "share_high": round(max(floors) / min(run["cpu_s"] for run in runs), 3),
        "without_evidence_s": round(bare, 3),
        "share_without_evidence": round((decode_s + infer_s) / bare, 3),
        "pictures": sum(group.count for group in whole),
        "to_decode": sum(wanted),
        "came_out": decoding[0][1],
        "pipeline_decoded": said.get("decoded"),
        "analysed": len(analysed),
        "decode_per_s": round(sum(wanted) / decode_s, 1) if decode_s else math.nan,
        "infer_per_s": round(len(analysed) / infer_s, 1) if infer_s else math.nan,
        "precision": infer[0][1],
        "video_s": sum(group.count for group in whole) / FPS,
    }


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: both")
    parser.add_argument("--variant", default="plain")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one run, the typical street only")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/floor.json")
    ours.add_arguments(parser)
    add_arguments(parser)
    args = parser.parse_args()
    args.runs = 1 if args.quick else args.runs
    kinds = args.kind or (["typical"] if args.quick else KINDS)
    try:
        made = [clip(kind, args.variant, args.folder, args.street) for kind in kinds]
        machine = describe()
        rows = [measure(args, one) for one in made]
    except Failure as failure:
        print(f"floor: {failure}", file=sys.stderr)
        return failure.exit_code
    show(rows)
    document = result(
        "floor",
        rows,
        args.runs,
        "median of the runs; share_low and share_high pair the extremes",
        machine=machine,
        model=resolve(args.model).ref,
        gate=args.gate,
        variant=args.variant,
        wanted=WANTED,
    )
    save(document, args.json)
    return 0


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    for row in rows:
        met = "met" if row["share"] >= WANTED else "NOT MET"
        print(
            f"{row['clip']}: of {row['pictures']} pictures {row['to_decode']} had to be decoded "
            f"({row['decode_s']:.2f} s, {row['decode_per_s']:.0f}/s) and {row['analysed']} computed "
            f"({row['infer_s']:.2f} s, {row['infer_per_s']:.0f}/s, {row['precision']})"
        )
        print(
            f"  floor {row['floor_s']:.2f} s, pipeline {row['pipeline_s']:.2f} s: {row['share']:.0%} of the "
            f"floor ({row['share_low']:.0%} to {row['share_high']:.0%}); wanted {WANTED:.0%}: {met}; "
            f"without evidence {row['without_evidence_s']:.2f} s: {row['share_without_evidence']:.0%}"
        )


if __name__ == "__main__":
    sys.exit(main())
