"""One camera of a group: its thread, its repeated attempts, and how it is doing."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from detector.detector import Detector
from detector.errors import Failure
from ingest.fleet.ages import AgedPipeline
from ingest.fleet.claims import Claims
from ingest.fleet.cpu import ThreadMeter
from ingest.fleet.health import Look, judge
from ingest.fleet.status import CameraState, CameraStatus
from ingest.fleet.tally import Rates, Tally
from ingest.fleet.turns import Turns
from ingest.gate import open_gate
from ingest.pipeline import Handed, assemble
from ingest.session import source_of
from ingest.site import Camera, Site
from ingest.sources import Source
from ingest.uplink import Uplink

log = logging.getLogger(__name__)

BACKOFF_S = (2.0, 60.0)
"""First and longest pause before a camera that failed is tried again; doubled each time."""
HEALTHY_S = 60.0
"""A camera that ran for so long starts with the shortest pause again."""
REFUSED_S = 5.0
"""Pause before a camera that another worker has is claimed again."""
STOP_S = 10.0
"""How long a camera's thread may take to end."""
EVIDENCE = "evidence"
"""First word of the names of threads that make evidence (`ingest.pipeline`)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the cameras of a group share.

    Args:
        site: for names and the time zone.
        worker: who watches, for status.
        gate: kind of the gate.
        detector: gives the detector of a model's name, opened when it is first asked for.
        uplink: where evidence and reports go.
        claims: asked before a camera is watched; None: whoever adds it has seen to that.
        turns: at making evidence.
    """

    site: Site
    worker: str
    gate: str
    detector: Callable[[str], Detector]
    uplink: Uplink
    claims: Claims | None = None
    turns: Turns = field(default_factory=Turns)


