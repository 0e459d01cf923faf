"""The uplink against a stand-in for the API."""

from __future__ import annotations

import time

from ingest.uplink import Uplink
from tests.api_stand_in import ApiStandIn
from tests.ingest.reports import report_with_files


def test_a_report_left_by_an_earlier_run_and_found_again_is_one_case(tmp_path):
    shown = []
    with ApiStandIn() as api, Uplink(tmp_path, api.url, "", shown.append) as uplink:
        report = report_with_files(1, tmp_path).model_copy(update={"evidence": ()})
        uplink.outbox.put(report)
        until = time.monotonic() + 10
        while not shown and time.monotonic() < until:
            time.sleep(0.02)
        assert not uplink.outbox.put(report)
        assert len(uplink.drain(5)) == 1
    assert len(shown) == 1
