"""Spans as the SDK hands them over; and a trace that survives kill -9 in the outbox."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ingest import tracing
from ingest.client import ApiClient
from ingest.outbox import Outbox
from ingest.stages import StageClock
from ingest.types import Event, EventKind, EventPhase, Frame
from tests.api_stand_in import ApiStandIn
from tests.ingest.reports import report_with_files

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="needs the extra [otel]")
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

EVIDENCE = {
    "sha256": hashlib.sha256(b"\xff\xd8\xff").hexdigest(),
    "data": b"\xff\xd8\xff",
    "media_type": "image/jpeg",
    "sealed": False,
}
AT = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)


@pytest.fixture
def spans(monkeypatch):
    """Give a function that gives the spans ended so far, by name."""
    exporter = InMemorySpanExporter()
    provider = sdk.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "TRACER", provider.get_tracer("test"))
    return lambda: {span.name: span for span in exporter.get_finished_spans()}


def frame(index=7):
    return Frame("cam-1", index, AT, np.zeros((4, 4, 3), np.uint8))


def event(phase=EventPhase.CONFIRMED):
    return Event(
        event_id="0b7c2f0e-54cf-5a31-9f3b-4a5a2e6c7d10",
        kind=EventKind.ILLEGAL_PARKING,
        variant="motor",
        zone_id="kerb",
        phase=phase,
        started_at=AT - timedelta(minutes=3),
        observed_at=AT,
        ended_at=None,
        confidence=0.9,
        label="car",
        xyxy=(0, 0, 1, 1),
        frame_index=7,
    )


def test_a_frame_with_an_event_has_its_stages_at_the_times_they_had(spans):
    stages = StageClock()
    began_ns = time.time_ns()
    with stages.span("decode"):
        time.sleep(0.02)
    traces = tracing.FrameTraces(stages, every=0)
    traces.begin(frame())
    with stages.span("infer"):
        time.sleep(0.01)
    with traces.event(event()), tracing.step("capture"):
        pass
    traces.end()
    found = spans()
    assert set(found) == {"frame", "decode", "infer", "event", "capture"}
    root = found["frame"]
    assert root.parent is None
    assert root.attributes["kerbwatch.camera"] == "cam-1"
    assert root.attributes["kerbwatch.frame.index"] == 7
    assert all(found[name].parent.span_id == root.context.span_id for name in ("decode", "infer", "event"))
    assert found["capture"].parent.span_id == found["event"].context.span_id
    slack_ns = 5_000_000  # between two clocks
    assert began_ns - slack_ns <= root.start_time <= found["decode"].start_time + slack_ns
    assert found["decode"].end_time - found["decode"].start_time >= 20_000_000 - slack_ns
    assert found["decode"].end_time <= found["infer"].start_time + slack_ns
    assert found["infer"].end_time <= root.end_time + slack_ns


def test_waiting_comes_before_inference_though_both_are_told_after_it(spans):
    stages = StageClock()
    traces = tracing.FrameTraces(stages, every=0)
    with stages.span("decode"):
        pass
    traces.begin(frame())
    time.sleep(0.05)
    stages.add("infer_wait", 0.01)
    stages.add("infer", 0.02)
    with traces.event(event()):
        pass
    traces.end()
    found = spans()
    assert set(found) == {"frame", "decode", "infer_wait", "infer", "event"}
    assert abs(found["infer_wait"].end_time - found["infer"].start_time) < 5_000_000
    assert found["infer_wait"].end_time - found["infer_wait"].start_time == pytest.approx(10e6, abs=2e6)


def test_a_stage_of_an_earlier_frame_is_not_counted_to_this_one(spans):
    stages = StageClock()
    with stages.span("evidence"):
        pass
    traces = tracing.FrameTraces(stages, every=0)
    traces.begin(frame())
    with traces.event(event()):
        pass
    traces.end()
    assert set(spans()) == {"frame", "event"}


@pytest.mark.parametrize("events", [[], [event(EventPhase.PRE_ALARM)]], ids=["no event", "pre-alarm"])
def test_a_frame_without_an_event_leaves_nothing(spans, events):
    stages = StageClock()
    traces = tracing.FrameTraces(stages, every=0)
    for index in range(5):
        traces.begin(frame(index))
        with stages.span("infer"):
            pass
        for one in events:
            with traces.event(one), tracing.step("capture"):
                assert tracing.carried() == ""
        traces.end()
    assert spans() == {}


def test_one_frame_in_so_many_is_traced_without_an_event(monkeypatch):
    exporter = InMemorySpanExporter()
    provider = sdk.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "TRACER", provider.get_tracer("test"))
    traces = tracing.FrameTraces(StageClock(), every=10)
    for index in range(25):
        traces.begin(frame(index))
        traces.end()
    indices = [span.attributes["kerbwatch.frame.index"] for span in exporter.get_finished_spans()]
    assert indices == [0, 10, 20]


def test_a_frame_without_an_event_costs_next_to_nothing():
    """Against the same loop without: at most 20 µs more a frame, on any machine; a frame costs milliseconds."""
    traces, one = tracing.FrameTraces(StageClock(), every=0), frame()
    best = min(_timed(traces, one) for _ in range(5))
    assert best < 20e-6


def _timed(traces, one, times=2000):
    began = time.process_time()
    for _ in range(times):
        traces.begin(one)
        traces.end()
    return (time.process_time() - began) / times


def test_two_events_of_one_frame_share_its_trace(spans):
    traces = tracing.FrameTraces(StageClock(), every=0)
    traces.begin(frame())
    carried = []
    for _ in range(2):
        with traces.event(event()):
            carried.append(tracing.carried())
    traces.end()
    assert len({parent.split("-")[1] for parent in carried}) == 1
    assert len({parent.split("-")[2] for parent in carried}) == 2
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", carried[0])


PUT_AND_DIE = """
import os, signal, sys
from pathlib import Path
from opentelemetry.sdk.trace import TracerProvider
from ingest import tracing
from ingest.outbox import Outbox
from tests.ingest.reports import report_with_files

