"""What a running `serve` tells of itself: metrics of fleet and API, `top`, and one trace over three processes."""

from __future__ import annotations

import json

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingest.fleet.status import CameraState
from tests.e2e import support
from tests.e2e.collector import Collector, attributes
from tests.e2e.fleet import Serving

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra [otel]")

CAR = ("car", 0.9, (40, 40, 120, 100))


def scraped(url):
    answer = httpx2.get(f"{url}/metrics", timeout=30)
    assert answer.status_code == 200
    return {
        (
            sample.name,
            *(value for name, value in sorted(sample.labels.items()) if name != "worker"),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_running_serve_tells_of_itself(tmp_path, monkeypatch, kerbwatch):
    clip = support.write_clip(tmp_path / "clip.mp4", 40)
    site = support.write_site(
        tmp_path / "site.toml", [("kerb", "no_parking", 1, support.WHOLE)], "学校", source=str(clip)
    )
    model = support.write_scripted_model(tmp_path / "models" / "scripted" / "1", {"*": [CAR]})
    monkeypatch.setenv("KERBWATCH_MODELS", str(model.parents[1]))
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with Serving(tmp_path, site, "--workers", 1, model="scripted@1") as serving:
            camera = serving.camera("学校", lambda camera: camera.state is CameraState.ENDED)
            (case,) = serving.wait(serving.cases)
            fleet, api = scraped(serving.status_url), scraped(serving.page)
            told = kerbwatch("top", "--url", serving.status_url, "--json")
            assert serving.stop() == 0

    assert fleet["kerbwatch_camera_state", "学校", "ended"] == 1
    assert fleet["kerbwatch_camera_frames_analysed_total", "学校"] == camera.analysed > 0
    assert fleet["kerbwatch_camera_stage_seconds_count", "学校", "infer"] == camera.analysed
    assert fleet["kerbwatch_camera_stage_seconds_sum", "学校", "infer"] > 0
    assert fleet["kerbwatch_camera_events_total", "学校", "illegal_parking"] == 1
    assert fleet["kerbwatch_worker_inference_batch_pictures_sum",] >= camera.analysed
    assert fleet["kerbwatch_outbox_pending_letters", "supervisor"] == 0
    assert api["kerbwatch_api_reports_total", "new"] == 1
    assert [one["camera_id"] for worker in json.loads(told.out) for one in worker["cameras"]] == ["学校"]

    spans = collector.spans
    (event,) = [
        span
        for _, span in spans
        if span.name == "event" and attributes(span)["kerbwatch.event.phase"] == "confirmed"
    ]
    assert attributes(event)["kerbwatch.report_id"] == case["report_id"]
    trace = {span.name: where for where, span in spans if span.trace_id == event.trace_id}
    assert trace["accept_report"].service == "kerbwatch-api"
    assert trace["frame"].service == trace["send"].service == "kerbwatch-ingest"
    assert trace["frame"].pid != trace["send"].pid, "the worker keeps, the supervisor sends"
