"""Events of clips with truth: precision, recall and time to alarm of the whole run, from frame to case.

python benchmarks/events.py [TRUTH ...] [--weather night ...] [--model street@production] [--json FILE]

Each clip goes through `kerbwatch run` with its site file. TRUTH is a file as training/evaluation/events.py
describes; without one the demo clip and every clip of datasets/clips is taken. Clips that are not there are
named as skipped. --weather adds the demo clip as it would look then (training/scenes/weather.py; the
truth stays the same). Intervals are Wilson's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detector.errors import Failure
from detector.types import Image
from training.evaluation.events import ClipScore, ClipTruth, read_cases, read_truth, score_clip, total
from training.scenes import weather
from training.scenes.clip import encode

ROOT = Path(__file__).resolve().parents[1]
CLIPS = ROOT.parent / "shared" / "clips"
DEMO = ROOT / "datasets" / "demo" / "truth.json"
SEED = 12
"""Of the light; with it the night has a mean luminance of 57 of 255."""
WEATHER: dict[str, Callable[[Image, np.random.Generator], Image] | None] = {
    "night": weather.night,
    "fog": weather.fog,
    "backlight": weather.backlight,
    "low_bit_rate": None,
}
LOW_BIT_RATE_CRF = 44


def main() -> int:
    """Run, score, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("truth", nargs="*", type=Path, metavar="TRUTH", help="files of truth")
    parser.add_argument(
        "--weather",
        nargs="*",
        default=(),
        choices=tuple(WEATHER),
        metavar="KIND",
        help="of the demo clip: %(choices)s",
    )
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
        scores += [score_weather(kind, args.model) for kind in args.weather]
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
        DEMO,
        *(path for path in clips if not path.name.endswith(".site.toml")),
    ]


def find_clip(truth: ClipTruth, path: Path, clips: Path) -> Path | None:
    """Look beside the truth, then in the folder of clips."""
    return next(
        (folder / truth.clip for folder in (path.parent, clips) if (folder / truth.clip).is_file()), None
    )


def score_weather(kind: str, model: str) -> ClipScore:
    """Run the demo clip as it would look in that weather."""
    truth = read_truth(DEMO)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / truth.clip
        crf = LOW_BIT_RATE_CRF if kind == "low_bit_rate" else 33
        encode(
            clip, ((picture, []) for picture in weathered(DEMO.parent / truth.clip, kind)), truth.size_px, crf
        )
        cases = run(clip, DEMO.parent / truth.site, truth, model)
    return replace(score_clip(truth, cases), clip=f"{truth.clip}, {kind}")


def weathered(clip: Path, kind: str) -> Iterator[Image]:
    """Give the frames as they would look: the same light on all of them, the sensor's noise fresh on each."""
    effect = WEATHER[kind]
    video, noise = cv2.VideoCapture(str(clip)), np.random.default_rng(SEED)
    while True:
        there, frame = video.read()
        if not there:
            break
        picture = np.asarray(frame, dtype=np.uint8)
        if effect:
            picture = weather.noise(effect(picture, np.random.default_rng(SEED)), noise, 2.0)
        yield picture
    video.release()


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
