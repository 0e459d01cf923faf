"""A group of cameras in this process: they come, go, fail and are counted, each for itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from detector.errors import WrongUse
from ingest.client import ApiClient
from ingest.embedded import EmbeddedApi
from ingest.fleet.group import CameraGroup, GroupSettings
from ingest.fleet.status import CameraState
from tests.api_stand_in import ApiStandIn
from tests.e2e.support import free_port
from tests.ingest.fleet.lease_server import LeaseServer
from tests.ingest.fleet.sites import always_a_car, camera, clip, eventually, site_of
from tests.rtsp_server import RtspServer


@pytest.fixture
def api():
    with ApiStandIn() as api:
        yield api


@pytest.fixture
def settings(tmp_path):
    return GroupSettings(model=str(always_a_car(tmp_path / "model")), backend="scripted")


def of(group, camera_id):
    return next(found for found in group.status().cameras if found.camera_id == camera_id)


def test_cameras_are_watched_side_by_side_and_counted_each_for_itself(tmp_path, api, settings):
    one = camera("one", clip(tmp_path / "one.mp4"))
    two = camera("two", clip(tmp_path / "two.mp4", seconds=8))
    with CameraGroup(site_of(one, two), settings, tmp_path / "data", api.url) as group:
        group.add(one)
        group.add(two)
        eventually(lambda: all(found.state is CameraState.ENDED for found in group.status().cameras))
        status = group.status()
        assert {found.camera_id: found.analysed for found in status.cameras} == {"one": 30, "two": 40}
        assert all(found.events == {"illegal_parking": 1} for found in status.cameras)
        assert all(found.cpu_s > 0 for found in status.cameras)
        assert status.model == "scripted@1"
        assert sum(status.batches.values()) == 70
        eventually(lambda: len(api.cases) == 2)
    assert status.from_json(status.as_json()) == status


def test_a_camera_that_fails_says_why_and_the_other_goes_on(tmp_path, api, settings):
    broken = camera("broken", tmp_path / "broken.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 5000)
    good = camera("good", clip(tmp_path / "good.mp4"))
    with CameraGroup(site_of(broken, good), settings, tmp_path / "data", api.url) as group:
        group.add(broken)
        group.add(good)
        eventually(lambda: of(group, "good").state is CameraState.ENDED)
        failed = eventually(lambda: of(group, "broken").state is CameraState.FAILED and of(group, "broken"))
        assert "broken.mp4 is not a video" in failed.fault
        group.change(camera("broken", tmp_path / "good.mp4"))
        eventually(lambda: of(group, "broken").state is CameraState.ENDED)


def test_cameras_come_and_go_while_it_runs(tmp_path, api, settings):
    one = camera("one", clip(tmp_path / "one.mp4"))
    with CameraGroup(site_of(one), settings, tmp_path / "data", api.url) as group:
        group.add(one)
        with pytest.raises(WrongUse, match="'one' is watched already"):
            group.add(one)
        assert group.remove("one")
        assert not group.remove("one")
        assert group.status().cameras == ()
        group.add(one)
        eventually(lambda: of(group, "one").state is CameraState.ENDED)


def test_a_camera_that_another_worker_leased_is_refused_until_it_is_free(tmp_path, settings):
    one = camera("one", clip(tmp_path / "one.mp4"))
    with LeaseServer() as api:
        api.owners["one"] = "edge-2:7"
        claiming = replace(settings, claims=True)
        with CameraGroup(site_of(one), claiming, tmp_path / "data", api.url) as group:
            group.add(one)
            refused = eventually(lambda: of(group, "one").state is CameraState.REFUSED and of(group, "one"))
            assert refused.fault.startswith("camera 'one' is taken: edge-2:7 watches it")
            assert refused.analysed == 0
            api.owners.clear()
            eventually(lambda: of(group, "one").state is CameraState.ENDED)
        assert api.owners == {}


def test_what_was_reported_is_known_to_the_next_group_while_the_api_is_away(tmp_path, settings):
    one = camera("one", clip(tmp_path / "one.mp4"))
    away = "http://127.0.0.1:9"
    with CameraGroup(site_of(one), settings, tmp_path / "data", away) as group:
        group.add(one)
        eventually(lambda: of(group, "one").events)
    with CameraGroup(site_of(one), settings, tmp_path / "data", away) as again:
        known = again._uplink.known("one")
        assert [case["source_id"] for case in known] == ["one"]
        assert again._uplink.known("two") == []


@pytest.mark.rtsp
@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(RtspServer.missing()), reason=RtspServer.missing() or "there")
def test_a_camera_taken_over_while_the_api_is_away_makes_no_second_case(tmp_path, settings):
    """Its former machine is lost with its disk, so nobody can say what is reported; the thing stands on."""
    (tmp_path / "api").mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with RtspServer(clip(tmp_path / "street.mp4", seconds=20), "--loop") as server:
        one = camera("one", server.url, dwell_s=2)
        with (
            EmbeddedApi(tmp_path / "api", port=port),
            ApiClient(url) as client,
            CameraGroup(site_of(one), settings, tmp_path / "lost", url) as lost,
        ):
            lost.add(one)
            (first,) = eventually(lambda: client.open_cases("one"))
        with CameraGroup(site_of(one), settings, tmp_path / "next", url) as group:
            group.add(one)
            eventually(lambda: of(group, "one").events)
            assert group._uplink.outbox.pending()
            with EmbeddedApi(tmp_path / "api", port=port), ApiClient(url) as client:
                eventually(lambda: not group._uplink.outbox.pending(), 60)
                assert [case["report_id"] for case in client.open_cases("one")] == [first["report_id"]]
            assert not group._uplink.outbox.dead()


@pytest.mark.rtsp
@pytest.mark.skipif(bool(RtspServer.missing()), reason=RtspServer.missing() or "there")
def test_a_camera_that_moves_to_another_group_goes_on_counting(tmp_path, api, settings):
    dwell_s = 20.0
    with RtspServer(clip(tmp_path / "street.mp4", seconds=20), "--loop") as server:
        one = camera("one", server.url, dwell_s=dwell_s)
        site = site_of(one)
        with (
            CameraGroup(site, settings, tmp_path / "a", api.url) as first,
            CameraGroup(site, settings, tmp_path / "b", api.url) as second,
        ):
            first.add(one)
            eventually(lambda: of(first, "one").analysed > 40)  # five a second
            handed = first.let_go("one")
            moved = datetime.now(UTC)
            assert not api.cases
            second.add(one, handed)
            eventually(lambda: api.cases)
            assert first.let_go("one") is None
            ((report,), _) = second._uplink.outbox.open_reports("one")
    assert len(api.cases) == 1
    assert datetime.fromisoformat(report["started_at"]) < moved
    assert datetime.fromisoformat(report["observed_at"]) < moved + timedelta(seconds=dwell_s - 3)
