"""One camera, from frames to kept reports: the one place that knows the order of the stages."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt

from detector.detector import Detector
from detector.errors import Failure
from detector.letterbox import letterbox
from detector.types import Detections, Image
from ingest import tracing
from ingest.boxes import fractions, ground_contact
from ingest.classes import event_code
from ingest.evidence import EvidenceWriter
from ingest.filing import Filed, Filing
from ingest.gate import Gate
from ingest.geotag import locate
from ingest.known import events_of
from ingest.mainstream import MainStream
from ingest.outbox import Outbox
from ingest.recorder import EvidenceRecorder
from ingest.redact import SCORE_MIN as REDACT_SCORE_MIN
from ingest.report import Box, CaseReport, EventEnd, EvidenceRef
from ingest.rules import EventRule, build_rules
from ingest.rules.places import Counting
from ingest.site import Camera, Site
from ingest.sources import Source
from ingest.sources.signs import Thing, things_of
from ingest.stages import StageClock
from ingest.tracker import Tracker
from ingest.types import XYXY, Event, EventPhase, Frame, Picture, Scene
from ingest.zones import privacy_polygons, without_ignored

log = logging.getLogger(__name__)

Bounds: TypeAlias = tuple[XYXY, ...]
"""Rectangles around the watched zones, fractions of the frame."""
Handed: TypeAlias = Mapping[str, Counting]
"""What each rule was counting, by its first kind."""
FIRST = timedelta(seconds=30)
"""A thing that came to rest within so long of the first frame may have stood there before."""
MAIN_S = 30.0
"""How much longer than the dwell the main stream is kept open for a thing that may have to be reported."""


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
    main: MainStream | None = None
    """The camera's main stream, for evidence; None: the one analysed is used."""
    slots: threading.Semaphore | None = None
    """How many cameras of this process may make evidence at once; None: each may."""


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
    main = MainStream(camera.evidence_source, camera.id) if camera.evidence_source else None
    return Parts(site, camera, detector, gate, Tracker(camera.id), rules, recorder, writer, outbox, main)


