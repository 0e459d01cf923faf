"""Where a case stands in the trace of the frame that it came of.

FastAPI makes the spans of requests, and sends them where the usual `OTEL_…` variables say; only requests that
bring a `traceparent` are traced, so that pages which ask every few seconds leave nothing. The place is kept
with the case and its dispatch, so that what happens hours later, or after kill -9, belongs to the same trace.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

from fastapi.telemetry import TelemetryConfig
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

SERVICE: Final = "kerbwatch-api"
TRACER: Final = trace.get_tracer("kerbwatch.api")


def telemetry() -> TelemetryConfig:
    """Say what FastAPI is to record; Prometheus has the numbers."""
    return {
        "auto_configure": True,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "exclude": _comes_without_trace,
    }


def _comes_without_trace(scope: MutableMapping[str, Any]) -> bool:
    return not any(name == b"traceparent" for name, _ in scope.get("headers", ()))


def carried() -> str:
    """Give the place in the present trace as a W3C `traceparent`, "" outside of any."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def step(name: str, **attributes: AttributeValue) -> Iterator[None]:
    """Trace a step of the present request; where that is not traced, nothing."""
    if not trace.get_current_span().get_span_context().is_valid:
        yield
        return
    with TRACER.start_as_current_span(name, attributes=attributes):
        yield


@contextmanager
def continued(traceparent: str, name: str, **attributes: AttributeValue) -> Iterator[None]:
    """Go on with a trace that `carried` gave; without one nothing is traced."""
    if not traceparent:
        yield
        return
    before = propagate.extract({"traceparent": traceparent}, Context())
    with TRACER.start_as_current_span(name, before, kind=SpanKind.CLIENT, attributes=attributes):
        yield
