"""One trace from a frame to its case and its dispatch, over two processes, as a collector receives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e import support
from tests.e2e.collector import Collector, attributes

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra [otel]")

CAR = ("car", 0.9, (40, 40, 120, 100))
FRAMES = 40


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def run(tmp_path, kerbwatch):
    """Run a clip with one parked car; the case is confirmed and dispatched by itself."""
    clip = support.write_clip(tmp_path / "clip.mp4", FRAMES)
    site = support.write_site(tmp_path / "site.toml", [("kerb", "no_parking", 1, support.WHOLE)])
    pictures = {number: [CAR] if number < 25 else [] for number in range(FRAMES)}
    model = support.write_scripted_model(tmp_path / "models" / "scripted" / "1", pictures)

    def call(**more):
        words = ("--backend", "scripted", "--model", "scripted@1", "--data", tmp_path / "data", "--json")
        words += ("--auto-confirm", "illegal_parking", "--dispatch", "sandbox")
        models = str(model.parents[1])
        return kerbwatch("run", clip, "--site", site, *words, KERBWATCH_MODELS=models, **more)

    return call


def test_one_trace_leads_from_the_frame_to_the_case_and_its_dispatch(run, collector):
    done = run(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert done.code == 0, done.err
    (case,) = done.cases

    roots = {span.trace_id: span for _, span in collector.spans if not span.parent_span_id}
    assert {span.name for span in roots.values()} == {"frame"}
    mine = [
        (service, span)
        for service, span in collector.spans
        if span.name == "event" and attributes(span)["kerbwatch.event.phase"] == "confirmed"
    ]
    ((_, event),) = mine
    assert attributes(event)["kerbwatch.report_id"] == case["report_id"]

    trace = [(service, span) for service, span in collector.spans if span.trace_id == event.trace_id]
    names = Counter((where.service, span.name) for where, span in trace)
    of_frame = ("frame", "decode", "infer", "track", "rules")
    of_event = ("event", "capture", "make", "evidence", "outbox", "send", "POST", "PUT")
    for name in of_frame + of_event:
        assert names["kerbwatch-ingest", name] >= 1, names
    for name in ("POST /v1/reports", "accept_report", "dispatch"):
        assert names["kerbwatch-api", name] == 1, names
    assert roots[event.trace_id].parent_span_id == b""
    assert attributes(roots[event.trace_id])["kerbwatch.camera"] == "cam-1"

    by_id = {span.span_id: span for _, span in trace}
    (accepted,) = [span for _, span in trace if span.name == "accept_report"]
    way = []
    at = accepted
    while True:
        way.append(at.name)
        if not at.parent_span_id:
            break
        at = by_id[at.parent_span_id]
    assert way == ["accept_report", "POST /v1/reports", "POST", "send", "outbox", "event", "frame"]


def test_without_a_collector_nothing_is_traced_and_the_run_is_the_same(run):
    done = run()
    assert done.code == 0, done.err
    assert len(done.cases) == 1


def test_a_collector_that_is_not_there_harms_nothing(run):
    done = run(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert done.code == 0, done.err
    assert len(done.cases) == 1
