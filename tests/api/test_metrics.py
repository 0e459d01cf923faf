"""/metrics of the API, as Prometheus reads it."""

from __future__ import annotations

import time
from datetime import datetime

from prometheus_client.parser import text_string_to_metric_families

from api.dispatch import RefusedError


def scraped(client, **headers):
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


class Nowhere:
    """A dispatcher whose target refuses everything."""

    async def send(self, job):
        raise RefusedError("no")

    async def close(self):
        pass


def test_event_to_case_is_measured_once_per_case(make_client, make_payload, clock):
    client = make_client()
    report = make_payload()
    clock.at = datetime.fromisoformat(report["observed_at"])
    clock.forward(2.5)
    for status in (201, 200):
        assert client.post("/v1/reports", json=report).status_code == status
        clock.forward(100)
    samples = scraped(client)
    assert samples["kerbwatch_api_event_to_case_seconds_count",] == 1
    assert samples["kerbwatch_api_event_to_case_seconds_sum",] == 2.5
    assert samples["kerbwatch_api_event_to_case_seconds_bucket", "2.0"] == 0
    assert samples["kerbwatch_api_event_to_case_seconds_bucket", "3.0"] == 1
    assert samples["kerbwatch_api_reports_total", "new"] == 1
    assert samples["kerbwatch_api_reports_total", "again"] == 1
    assert samples["kerbwatch_api_cases", "reported"] == 1
    assert samples["kerbwatch_api_cases", "closed"] == 0


def test_a_video_file_of_last_summer_does_not_count_as_slow(make_client, make_payload, clock):
    client = make_client()
    clock.forward(30 * 86400)
    client.post("/v1/reports", json=make_payload())
    samples = scraped(client)
    assert samples["kerbwatch_api_event_to_case_seconds_count",] == 0
    assert samples["kerbwatch_api_reports_total", "new"] == 1


def test_a_camera_whose_clock_is_ahead_does_not_make_negative_times(make_client, make_payload, clock):
    client = make_client()
    report = make_payload()
    clock.at = datetime.fromisoformat(report["started_at"])
    client.post("/v1/reports", json=report)
    assert scraped(client)["kerbwatch_api_event_to_case_seconds_sum",] == 0


def confirm(client, report):
    case_id = client.post("/v1/reports", json=report).json()["case_id"]
    client.post(f"/v1/cases/{case_id}/reviews", json={"verdict": "confirm", "operator": "li.na"})


def test_what_waits_for_dispatch_has_an_age_only_where_there_is_a_dispatcher(
    make_client, make_payload, clock
):
    client = make_client(poll_s=3600.0)
    confirm(client, make_payload())
    clock.forward(90)
    samples = scraped(client)
    assert samples["kerbwatch_api_dispatches", "pending"] == 1
    assert ("kerbwatch_api_dispatch_oldest_age_seconds",) not in samples

    other = make_client(dispatcher=Nowhere(), poll_s=3600.0)  # its worker looks once, as it starts
    until = time.monotonic() + 60
    while not (samples := scraped(other))["kerbwatch_api_dispatches", "dead"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert samples["kerbwatch_api_dispatches", "dead"] == 1
    assert samples["kerbwatch_api_dispatch_oldest_age_seconds",] == 0
    confirm(other, make_payload(2))
    clock.forward(45)
    samples = scraped(other)
    assert samples["kerbwatch_api_dispatch_oldest_age_seconds",] == 45


def test_a_token_is_asked_for_metrics_too(make_client):
    client = make_client(token="secret-of-the-city")
    assert client.get("/metrics").status_code == 401
    assert scraped(client, authorization="Bearer secret-of-the-city")
