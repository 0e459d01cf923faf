"""One camera, from frames to kept reports: the one place that knows the order of the stages."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from detector.detector import Detector
from detector.errors import Failure
from detector.types import Detections
from ingest import tracing
from ingest.boxes import fractions, ground_contact
from ingest.classes import event_code
from ingest.evidence import EvidenceRecorder, EvidenceWriter, Piece
from ingest.gate import Gate
from ingest.geotag import locate
from ingest.known import events_of
from ingest.outbox import Outbox
from ingest.redact import SCORE_MIN as REDACT_SCORE_MIN
from ingest.report import Box, CaseReport, EventEnd, EvidenceRef
from ingest.rules import EventRule, build_rules
from ingest.site import Camera, Site
from ingest.sources import Source
from ingest.stages import StageClock
from ingest.tracker import Tracker
from ingest.types import Event, EventPhase, Frame, Scene
from ingest.zones import privacy_polygons, without_ignored

log = logging.getLogger(__name__)

RETRY_S = 5.0
"""Pause between two attempts to put a held event on a full disk."""
HELD_MAX = 50
"""Held events (about 2 MB each) from which on a live camera waits for the disk instead of looking further."""


@dataclass(slots=True)
class Summary:
    """What one run did: frames analysed, events by phase, confirmed ones by kind, the frames' time span."""

    frames: int = 0
    pre_alarms: int = 0
    confirmed: int = 0
    ended: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    first_at: datetime | None = None
    last_at: datetime | None = None


@dataclass(slots=True)
class Parts:
    """What a pipeline is made of; a test replaces any of them."""

    site: Site
    camera: Camera
    detector: Detector
    gate: Gate
    tracker: Tracker
    rules: Sequence[EventRule]
    recorder: EvidenceRecorder
    writer: EvidenceWriter
    outbox: Outbox


@dataclass(slots=True)
class _Held:
    """An event that could not be written yet, with its pictures in memory."""

    event: Event
    wh: tuple[int, int]
    pieces: tuple[Piece, ...]
    traceparent: str


def assemble(
    site: Site, camera: Camera, detector: Detector, gate: Gate, writer: EvidenceWriter, outbox: Outbox
) -> Parts:
    """Put the default parts of one camera together.

    Raises:
        WrongUse: the camera's thresholds or zones name what the model or the rules do not have.
    """
    longest_s = max((zone.dwell_s for zone in camera.zones), default=0.0)
    recorder = EvidenceRecorder(
        privacy=privacy_polygons(camera.zones), keep_s=max(60.0, longest_s + 30.0), fps=camera.fps
    )
    rules = build_rules(camera, site)
    return Parts(site, camera, detector, gate, Tracker(camera.id), rules, recorder, writer, outbox)


