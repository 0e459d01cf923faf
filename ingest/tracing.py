"""Traces of one frame to one case, by OpenTelemetry; nothing is recorded unless somebody collects.

    frame -> decode, gate, infer, track, rules
          -> event -> capture, evidence, outbox -> send -> PUT, POST -> (the API goes on: accept_report, dispatch)

A frame without an event leaves no span and costs nothing: the spans of its stages are made afterwards, from
the times that the stage clock kept, and only when an event came of it (or for one frame in N, see `EVERY_VAR`).
A report's place in its trace is kept in the outbox beside it, as a W3C `traceparent`: it survives kill -9,
may be sent by another process, and travels to the API as a header.

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

from ingest.types import Event, Frame

log = logging.getLogger(__name__)

ENDPOINT_VARS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EVERY_VAR: Final = "KERBWATCH_TRACE_EVERY"
"""Environment: one frame in so many is traced although no event came of it; unset or 0: none."""
SERVICE: Final = "kerbwatch-ingest"
BEFORE: Final = frozenset({"decode", "gate", "thumbnail"})
"""Stages that a frame goes through before its analysis begins."""
FLUSH_MS: Final = 3000

TRACER: Final = trace.get_tracer("kerbwatch.ingest")

Laps = Mapping[str, tuple[float, float]]
"""Begin and end of the last run of each stage, seconds of `time.perf_counter`."""


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
    provider = TracerProvider(
        resource=Resource.create({"service.name": environment.get("OTEL_SERVICE_NAME") or SERVICE})
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True


def flush() -> None:
    """Hand over what is recorded, waiting a few seconds at most; for a process about to end."""
    hand_over = getattr(trace.get_tracer_provider(), "force_flush", None)  # the SDK's; the API has none
    if hand_over is not None:
        hand_over(FLUSH_MS)


class FrameTrace:
    """The trace of one frame: made when an event comes of it, its stages added when it is done.

    Args:
        frame: whose.
        began: when its analysis began, seconds of `time.perf_counter`.
        laps: what is known of its stages by now; says when the trace begins.
    """

    def __init__(self, frame: Frame, began: float, laps: Laps) -> None:
        self._began = began
        first = min((at for stage, (at, _) in laps.items() if stage in BEFORE), default=began)
        self._span = TRACER.start_span(
            "frame",
            context=Context(),
            start_time=_unix_ns(first),
            attributes={
                "kerbwatch.camera": frame.source_id,
                "kerbwatch.frame.index": frame.index,
                "kerbwatch.frame.at": frame.at.isoformat(),
            },
        )

    @contextmanager
    def event(self, event: Event) -> Iterator[None]:
        """Let what happens in the `with` block belong to an event of this frame."""
        attributes = {
            "kerbwatch.report_id": event.event_id,
            "kerbwatch.event.kind": event.kind.value,
            "kerbwatch.event.phase": event.phase.value,
            "kerbwatch.zone": event.zone_id,
            "kerbwatch.event.started_at": event.started_at.isoformat(),
        }
        inside = trace.set_span_in_context(self._span, Context())
        with TRACER.start_as_current_span("event", inside, attributes=attributes):
            yield

    def close(self, laps: Laps) -> None:
        """Add the frame's stages, from their times, and end it now."""
        inside = trace.set_span_in_context(self._span, Context())
        for stage, (began, ended) in sorted(laps.items(), key=lambda lap: lap[1]):
            if stage in BEFORE or began >= self._began:
                span = TRACER.start_span(stage, inside, start_time=_unix_ns(began))
                span.end(_unix_ns(ended))
        self._span.end()


def every(environment: Mapping[str, str] = os.environ) -> int:
    """Give N of "one frame in N is traced without an event"; 0: none.

    >>> every({"KERBWATCH_TRACE_EVERY": "1000"}), every({}), every({"KERBWATCH_TRACE_EVERY": "often"})
    (1000, 0, 0)
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
