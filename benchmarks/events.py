"""Events of clips with truth: precision, recall and time to alarm of the whole run, from frame to case.

python benchmarks/events.py [TRUTH ...] [--model street@production] [--clips ../shared/clips] [--json FILE]

Each clip goes through `kerbwatch run` with its site file. TRUTH is a file as training/evaluation/events.py
describes; without one the demo clip and every clip of datasets/clips is taken. Clips that are not there are
named as skipped. Intervals are Wilson's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from detector.errors import Failure
from training.evaluation.events import ClipScore, ClipTruth, read_cases, read_truth, score_clip, total

ROOT = Path(__file__).resolve().parents[1]
CLIPS = ROOT.parent / "shared" / "clips"


def main() -> int:
    """Run, score, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("truth", nargs="*", type=Path, metavar="TRUTH", help="files of truth")
    parser.add_argument("--model", default="street@production", help="name@version, alias or folder")
    parser.add_argument("--clips", type=Path, default=CLIPS, help="folder of clips that are not committed")
    parser.add_argument("--json", type=Path, help="write what came out")
    args = parser.parse_args()
    scores, skipped = [], []
    try:
        for path in args.truth or shipped():
            truth = read_truth(path)
            clip = find_clip(truth, path, args.clips)
            if clip is None:
                skipped.append(truth.clip)
            else:
                scores.append(score_clip(truth, run(clip, path.parent / truth.site, truth, args.model)))
    except Failure as failure:
        print(f"bench-events: {failure}", file=sys.stderr)
        return failure.exit_code
    show(args.model, scores, skipped)
    if args.json:
        args.json.write_text(
            json.dumps(as_json(args.model, scores, skipped), indent=1) + "\n", encoding="utf-8"
        )
    return 0


def shipped() -> list[Path]:
    """Give the files of truth in the repository."""
    clips = sorted((ROOT / "datasets" / "clips").glob("*.toml"))
    return [
        ROOT / "datasets" / "demo" / "truth.json",
        *(path for path in clips if not path.name.endswith(".site.toml")),
    ]


def find_clip(truth: ClipTruth, path: Path, clips: Path) -> Path | None:
    """Look beside the truth, then in the folder of clips."""
    return next(
        (folder / truth.clip for folder in (path.parent, clips) if (folder / truth.clip).is_file()), None
    )


def run(clip: Path, site: Path, truth: ClipTruth, model: str) -> list[Any]:
    """Give the cases that `kerbwatch run` raises.

    Raises:
        Failure: it failed, or the site's camera has no `starts_at`.
    """
    starts_at = starts_at_of(site)
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "kerbwatch", "run", str(clip), "--site", str(site), "--json"]
        done = subprocess.run(
            [*command, "--data", data, "--model", model],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise Failure(
            f"{clip.name}: kerbwatch run ended with {done.returncode}: {done.stderr.strip()[-300:]}"
        )
    return list(read_cases(done.stdout.splitlines(), starts_at, truth.size_px))


def starts_at_of(site: Path) -> datetime:
    """Read when the clip starts, from the site's only camera."""
    try:
        camera = tomllib.loads(site.read_text(encoding="utf-8"))["camera"][0]
        starts_at = camera["starts_at"]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise Failure(f"{site}: wanted a site whose camera has `starts_at` ({error}).") from error
    return starts_at if isinstance(starts_at, datetime) else datetime.fromisoformat(starts_at)


def as_json(model: str, scores: Sequence[ClipScore], skipped: Sequence[str]) -> dict[str, Any]:
    """Give the report."""
    return {
        "model": model,
        "clips": {
            score.clip: score.as_json()
            | {
                "missed": [sorted(event.kinds) for event in score.missed],
                "false_alarms_are": [[case.kind, case.zone_id, case.at_s] for case in score.false_alarms],
            }
            for score in scores
        },
        "total": total(scores),
        "skipped": list(skipped),
    }


def show(model: str, scores: Sequence[ClipScore], skipped: Sequence[str]) -> None:
    """Print a row per clip and one for all."""
    print(
        f"{model}\n{'clip':<56}{'events':>7}{'hits':>6}{'false':>7}{'ignored':>9}{'median s':>10}{'max s':>8}"
    )
    rows = [(score.clip, score.as_json()) for score in scores]
    for name, row in (*rows, ("all", total(scores))):
        middle, most = (
            "-" if row[key] is None else f"{row[key]:.1f}"
            for key in ("seconds_to_alarm_median", "seconds_to_alarm_max")
        )
        print(
            f"{name:<56}{row['events']:>7}{row['hits']:>6}{row['false_alarms']:>7}{row['ignored']:>9}"
            f"{middle:>10}{most:>8}"
        )
    row = total(scores)
    for name in ("precision", "recall"):
        if row[name] is not None:
            print(f"{name:<10}{row[name]:.2f}  95 % {row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f}")
    for name in skipped:
        print(f"skipped   {name}: the clip is not there")


if __name__ == "__main__":
    sys.exit(main())
