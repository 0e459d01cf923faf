"""Which cameras are wanted, and what a change of the site file asks for."""

from __future__ import annotations

import os

import pytest

from detector.errors import WrongUse
from ingest.config import load_site, read_camera
from ingest.fleet.roster import Roster
from ingest.fleet.site_file import SiteFile
from tests.e2e.fleet import write_site
from tests.ingest.fleet.sites import camera, site_of


@pytest.fixture
def path(tmp_path):
    return write_site(tmp_path / "site.toml", {"one": "rtsp://h/1", "two": "rtsp://h/2"})


@pytest.fixture
def roster(path):
    site = load_site(path)
    return Roster(site, SiteFile(path, site))


def ids(cameras):
    return [camera.id for camera in cameras]


def test_only_what_changed_is_to_be_done(path, roster):
    assert not roster.follow()
    write_site(path, {"two": {"source": "rtsp://h/2", "fps": 3.0}, "three": "rtsp://h/3"})
    todo = roster.follow()
    assert (ids(todo.added), ids(todo.changed), list(todo.removed)) == (["three"], ["two"], ["one"])
    assert list(roster.wanted) == ["two", "three"]
    assert not roster.follow()


def test_a_file_that_was_only_touched_asks_for_nothing(path, roster):
    os.utime(path)
    assert not roster.follow()


def test_a_wrong_or_missing_file_leaves_the_old_one_in_force(path, roster, caplog):
    path.write_text("[site]\n", encoding="utf-8")
    assert not roster.follow()
    assert "stays in force" in caplog.text
    caplog.clear()
    assert not roster.follow()
    assert caplog.text == ""  # told once
    path.unlink()
    assert not roster.follow()
    roster.site_file.ask()
    assert not roster.follow()
    assert "there is no such site file" in caplog.text
    assert list(roster.wanted) == ["one", "two"]


def test_what_was_sent_outlives_the_file_and_what_was_removed_stays_away_until_the_file_changes_it(
    path, roster
):
    roster.send(camera("sent", "rtsp://h/9"))
    roster.delete("one")
    write_site(path, {"one": "rtsp://h/1", "two": "rtsp://h/2", "three": "rtsp://h/3"})
    assert ids(roster.follow().added) == ["three"]
    assert list(roster.wanted) == ["two", "three", "sent"]
    write_site(path, {"one": {"source": "rtsp://h/1", "fps": 2.0}, "two": "rtsp://h/2"})
    assert ids(roster.follow().added) == ["one"]


def test_a_lower_rate_above_the_rate_is_a_mistake():
    table = {"id": "cam", "source": "rtsp://h/1", "lat": 31.7, "lon": 119.9, "fps": 0.5}
    assert read_camera(table, site_of(camera("x", "y"))).fps_min == 1.0  # the default follows the rate
    with pytest.raises(
        WrongUse, match=r"camera 'cam': .*`fps_min` is 2, above `fps`, which is 0.5; lower it"
    ):
        read_camera({**table, "fps_min": 2.0}, site_of(camera("x", "y")))