@dataclass(slots=True)
class Pipeline:
    """Run one source through the stages; `summary` tells how far it is.

    `known`: Case JSON of what is already reported and still open, so that a restart reports nothing twice.
    """

    parts: Parts
    live: bool = False
    known: Sequence[dict[str, Any]] = ()
    summary: Summary = field(default_factory=Summary)
    stages: StageClock = field(default_factory=StageClock)
    _traces: tracing.FrameTraces = field(init=False)
    _held: deque[_Held] = field(default_factory=deque)
    _next_try: float = 0.0

    def __post_init__(self) -> None:
        self._traces = tracing.FrameTraces(self.stages)

    def run(self, source: Source) -> Summary:
        """Analyse `source` to its end.

        Raises:
            Failure: the source cannot be read, or (files only) the disk cannot be written: run it again.
        """
        self.live = source.live
        for frame in source.frames():
            if self.parts.gate.admit(frame):
                self.analyse(frame)
        self.finish()
        return self.summary

    def analyse(self, frame: Frame) -> None:
        """Take one frame through all stages."""
        parts = self.parts
        self._traces.begin(frame)
        self._remember(frame.wh)
        seen = parts.detector.detect(frame.image, REDACT_SCORE_MIN)  # low: what may be a person is hidden
        parts.recorder.add(frame, seen)
        scene = self._scene(frame, seen)
        self._count(frame)
        for rule in parts.rules:
            for event in rule.update(scene):
                with self._traces.event(event):
                    self._take(event, frame.wh)
        self._traces.end()
        self._retry_held()

    def finish(self) -> None:
        """Say what had left when the source ended, and write what is held."""
        if self.summary.last_at is not None:
            for rule in self.parts.rules:
                for event in rule.finish(self.summary.last_at):
                    self._keep_end(event, ())
        while self._held:
            self._write(self._held[0])
            self._held.popleft()

    def _remember(self, wh: tuple[int, int]) -> None:
        known, self.known = list(events_of(self.known, wh)), ()
        for rule in self.parts.rules if known else ():
            rule.remember(known)

    def _scene(self, frame: Frame, seen: Detections) -> Scene:
        parts = self.parts
        score_min = {**parts.detector.spec.score_min, **parts.camera.score_min}
        watched = without_ignored(seen, parts.camera.zones, frame.wh)
        tracks = parts.tracker.update(frame.index, frame.at, watched, score_min, frame.wh)
        return Scene(frame.source_id, frame.index, frame.at, frame.wh, tracks)

    def _count(self, frame: Frame) -> None:
        self.summary.frames += 1
        self.summary.first_at = self.summary.first_at or frame.at
        self.summary.last_at = frame.at

    def _take(self, event: Event, wh: tuple[int, int]) -> None:
        with tracing.step("capture"):
            pieces = self.parts.recorder.capture(event)
        log.info("%s: %s %s in %s", self.parts.camera.id, event.phase, event.kind, event.zone_id)
        if event.phase is EventPhase.PRE_ALARM:
            self.summary.pre_alarms += 1
            return
        held = _Held(event, wh, pieces, tracing.carried())
        if self._held:  # order is kept: an end must not overtake its report
            self._held.append(held)
            return
        try:
            self._write(held)
        except Failure:
            if not self.live:
                raise
            self._held.append(held)

    def _retry_held(self) -> None:
        """Try the held events again, in order; with too many of them, wait for the disk."""
        while self._held and (time.monotonic() >= self._next_try or len(self._held) >= HELD_MAX):
            try:
                self._write(self._held[0])
                self._held.popleft()
            except Failure as failure:
                log.warning("%s (%d events wait)", failure, len(self._held))
                self._next_try = time.monotonic() + RETRY_S
                if len(self._held) >= HELD_MAX:
                    time.sleep(RETRY_S)

    def _write(self, held: _Held) -> None:
        """Put one event's evidence and report where a crash cannot take them."""
        with tracing.continued(held.traceparent, "evidence"):
            refs = self.parts.writer.put_all(held.pieces)
        with tracing.continued(held.traceparent, "outbox"):
            self._keep(held, refs)

    def _keep(self, held: _Held, refs: tuple[EvidenceRef, ...]) -> None:
        if held.event.phase is EventPhase.ENDED:
            self._keep_end(held.event, refs)
            return
        self.parts.outbox.put(report_of(self.parts, held.event, held.wh, refs))
        self.summary.confirmed += 1
        self.summary.kinds[held.event.kind.value] += 1

    def _keep_end(self, event: Event, refs: tuple[EvidenceRef, ...]) -> None:
        self.parts.outbox.put_end(
            EventEnd(
                report_id=UUID(event.event_id), ended_at=event.ended_at or event.observed_at, evidence=refs
            )
        )
        self.summary.ended += 1


def report_of(parts: Parts, event: Event, wh: tuple[int, int], refs: tuple[EvidenceRef, ...]) -> CaseReport:
    """Turn a confirmed event into the wire format.

    Args:
        parts: of the camera that saw it.
        event: confirmed.
        wh: width and height of its frame in pixels.
        refs: its stored evidence.
    """
    x0, y0, x1, y1 = (min(max(side, 0.0), 1.0) for side in fractions(event.xyxy, wh))
    return CaseReport(
        report_id=UUID(event.event_id),
        kind=event.kind.value,
        variant=event.variant,
        code=event_code(event.kind, event.variant),
        source_id=parts.camera.id,
        zone_id=event.zone_id,
        site=parts.site.name,
        started_at=event.started_at,
        observed_at=event.observed_at,
        location=locate(parts.camera, ground_contact((x0, y0, x1, y1)), wh),
        confidence=round(min(max(event.confidence, 0.0), 1.0), 4),
        model=parts.detector.model_ref,
        label=event.label,
        box=Box(x0=x0, y0=y0, x1=x1, y1=y1),
        evidence=refs,
    )
