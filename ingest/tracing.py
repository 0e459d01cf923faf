"""Traces of one frame to one case, by OpenTelemetry; nothing is recorded unless somebody collects.

    frame -> decode, gate, infer, track, rules
          -> event -> capture, make, evidence, outbox -> send -> PUT, POST -> accept_report, dispatch

A frame without an event leaves no span and costs nothing: the spans of its stages are made afterwards, from
the times that the stage clock kept, and only when an event came of it (or for one frame in N: `EVERY_VAR`).
A report's place in its trace is kept in the outbox beside it, as a W3C `traceparent`: it survives kill -9,
may be sent by another process, and travels to the API as a header. (Spans wait up to 5 s to be handed over;
those of a process killed meanwhile are missing, the trace goes on without them.)

Where the usual `OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) is set and the extra `[otel]` is
installed, spans go there by OTLP over HTTP; a program that configures its own SDK first is left alone.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

from ingest.stages import StageClock
from ingest.types import Event, EventPhase, Frame

log = logging.getLogger(__name__)

ENDPOINT_VARS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EVERY_VAR: Final = "KERBWATCH_TRACE_EVERY"
"""Environment: one frame in so many is traced although no event came of it; unset or 0: none."""
SERVICE: Final = "kerbwatch-ingest"
BEFORE: Final = frozenset({"decode", "gate"})
"""Stages that a frame goes through before its analysis begins."""
FLUSH_MS: Final = 3000

TRACER: Final = trace.get_tracer("kerbwatch.ingest")


def configure(environment: Mapping[str, str] = os.environ) -> bool:
    """Send spans where the environment says; give whether they go anywhere. A second call does nothing.

    Where the extra `[otel]` is missing it is said once, and the program works as it does without.
    """
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return True
    wanted = any(environment.get(name) for name in ENDPOINT_VARS)
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if not wanted or off or environment.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("traces are wanted (OTEL_… is set) but not sent: pip install 'kerbwatch[otel]'.")
        return False
    service = environment.get("OTEL_SERVICE_NAME") or SERVICE
    provider = TracerProvider(resource=Resource.create({"service.name": service, "process.pid": os.getpid()}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True


def flush() -> None:
    """Hand over what is recorded, waiting a few seconds at most; for a process about to end."""
    hand_over = getattr(trace.get_tracer_provider(), "force_flush", None)  # the SDK's; the API has none
    if hand_over is not None:
        hand_over(FLUSH_MS)


class FrameTraces:
    """The traces of one pipeline's frames: made when an event comes of a frame, else not at all.

    Args:
        stages: tells when the stages of the present frame ran.
        every: one frame in so many is traced without an event; 0: none.
    """

    def __init__(self, stages: StageClock, every: int | None = None) -> None:
        self._stages = stages
        self._every = every_of(os.environ) if every is None else every
        self._frame: Frame | None = None
        self._began = 0.0
        self._span: Span | None = None

    def begin(self, frame: Frame) -> None:
        """Note that the analysis of a frame begins now."""
        self._frame, self._began, self._span = frame, time.perf_counter(), None
        if self._every and frame.index % self._every == 0:
            self._of_frame()

    @contextmanager
    def event(self, event: Event) -> Iterator[None]:
        """Let what happens in the `with` block belong to an event of the present frame; not a pre-alarm."""
        if event.phase is EventPhase.PRE_ALARM:
            yield
            return
        attributes = {
            "kerbwatch.report_id": event.event_id,
            "kerbwatch.event.kind": event.kind.value,
            "kerbwatch.event.phase": event.phase.value,
            "kerbwatch.zone": event.zone_id,
            "kerbwatch.event.started_at": event.started_at.isoformat(),
        }
        with TRACER.start_as_current_span("event", _inside(self._of_frame()), attributes=attributes):
            yield

    def end(self) -> None:
        """Note that the analysis is over: what was traced gets its stages, from their times."""
        span, self._span, self._frame = self._span, None, None
        if span is None:
            return
        for stage, (began, ended) in sorted(self._laps().items(), key=lambda lap: lap[1]):
            if stage in BEFORE or began >= self._began:  # the others are of an earlier frame
                TRACER.start_span(stage, _inside(span), start_time=_unix_ns(began)).end(_unix_ns(ended))
        span.end()

    def _laps(self) -> dict[str, tuple[float, float]]:
        laps = self._stages.laps()
        if {"infer_wait", "infer"} <= laps.keys():  # both are told when the boxes are there
            (began, ended), (infer, _) = laps["infer_wait"], laps["infer"]
            laps["infer_wait"] = infer - (ended - began), infer
        return laps

    def _of_frame(self) -> Span:
        if self._span is not None:
            return self._span
        laps = self._laps()
        first = min((laps[stage][0] for stage in BEFORE & laps.keys()), default=self._began)
        attributes: dict[str, AttributeValue] = {}
        if (frame := self._frame) is not None:
            attributes = {
                "kerbwatch.camera": frame.source_id,
                "kerbwatch.frame.index": frame.index,
                "kerbwatch.frame.at": frame.at.isoformat(),
            }
        self._span = TRACER.start_span("frame", Context(), start_time=_unix_ns(first), attributes=attributes)
        return self._span


def _inside(span: Span) -> Context:
    return trace.set_span_in_context(span, Context())


def every_of(environment: Mapping[str, str]) -> int:
    """Give N of "one frame in N is traced without an event"; 0: none.

    >>> every_of({"KERBWATCH_TRACE_EVERY": "100"}), every_of({}), every_of({"KERBWATCH_TRACE_EVERY": "often"})
    (100, 0, 0)
    """
    said = environment.get(EVERY_VAR, "")
    return int(said) if said.isdecimal() else 0


def carried() -> str:
    """Give the place in the present trace as a `traceparent`, "" outside of any.

    Source: W3C Trace Context, 3.2.
    """
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def continued(traceparent: str, name: str, **attributes: AttributeValue) -> Iterator[None]:
    """Go on with a trace that `carried` gave, in this process or another; without one nothing is traced."""
    if not traceparent:
        yield
        return
    before = propagate.extract({"traceparent": traceparent}, Context())
    with TRACER.start_as_current_span(name, before, attributes=attributes):
        yield


@contextmanager
def step(name: str) -> Iterator[None]:
    """Trace a step of what is traced at present; outside of any trace nothing."""
    if not trace.get_current_span().get_span_context().is_valid:
        yield
        return
    with TRACER.start_as_current_span(name):
        yield


@contextmanager
def request(method: str, url: str, path: str) -> Iterator[dict[str, str]]:
    """Trace a request to the API; give the headers to send with it, none outside of any trace.

    Source: OpenTelemetry semantic conventions for HTTP client spans.
    """
    if not trace.get_current_span().get_span_context().is_valid:
        yield {}
        return
    attributes = {"http.request.method": method, "url.full": url + path}
    headers: dict[str, str] = {}
    with TRACER.start_as_current_span(method, kind=SpanKind.CLIENT, attributes=attributes):
        propagate.inject(headers)
        yield headers


def answered(status: int) -> None:
    """Note the status of the answer to the present request."""
    span: Span = trace.get_current_span()
    span.set_attribute("http.response.status_code", status)
    if status >= 400:
        span.set_status(StatusCode.ERROR)


def _unix_ns(at: float) -> int:
    """Give the time of day of a `time.perf_counter` reading of this process, Unix nanoseconds."""
    return time.time_ns() - int((time.perf_counter() - at) * 1e9)