@dataclass(slots=True)
class Pipeline:
    """Run one source through the stages; `summary` tells how far it is.

    `known`: Case JSON of what is already reported and still open, so that a restart reports nothing twice.
    `unaware`: `known` could not be asked for, so what stands there at the beginning may be reported already.
    `handed`: what the rules were counting where the camera was watched a moment ago, by `counting` there.
    """

    parts: Parts
    live: bool = False
    known: Sequence[dict[str, Any]] = ()
    unaware: bool = False
    handed: Handed = field(default_factory=dict)
    summary: Summary = field(default_factory=Summary)
    stages: StageClock = field(default_factory=StageClock)
    _traces: tracing.FrameTraces = field(init=False)
    _watched: Bounds = field(init=False)
    _scout: _Scout = field(init=False)
    _filing: Filing | None = None
    _attend: Callable[..., None] | None = None

    def __post_init__(self) -> None:
        self._traces = tracing.FrameTraces(self.stages)
        self._watched = tuple(zone.shape.bounds for zone in self.parts.camera.zones if zone.events)
        self._scout = _Scout(self.parts, self._watched, self._find)

    def run(self, source: Source) -> Summary:
        """Analyse `source` to its end.

        Raises:
            Failure: the source cannot be read, or (files only) the disk cannot be written: run it again.
        """
        self.live = source.live
        source.status.stages = self.stages
        self._attend = source.attend
        self.parts.recorder.use(source.tape, self._look)
        source.consult(self._scout)
        try:
            for frame in source.frames():
                with self.stages.span("gate"):
                    admitted = self.parts.gate.admit(frame)
                if admitted:
                    self.analyse(frame)
                else:
                    source.status.dropped["still"] += 1
                del frame  # its picture is the decoder's memory, and the next may be seconds away
        except BaseException:
            self._leave_main()
            with suppress(Failure):  # what was confirmed before is kept; the first error is the one to tell
                self._files().finish()
            raise
        self.finish()
        return self.summary

    def analyse(self, frame: Frame) -> None:
        """Take one frame through all stages."""
        parts = self.parts
        self._traces.begin(frame)
        self._remember(frame.wh)
        seen = self._detect(frame)
        carried = frame.carried and parts.recorder.pass_by(frame, seen)
        if frame.carried and not carried and frame.picture is not None:
            seen = self._find(frame.picture)
        with self.stages.span("evidence"):
            if not carried:
                parts.recorder.add(frame, seen)
        with self.stages.span("track"):
            scene = self._scene(frame, seen)
        self._count(frame, looked=not carried)
        with self.stages.span("rules"):
            events = [event for rule in parts.rules for event in rule.update(scene)]
        shows = any(event.phase is not EventPhase.PRE_ALARM for event in events)
        if shows and carried and frame.picture is not None:
            parts.recorder.show(frame, partial(self._find, frame.picture))
        for event in events:
            with self._traces.event(event):
                self._take(event, frame.wh)
        parts.recorder.done()
        self._traces.end()
        unsettled = self._unsettled(frame.wh)
        parts.gate.attend(unsettled=unsettled)
        if self._attend is not None:
            due = [at for at in (rule.due() for rule in parts.rules) if at is not None]
            self._attend(unsettled=unsettled, due=min(due, default=None))

    def finish(self) -> None:
        """Say what had left when the source ended, and wait until all is written.

        Raises:
            Failure: something could not be.
        """
        self._leave_main()
        if self.summary.last_at is not None:
            for rule in self.parts.rules:
                for event in rule.finish(self.summary.last_at):
                    self._files().put(Filed(event, (0, 0), None))
        self._files().finish()

    def _detect(self, frame: Frame) -> Detections:
        """Find everything, down to low scores: what may be a person is hidden."""
        if frame.seen is not None:
            return frame.seen
        if frame.picture is not None:
            return self._find(frame.picture)
        spec = self.parts.detector.spec
        canvas, lies = letterbox(frame.image, spec.side_px, spec.stride_px)
        return self.parts.detector.detect_canvas(canvas, lies, REDACT_SCORE_MIN, clock=self.stages.add)

    def _find(self, picture: Picture) -> Detections:
        """Find everything in what a decoder gave."""
        detector = self.parts.detector
        with self.stages.span("resize"):
            canvas, lies = picture.canvas(detector.spec.side_px, detector.spec.stride_px)
        return detector.detect_canvas(canvas, lies, REDACT_SCORE_MIN, clock=self.stages.add)

    def _look(self, image: Image) -> Detections:
        """Look at a picture for evidence that was not analysed."""
        return self.parts.detector.detect(image, REDACT_SCORE_MIN)

    def _unsettled(self, wh: tuple[int, int]) -> bool:
        """Say whether anything in or beside a watched zone moves, has just come, or is missed."""
        return any(touches(self._watched, box, wh) for box in self.parts.tracker.unsettled())

    def _main_of(self, event: Event) -> Frame | None:
        """Call the main stream when something begins to count, and give its picture when it is confirmed."""
        main = self.parts.main
        if main is None or event.phase is EventPhase.ENDED:
            return None
        if event.phase is EventPhase.CONFIRMED:
            return main.at(event.observed_at)
        dwell_s = next((zone.dwell_s for zone in self.parts.camera.zones if zone.id == event.zone_id), 0.0)
        main.want(dwell_s + MAIN_S)
        return None

    def _leave_main(self) -> None:
        if self.parts.main is not None:
            self.parts.main.close()

    def _files(self) -> Filing:
        if self._filing is None:
            name = f"evidence {self.parts.camera.id}"
            self._filing = Filing(self._write, live=self.live, name=name, slots=self.parts.slots)
        return self._filing

    def _remember(self, wh: tuple[int, int]) -> None:
        known, self.known = list(events_of(self.known, wh)), ()
        for rule in self.parts.rules if known else ():
            rule.remember(known)
        handed, self.handed = self.handed, {}
        for rule in self.parts.rules:
            if (counting := handed.get(rule.kinds[0].value)) is not None:
                rule.adopt(counting)

    def counting(self) -> Handed:
        """Give what the rules are counting, for the pipeline that takes this camera over; after `run`."""
        return {rule.kinds[0].value: rule.counting() for rule in self.parts.rules}

    def _scene(self, frame: Frame, seen: Detections) -> Scene:
        parts = self.parts
        score_min = {**parts.detector.spec.score_min, **parts.camera.score_min}
        if frame.seen is not None:
            parts.tracker.vacate(frame.vacated, frame.wh)
            seen = self._scout.staying(seen, frame)
        watched = without_ignored(seen, parts.camera.zones, frame.wh)
        tracks = parts.tracker.update(frame.index, frame.at, watched, score_min, frame.wh)
        return Scene(frame.source_id, frame.index, frame.at, frame.wh, tracks, frame.passing, frame.left)

    def _count(self, frame: Frame, *, looked: bool) -> None:
        self.summary.frames += looked
        self.summary.first_at = self.summary.first_at or frame.at
        self.summary.last_at = frame.at

    def _take(self, event: Event, wh: tuple[int, int]) -> None:
        with tracing.step("capture"), self.stages.span("evidence"):
            capture = self.parts.recorder.prepare(event, self._main_of(event))
        log.info("%s: %s %s in %s", self.parts.camera.id, event.phase, event.kind, event.zone_id)
        if event.phase is EventPhase.PRE_ALARM:
            self.summary.pre_alarms += 1
            return
        self._files().put(Filed(event, wh, capture, tracing.carried()))

    # -- in the thread of `ingest.filing` --

    def _write(self, filed: Filed) -> None:
        """Put one event's evidence and report where a crash cannot take them."""
        with tracing.continued(filed.traceparent, "evidence"):
            refs = self.parts.writer.put_all(filed.pieces)
        with tracing.continued(filed.traceparent, "outbox"):
            self._keep(filed, refs)

    def _keep(self, filed: Filed, refs: tuple[EvidenceRef, ...]) -> None:
        if filed.event.phase is EventPhase.ENDED:
            self._keep_end(filed.event, refs)
            return
        report = report_of(self.parts, filed.event, filed.wh, refs)
        began = self.summary.first_at or filed.event.started_at
        if self.unaware and filed.event.started_at - began < FIRST:
            report = report.model_copy(update={"unaware": True})
        self.parts.outbox.put(report)
        self.summary.confirmed += 1
        self.summary.kinds[filed.event.kind.value] += 1

    def _keep_end(self, event: Event, refs: tuple[EvidenceRef, ...]) -> None:
        self.parts.outbox.put_end(
            EventEnd(
                report_id=UUID(event.event_id), ended_at=event.ended_at or event.observed_at, evidence=refs
            )
        )
        self.summary.ended += 1