tracing.TRACER = TracerProvider().get_tracer("test")
folder = Path(sys.argv[1])
box = Outbox(folder / "outbox.db", None, lambda ref: folder / ref.sha256)
with tracing.TRACER.start_as_current_span("event"):
    box.put(report_with_files(1, folder))
    sys.stdout.write(tracing.carried())
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_place_in_the_trace_survives_kill_9_and_is_told_to_the_api(tmp_path, spans):
    died = subprocess.run(
        [sys.executable, "-c", PUT_AND_DIE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    _, trace_id, put_under, _ = died.stdout.split("-")
    with ApiStandIn() as api, ApiClient(api.url) as client:
        with Outbox(tmp_path / "outbox.db", client, lambda ref: tmp_path / ref.sha256) as box:
            assert box.pending()[0].traceparent == died.stdout
            assert box.send_one()
        told = [headers["traceparent"] for headers in api.headers]
    assert {parent.split("-")[1] for parent in told} == {trace_id}
    found = spans()
    assert format(found["send"].parent.span_id, "016x") == put_under
    assert found["send"].attributes["kerbwatch.attempt"] == 1
    assert found["send"].attributes["kerbwatch.waited_s"] >= 0
    posted = told[-1].split("-")[2]
    assert posted == format(found["POST"].context.span_id, "016x")
    assert found["POST"].attributes["http.response.status_code"] in {200, 201}


def test_an_upload_by_a_ray_task_goes_on_with_the_trace(spans):
    """The body of the task, called as Ray calls it; what it is handed is what the letter carried."""
    from ingest.fleet.ray_uploads import send

    with tracing.TRACER.start_as_current_span("send"):
        carried = tracing.carried()
    with ApiStandIn() as api:
        answer = send(api.url, "", "put_evidence_bytes", EVIDENCE, carried)
        assert answer[0] == "done"
        (told,) = [headers["traceparent"] for headers in api.headers]
    assert told.split("-")[1] == carried.split("-")[1]
    assert set(spans()) == {"send", "upload", "PUT"}


def test_a_report_put_outside_of_a_trace_brings_no_header(tmp_path, spans):
    with ApiStandIn() as api, ApiClient(api.url) as client:
        with Outbox(tmp_path / "outbox.db", client, lambda ref: tmp_path / ref.sha256) as box:
            box.put(report_with_files(1, tmp_path))
            assert box.send_one()
        assert all("traceparent" not in {name.lower() for name in headers} for headers in api.headers)
    assert spans() == {}


def test_a_spool_of_an_earlier_version_is_taken_over(tmp_path):
    box = Outbox(tmp_path / "outbox.db", None, lambda ref: tmp_path / ref.sha256)
    box.put(report_with_files(1, tmp_path))
    box.close()
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        db.execute("ALTER TABLE letter DROP COLUMN traceparent")
        db.execute("PRAGMA user_version = 1")
    db.close()
    with Outbox(tmp_path / "outbox.db", None, lambda ref: tmp_path / ref.sha256) as box:
        (letter,) = box.pending()
        assert letter.traceparent == ""


def test_the_outbox_counts_what_waits(tmp_path):
    now = [1000.0]
    with Outbox(tmp_path / "outbox.db", None, lambda ref: tmp_path / ref.sha256, clock=lambda: now[0]) as box:
        assert (box.count().pending, box.count().oldest_age_s, box.count().dead) == (0, 0.0, 0)
        box.put(report_with_files(1, tmp_path))
        now[0] += 60
        box.put(report_with_files(2, tmp_path))
        now[0] += 30
        assert (box.count().pending, box.count().oldest_age_s) == (2, 90.0)


def test_where_the_sdk_is_missing_it_is_said_and_nothing_breaks():
    """In a process in which the exporter cannot be imported."""
    script = (
        "import logging, sys\n"
        "logging.basicConfig()\n"
        "sys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
        "from ingest import tracing\n"
        "print(tracing.configure(), tracing.carried() == '')\n"
        "tracing.flush()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
    )
    assert done.stdout.split() == ["False", "True"]
    assert "pip install 'kerbwatch[otel]'" in done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_configured_unless_wanted(environment):
    assert tracing.configure(environment) is False
