"""Which frames a gate lets through, what that costs, and whether an event is lost: each coding, each street.

python benchmarks/gates.py [--gates every motion lookback] [--kind typical] [--variant plain ...] [--quick]

Each row is one run of the whole pipeline. Events are compared with the clip's truth (start within 0.5 s) and
with those of the gate `every`; when things left is told beside. The scripts (benchmarks/streets.py) hold what
a gate could lose:

- a thing that is there from the first frame on: no change ever shows it;
- one that comes to rest between two key frames: its start is lost, or late by a group of pictures, if only
  key frames are looked at; a key frame that differs must bring back what lies before it;
- one that is put down from one frame to the next and then changes nothing: a gate that wants motion to last
  never looks;
- one that stands for less than the dwell: a gate that looks rarely may think that it stood longer;
- one whose dwell ends shortly before the clip does: a gate that looks too late confirms too late;
- B-frames: a probe of key frames must not wait for pictures that come later; groups of 10 s: what was kept
  must be bounded, and a group may be longer than a dwell; key frames at any distance.

What moves in and out again between two key frames is lost to `lookback` on purpose: rules of dwell do not
need it, a rule that counts crossings would need `every`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.cameras_per_core import run_ours
from benchmarks.clips import KINDS, VARIANTS, Clip, add_arguments, clips
from benchmarks.event_sets import Found, compare, of_truth
from benchmarks.machine import describe, result, save
from detector.errors import Failure
from detector.registry import resolve
from ingest.gate import KINDS as GATES

CODINGS = tuple(name for name in VARIANTS if name != "uhd60")


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--gates", nargs="+", choices=tuple(GATES), default=["every", "lookback"], help="(%(default)s)"
    )
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: both")
    parser.add_argument("--variant", action="append", choices=CODINGS, help="default: all")
    parser.add_argument("--quick", action="store_true", help="the plain typical street and its substream")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/gates.json")
    ours.add_arguments(parser)
    add_arguments(parser)
    args = parser.parse_args()
    kinds = args.kind or (["typical"] if args.quick else KINDS)
    variants = args.variant or (["plain", "sub"] if args.quick else CODINGS)
    try:
        made = {kind: clips(kind, variants, args.folder, args.street) for kind in kinds}
        machine = describe()
        head()
        rows = [row for kind in kinds for one in made[kind].values() for row in rows_of(args, one)]
    except Failure as failure:
        print(f"gates: {failure}", file=sys.stderr)
        return failure.exit_code
    document = result("gates", rows, 1, "one run of each row", machine=machine, model=resolve(args.model).ref)
    save(document, args.json)
    return 0


def rows_of(args: argparse.Namespace, one: Clip) -> list[dict[str, Any]]:
    """Run all gates on one clip."""
    truth = of_truth(json.loads(one.truth.read_text(encoding="utf-8")))
    rows: list[dict[str, Any]] = []
    every: list[Found] | None = None
    for gate in sorted(args.gates, key=lambda name: name != "every"):
        args.gate = gate
        said = run_ours(args, one)
        events = [Found.from_json(event) for event in said["events"]]
        every = events if gate == "every" else every
        row = {
            "clip": one.kind,
            "variant": one.variant,
            "gate": gate,
            "cost": round(said["cpu_s"] / said["video_s"], 4),
            "decoded": said["decoded"],
            "analysed": said["frames"],
            "against_truth": compare(truth, events).as_json(),
            "against_every": compare(every, events).as_json() if every is not None else None,
            "confirmed_late_max_s": late(truth, events),
        }
        rows.append(row)
        show(row)
    return rows


def late(truth: Sequence[Found], events: Sequence[Found], dwell_s: float = 5.0) -> float | None:
    """Give by how much the latest confirmation came after the end of its dwell, seconds.

    >>> car = Found("illegal_parking", "road", 7.0, (0, 0, 9, 9), confirmed_s=12.4)
    >>> late([Found("illegal_parking", "road", 7.0, (0, 0, 9, 9))], [car])
    0.4
    """
    pairs = compare(truth, events).matched
    return max(
        (round((b.confirmed_s or 0.0) - a.start_s - dwell_s, 3) for a, b in pairs),
        default=None,
    )


def head() -> None:
    """Print the head of the table."""
    print(
        f"{'clip':<9}{'coding':<9}{'gate':<10}{'C':>8}{'decoded':>9}{'analysed':>10}{'late s':>8}  "
        "against truth: starts, ends; the same against every"
    )


def verdict(one: dict[str, Any] | None) -> str:
    """Say how two sets of events differ.

    >>> car = Found("illegal_parking", "road", 7.0, (0, 0, 9, 9), end_s=20.0)
    >>> verdict(compare([car], [car]).as_json()), verdict(compare([car], []).as_json()), verdict(None)
    ('all, 0.00 s, 0.00 s', '1 missing, 0 extra', '-')
    """
    if one is None:
        return "-"
    if not one["equal"]:
        return f"{len(one['missing'])} missing, {len(one['extra'])} extra"
    wrong = [(one["ends_missing"], "not ended"), (one["ends_extra"], "ended besides")]
    ends = [f"{count} {what}" for count, what in wrong if count]
    ends += [] if one["end_off_max_s"] is None else [f"{one['end_off_max_s']:.2f} s"]
    return ", ".join([f"all, {one['start_off_max_s']:.2f} s", *ends])


def show(row: dict[str, Any]) -> None:
    """Print one row."""
    verdicts = [verdict(one) for one in (row["against_truth"], row["against_every"])]
    delay = "-" if row["confirmed_late_max_s"] is None else f"{row['confirmed_late_max_s']:.1f}"
    print(
        f"{row['clip']:<9}{row['variant']:<9}{row['gate']:<10}{row['cost']:>8.3f}{row['decoded']:>9}"
        f"{row['analysed']:>10}{delay:>8}  {'; '.join(verdicts)}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