class _Scout:
    """Looks at key frames for a source; see `ingest.sources.scouting.Scout`."""

    def __init__(self, parts: Parts, watched: Bounds, find: Callable[[Picture], Detections]) -> None:
        self._camera, self._watched, self.look = parts.camera, watched, find
        self._score_min = {**parts.detector.spec.score_min, **parts.camera.score_min}
        self._labels = frozenset().union(*(rule.labels for rule in parts.rules))

    def things(self, seen: Detections, wh: tuple[int, int]) -> tuple[Thing, ...]:
        """Give what a rule may ask for, in or at a watched zone."""
        kept = without_ignored(seen.where(self._wanted(seen)), self._camera.zones, wh)
        found = things_of(kept, self._score_min)
        return tuple(thing for thing in found if touches(self._watched, thing.xyxy, wh))

    def staying(self, seen: Detections, frame: Frame) -> Detections:
        """Give what may be followed from one key frame to the next: not what moves, nor what is elsewhere.

        Two key frames are too far apart to tell one car from the next where it is; what is followed is what
        stands.
        """
        passing = set(frame.passing)
        wanted = self._wanted(seen)
        kept = wanted.copy()
        for row in np.flatnonzero(wanted):
            left, top, right, bottom = (float(side) for side in seen.xyxy[row])
            box = (left, top, right, bottom)
            kept[row] = box not in passing and touches(self._watched, box, frame.wh)
        return seen.where(kept | ~wanted)

    def _wanted(self, seen: Detections) -> npt.NDArray[np.bool_]:
        return np.array([name in self._labels for name in seen.names], np.bool_)[seen.label]


def touches(watched: Bounds, box: XYXY, wh: tuple[int, int]) -> bool:
    """Say whether a box, pixels, touches one of the rectangles, fractions of the frame."""
    x0, y0, x1, y1 = fractions(box, wh)
    return any(
        x0 <= right and x1 >= left and y0 <= bottom and y1 >= top for left, top, right, bottom in watched
    )


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
