"""One run of Kerbwatch's whole pipeline on a clip, from decoding to the spool: a child process.

    python benchmarks/ours.py CLIP SITE [--gate motion] [--precision int8] [--threads 1] [--no-evidence]

Prints one JSON line: CPU seconds of this process, all threads and children, from the opening of the clip to
its end (loading the model and computing its first picture are left out), frames, stages, events. Nothing is
sent.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clips import HD, VARIANTS
from benchmarks.event_sets import Collector
from detector.detector import Detector
from detector.registry import resolve
from ingest.config import load_site
from ingest.gate import KINDS, open_gate
from ingest.pipeline import Parts, Pipeline, assemble
from ingest.rules import EventRule
from ingest.site import Camera, Site
from ingest.sources import Source, SourceSettings, open_source
from ingest.types import Event, Frame, Scene
from ingest.uplink import Uplink

OURS = tuple(kind for kind in ("lookback", "follow", "motion") if kind in KINDS)
"""Gates that skip, the most skipping first."""


class Listening:
    """A rule whose events are also given to a collector."""

    def __init__(self, rule: EventRule, collector: Collector) -> None:
        self._rule, self._collector = rule, collector
        self.kinds, self.labels, self.always_review = rule.kinds, rule.labels, rule.always_review

    def update(self, scene: Scene) -> list[Event]:
        """As the rule."""
        events = self._rule.update(scene)
        self._collector.take(events)
        return events

    def finish(self, at: Any) -> list[Event]:
        """As the rule."""
        events = self._rule.finish(at)
        self._collector.take(events)
        return events

    def remember(self, known: Iterable[Event]) -> None:
        """As the rule."""
        self._rule.remember(known)

    def __getattr__(self, name: str) -> Any:
        """Whatever else a rule has."""
        return getattr(self._rule, name)


class Noting(Pipeline):
    """Notes which frames there were, and which the detector saw: not those that carry another's boxes."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.looked: set[int] = set()
        self.given: set[int] = set()

    def analyse(self, frame: Frame) -> None:
        """As the pipeline."""
        self.given.add(frame.index)
        if not frame.carried:
            self.looked.add(frame.index)
        super().analyse(frame)


def open_clip(camera: Camera, site: Site, gate: str) -> Source:
    """Open the clip as the fleet opens a camera with this gate."""
    watched = tuple(zone.polygon for zone in camera.zones if zone.events)
    settings = SourceSettings(
        fps=camera.fps,
        starts_at=camera.starts_at,
        tz=site.tz,
        decode=gate if gate in {"follow", "lookback"} else "all",
        watched=watched,
        dwell_min_s=min(zone.dwell_s for zone in camera.zones if zone.events),
    )
    return open_source(str(camera.source), camera.id, settings=settings)


def cpu_s() -> float:
    """Give the CPU seconds of this process and of children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class NoEvidence:
    """A recorder that keeps nothing: what is left is the work that other trackers do too."""

    def use(self, *_: object) -> None:
        """Take no tape."""

    def add(self, *_: object) -> None:
        """Keep no frame."""

    def pass_by(self, *_: object) -> bool:
        """Keep no frame, so none need be looked at for it."""
        return True

    def show(self, *_: object) -> None:
        """Ask nobody whom to hide."""

    def prepare(self, *_: object) -> None:
        """Make nothing."""

    def done(self) -> None:
        """Let go of nothing."""


def run(args: argparse.Namespace, around: AbstractContextManager[Any] | None = None) -> dict[str, Any]:
    """Run the pipeline once and say what it took and found; `around` is open while it is counted."""
    site = load_site(args.site)
    camera = site.cameras[0].model_copy(update={"source": str(args.clip)})
    size = VARIANTS["sub"].size if args.small else HD
    with (
        tempfile.TemporaryDirectory() as folder,
        Detector(
            resolve(args.model), threads=args.threads, precision=args.precision, hint="throughput"
        ) as detector,
        Uplink(Path(folder), "http://127.0.0.1:9", "", lambda _: None, sends=False) as uplink,
    ):
        detector.detect(np.zeros((size[1], size[0], 3), np.uint8))
        assert camera.starts_at is not None
        collector = Collector(camera.starts_at, size, HD)
        cpu, wall = cpu_s(), time.perf_counter()
        parts = assemble(site, camera, detector, open_gate(args.gate), uplink.writer, uplink.outbox)
        listening: list[Any] = [Listening(rule, collector) for rule in parts.rules]
        parts.rules = listening
        if args.no_evidence:
            nothing: Any = NoEvidence()
            parts.recorder = nothing
        pipeline = Noting(parts)
        with around or nullcontext(), open_clip(camera, site, args.gate) as source:
            summary = pipeline.run(source)
        spent = cpu_s() - cpu
        wall = time.perf_counter() - wall
        return {
            "cpu_s": spent,
            "wall_s": wall,
            "frames": summary.frames,
            "analysed": sorted(pipeline.looked),
            "given": sorted(pipeline.given),
            "read": source.status.read,
            "decoded": source.status.decoded,
            "dropped": dict(source.status.dropped),
            "video_s": args.seconds,
            "events": [found.as_json() for found in collector.found()],
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "model": detector.model_ref,
            "precision": detector.precision,
            "batches": {str(k): v for k, v in getattr(detector, "batches", {}).items()},
            "infer_s": getattr(detector, "infer_s", None),
            "stage_s": pipeline.stages.seconds(),
            "stage_n": pipeline.stages.counts(),
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what decides how the pipeline runs."""
    parser.add_argument("--gate", default=OURS[0], help=f"which frames are analysed (default {OURS[0]})")
    parser.add_argument(
        "--precision", default="auto", help="of the detector (default: auto, as serve takes it)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="of the detector; 1 as in a worker of the fleet"
    )
    parser.add_argument("--model", default="street@production")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("site", type=Path)
    parser.add_argument("--small", action="store_true", help="the clip is of 640x360")
    parser.add_argument("--no-evidence", action="store_true", help="stills and clips are not made")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the clip")
    add_arguments(parser)
    print(json.dumps(run(parser.parse_args())))


if __name__ == "__main__":
    main()