class WatchedCamera:
    """Watch one camera from a thread until `stop`; one that fails is tried again.

    `counting`: what its rules were counting when it was stopped; at first, what they are to go on with.
    `cores`: what its own threads took over the last seconds; those that make evidence do not count, which a
    camera needs now and then and which takes its turn anyway. `threads`: the kernel's numbers of those that
    count. `times_usual`: how many times as much as the others' that is, where its group holds it back for it
    (`ingest.fleet.guard`), else 0.
    """

    def __init__(self, camera: Camera, around: Surroundings, handed: Handed | None = None) -> None:
        self.camera = camera
        self.counting: Handed = handed or {}
        self.fps_wanted = camera.fps
        self._around = around
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._state = CameraState.STARTING
        self._fault = ""
        self._source: Source | None = None
        self._pipeline: AgedPipeline | None = None
        self._past = Tally()
        self._rates = Rates()
        self._meter = ThreadMeter()
        self.cores = 0.0
        self.threads: tuple[int, ...] = ()
        self.times_usual = 0.0
        self._since = time.monotonic()
        self._came: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"camera {camera.id}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """End soon; returns at once."""
        self._stop.set()
        self.interrupt()

    def interrupt(self) -> None:
        """End the present connection; if the camera is not stopped, it is claimed and called again."""
        with self._lock:
            source = self._source
        if source is not None:
            source.stop()

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """End, and wait for it; False: the thread still hangs in something."""
        self.ask_to_stop()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def set_rate(self, fps: float) -> None:
        """Analyse so many frames per second from now on."""
        with self._lock:
            self.fps_wanted = fps
            source = self._source
        if source is not None:
            source.set_fps(fps)

    # -- the camera's thread --

    def _run(self) -> None:
        pause_s = BACKOFF_S[0]
        while not self._stop.is_set():
            began = time.monotonic()
            if not self._claimed():
                self._stop.wait(REFUSED_S)
                continue
            try:
                self._watch()
            except Failure as failure:
                self._fail(str(failure))
            except Exception as error:  # a camera's loop: whatever broke, the others go on
                log.debug("camera %s", self.camera.id, exc_info=True)
                self._fail(f"its pipeline broke ({type(error).__name__}: {error}); it is tried again.")
            if self._state is CameraState.ENDED:
                break
            if time.monotonic() - began > HEALTHY_S:
                pause_s = BACKOFF_S[0]
            self._stop.wait(pause_s)
            pause_s = min(BACKOFF_S[1], 2 * pause_s)
        if self._around.claims:
            self._around.claims.give_up([self.camera.id])

    def _claimed(self) -> bool:
        """Claim the camera where that is asked for; say in status who has it otherwise."""
        claims = self._around.claims
        sentence = claims.take([self.camera.id]).get(self.camera.id) if claims else None
        if sentence is None:
            return True
        if self._fault != sentence:
            log.warning("%s", sentence)
        self._state, self._fault = CameraState.REFUSED, sentence
        return False

    def _fail(self, sentence: str) -> None:
        if not self._stop.is_set():
            self._state, self._fault = CameraState.FAILED, sentence
            log.error("%s: %s", self.camera.id, sentence)

    def _watch(self) -> None:
        """Take the camera through the pipeline until it ends, fails or is stopped."""
        camera, around = self.camera, self._around
        for doubt in camera.doubts():
            log.warning("%s: %s", camera.id, doubt)
        if camera.source is None:
            raise Failure("it has no `source` in the site file; add one.")
        detector = around.detector(camera.model)
        with source_of(camera, around.site, gate=around.gate, fps=self.fps_wanted) as source:
            uplink = around.uplink
            parts = assemble(
                around.site, camera, detector, open_gate(around.gate), uplink.writer, uplink.outbox
            )
            parts.slots = around.turns
            pipeline = AgedPipeline(parts)
            if source.live:
                pipeline.known = uplink.known(camera.id)
                pipeline.unaware = uplink.unaware(camera.id)
                pipeline.handed, self.counting = self.counting, {}
            self._begin(source, pipeline)
            try:
                if not self._stop.is_set():
                    pipeline.run(source)
            finally:
                self._end()
        if not source.live and not self._stop.is_set():
            self._state, self._fault = CameraState.ENDED, ""
            log.info("%s: read to its end, %d frames analysed", camera.id, pipeline.summary.frames)
        elif not self._stop.is_set():
            raise Failure("; ".join(source.warnings[-1:]) or "the stream ended; it is called again.")

    def _begin(self, source: Source, pipeline: AgedPipeline) -> None:
        with self._lock:
            self._source, self._pipeline = source, pipeline
            self._state, self._fault = CameraState.RUNNING, ""
            self._since = time.monotonic()
        if self.fps_wanted != self.camera.fps:
            source.set_fps(self.fps_wanted)

    def _end(self) -> None:
        with self._lock:
            self._past = self._past.plus(self._present())
            if self._stop.is_set() and self._pipeline is not None:
                self.counting = self._pipeline.counting()
            self._source = self._pipeline = None

    def _present(self) -> Tally:
        """Give what the present connection counted."""
        if self._source is None or self._pipeline is None:
            return Tally()
        status, summary = self._source.status, self._pipeline.summary
        clocks = status.stages, self._pipeline.stages
        return Tally(
            frames_in=status.frames_in,
            analysed=summary.frames,
            reconnects=status.reconnects,
            dropped=status.dropped.copy(),
            events=summary.kinds.copy(),
            stage_s=Counter({stage: s for clock in clocks for stage, s in clock.seconds().items()}),
            stage_n=Counter({stage: n for clock in clocks for stage, n in clock.counts().items()}),
            ages=self._pipeline.ages.copy(),
            lags=self._pipeline.lags.copy(),
        )

    # -- how it is doing; called from another thread --

    def status(self, threads: Mapping[int, str]) -> CameraStatus:
        """Say how the camera is doing; the rates are those since about 5 s ago, or since last asked.

        Args:
            threads: its threads now, as `ingest.fleet.cpu.camera_threads` gives them.
        """
        now = time.monotonic()
        with self._lock:
            source, pipeline = self._source, self._pipeline
            tally = self._past.plus(self._present())
            state, fault = self._state, self._fault
        used = self._meter.read(threads)
        cpu_s = sum(used.values())
        self.threads = tuple(number for number, what in threads.items() if what != EVIDENCE)
        rates = self._rates.note(
            now,
            {
                "in": tally.frames_in,
                "analysed": tally.analysed,
                "undecodable": tally.dropped["undecodable"],
                "overload": tally.dropped["overload"],
                "cpu": cpu_s - used.get(EVIDENCE, 0.0),
            },
        )
        self.cores = rates["cpu"]
        quiet_s = now - self._since
        if source is not None and (came := source.status.last_frame_s) is not None:
            self._came = came
            quiet_s = now - max(came, self._since)
        if source is not None:
            look = Look(source.live, source.status.connected, source.status.frames_in > 0, quiet_s, rates)
            state, fault = judge(look, self.camera.fps, self.fps_wanted)
            if self.times_usual and state is CameraState.RUNNING:
                state = CameraState.DEGRADED
                times = f"takes {self.times_usual:.1f} times as much as the others"
                fault = f"{fault} {times}, and gets what they leave.".strip()
        return CameraStatus(
            camera_id=self.camera.id,
            worker=self._around.worker,
            state=state,
            fault=fault,
            fps_in=rates["in"],
            fps_analysed=rates["analysed"],
            fps_wanted=self.fps_wanted,
            frames_in=tally.frames_in,
            analysed=tally.analysed,
            dropped=dict(tally.dropped),
            reconnects=tally.reconnects,
            last_frame_at=pipeline.summary.last_at if pipeline else None,
            last_frame_age_s=None if self._came is None else now - self._came,
            queue_age_s=source.status.queue_age_s if source else 0.0,
            clock_error_s=source.status.clock_error_s if source else None,
            stage_s=dict(tally.stage_s),
            stage_n=dict(tally.stage_n),
            ages=dict(tally.ages),
            lags=dict(tally.lags),
            events=dict(tally.events),
            codec=source.status.codec if source else "",
            size_px=source.status.size_px if source else None,
            cpu_s=cpu_s,
            evidence_cpu_s=used.get(EVIDENCE, 0.0),
        )
