from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from detector.errors import WrongUse
from ingest.config import load_site
from ingest.types import EventKind, ZoneKind
from ingest.zones import DWELL_S, EVENTS_OF

SITE = """\
[site]
name = "Nandajie"
timezone = "Asia/Shanghai"
city = "320400"

[[camera]]
id = "cam-1"
source = "street.mp4"
lat = 31.7790
lon = 119.9510
heading_deg = 90.0
ground_points = [
  { xy = [0.12, 0.81], lat = 31.77912, lon = 119.95111 },
  { xy = [0.82, 0.81], lat = 31.77902, lon = 119.95111 },
  { xy = [0.62, 0.51], lat = 31.77902, lon = 119.95141 },
  { xy = [0.22, 0.51], lat = 31.77912, lon = 119.95141 },
]

[[camera.zone]]
id = "kerb-east"
kind = "no_parking"
dwell_s = 180
schedule = "Mon-Sun 07:00-22:00"
polygon = [[0.10, 0.60], [0.55, 0.60], [0.55, 0.95], [0.10, 0.95]]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(old: str, new: str) -> str:
    assert SITE.count(old) >= 1, old
    return SITE.replace(old, new, 1)


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(WrongUse) as caught:
        load_site(written(tmp_path, text))
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_site_file_of_the_manual(tmp_path):
    site = load_site(written(tmp_path, SITE))
    camera = site.camera("cam-1")
    assert (site.name, site.timezone, site.city, str(site.tz)) == (
        "Nandajie",
        "Asia/Shanghai",
        "320400",
        "Asia/Shanghai",
    )
    assert (camera.lat, camera.lon, camera.heading_deg, camera.fps, camera.model) == (
        31.779,
        119.951,
        90.0,
        5.0,
        "street@production",
    )
    assert camera.source == str(tmp_path / "street.mp4")
    assert len(camera.ground_points) == 4
    (zone,) = camera.zones
    assert (zone.id, zone.kind, zone.dwell_s, zone.events) == (
        "kerb-east",
        ZoneKind.NO_PARKING,
        180,
        {EventKind.ILLEGAL_PARKING},
    )
    assert zone.active(datetime(2026, 11, 23, 0, 0, tzinfo=UTC), site.tz)
    assert not zone.active(datetime(2026, 11, 23, 15, 0, tzinfo=UTC), site.tz)
    assert camera.doubts() == ()


@pytest.mark.parametrize("source", ["rtsp://10.0.0.7/stream", "/data/street.mp4", "https://x.example/a.m3u8"])
def test_addresses_and_absolute_paths_stay_as_they_are(tmp_path, source):
    assert load_site(written(tmp_path, changed("street.mp4", source))).cameras[0].source == source


def test_every_other_key(tmp_path):
    text = changed(
        "heading_deg = 90.0",
        'heading_deg = 90\nheight_m = 6.5\npitch_deg = 20\nfov_deg = 70\nfps = 2\nmodel = "street@3"\n'
        "starts_at = 2026-11-20T08:00:00+08:00\nscore_min = { car = 0.4, stall = 0.3 }",
    ).replace(
        "dwell_s = 180\n",
        'events = ["illegal_parking", "street_vending"]\nholidays = [2026-10-01, { from = 2026-02-16, to = 2026-02-22 }]\n'
        'permits = [{ from = "18:00", to = "23:00", note = "night market" }, "Sat 06:00-12:00"]\n',
    )
    site = load_site(written(tmp_path, text))
    camera, zone = site.cameras[0], site.cameras[0].zones[0]
    assert camera.starts_at == datetime(2026, 11, 20, tzinfo=UTC)
    assert camera.score_min == {"car": 0.4, "stall": 0.3}
    assert zone.dwell_s == DWELL_S[ZoneKind.NO_PARKING]
    assert zone.events == {EventKind.ILLEGAL_PARKING, EventKind.STREET_VENDING}
    assert not zone.active(datetime(2026, 10, 1, 4, tzinfo=UTC), site.tz)
    assert not zone.active(datetime(2026, 11, 23, 11, tzinfo=UTC), site.tz)
    assert not zone.active(datetime(2026, 11, 28, 1, tzinfo=UTC), site.tz)
    assert zone.active(datetime(2026, 11, 23, 5, tzinfo=UTC), site.tz)


def test_every_zone_kind_has_defaults():
    assert set(DWELL_S) == set(EVENTS_OF) == set(ZoneKind)
    assert set(EventKind) == {kind for kinds in EVENTS_OF.values() for kind in kinds}


POLYGON = "[[0.10, 0.60], [0.55, 0.60], [0.55, 0.95], [0.10, 0.95]]"
ZONE = "camera 'cam-1', zone 'kerb-east': "
FAULTS = {
    "unknown key": ("dwell_s", "dwel_s", ZONE + "unknown key `dwel_s`; did you mean `dwell_s`?"),
    "unknown camera key": ("heading_deg", "hading", "camera 'cam-1': unknown key `hading`; did you mean `heading_deg`?"),
    "unknown site key": ("city", "town", "[site]: unknown key `town`; known are name, timezone, city."),
    "unknown table": ("[site]", "[sight]\n[site]", "unknown key `sight`; did you mean `site`?"),
    "dwell below zero": ("180", "-1", ZONE + "`dwell_s` = -1 is below 0; give the seconds"),
    "dwell as text": ("180", '"180"', ZONE + '`dwell_s` = "180" is not a number'),
    "dwell nan": ("180", "nan", ZONE + "`dwell_s` = nan is not a finite number"),
    "latitude": ("lat = 31.7790", "lat = 131", "camera 'cam-1': `lat` = 131 is above 90; give degrees north"),
    "longitude": ("lon = 119.9510", "lon = -181", "camera 'cam-1': `lon` = -181 is below -180; give degrees east"),
    "infinite": ("lon = 119.9510", "lon = inf", "camera 'cam-1': `lon` = inf is not a finite number"),
    "true is no number": ("lat = 31.7790", "lat = true", "camera 'cam-1': `lat` = True is not a number"),
    "heading": ("90.0", "400", "camera 'cam-1': `heading_deg` = 400 is above 360; give degrees clockwise"),
    "self-crossing": (POLYGON, "[[0.1, 0.6], [0.55, 0.95], [0.55, 0.6], [0.1, 0.95]]", ZONE + "`polygon`: crosses itself: edge 1-2 meets edge 3-4"),
    "two points": (POLYGON, "[[0.1, 0.6], [0.55, 0.6]]", ZONE + "`polygon`: has 2 corners; a zone needs at least three."),
    "closed two points": (POLYGON, "[[0.1, 0.6], [0.55, 0.6], [0.1, 0.6]]", ZONE + "`polygon`: has 2 corners"),
    "no area": (POLYGON, "[[0.1, 0.6], [0.3, 0.6], [0.5, 0.6]]", ZONE + "`polygon`: crosses itself"),
    "corner twice": (POLYGON, "[[0.1, 0.6], [0.1, 0.6], [0.5, 0.6], [0.5, 0.9]]", ZONE + "`polygon`: has corner 2 twice"),
    "corner outside": ("0.55, 0.95", "0.55, 1.95", ZONE + "corner 3 of `polygon` = 1.95 is above 1; give corners"),
    "half a corner": ("[0.55, 0.95]", "[0.55]", ZONE + "corner 3 of `polygon`"),
    "polygon as text": (POLYGON, '"all"', ZONE + '`polygon` = "all" is not a list'),
    "zone kind": ('"no_parking"', '"no_parkin"', ZONE + '`kind` = "no_parkin" is unknown; use one of no_parking, fire_lane, footway'),
    "schedule": ("Mon-Sun 07", "Mon-Son 07", ZONE + "`schedule` = \"Mon-Son 07:00-22:00\": 'Son' is not a weekday"),
    "time zone": ("Asia/Shanghai", "Asia/Shanghi", '[site]: `timezone` = "Asia/Shanghi": is not an IANA time zone'),
    "time zone path": ("Asia/Shanghai", "../etc", "[site]: `timezone`"),
    "three points": ("  { xy = [0.22, 0.51], lat = 31.77912, lon = 119.95141 },\n", "", "camera 'cam-1': `ground_points`: has 3 points"),
    "points on a line": ("[0.82, 0.81]", "[0.17, 0.66]", "camera 'cam-1': `ground_points`: lie on one line in the picture"),
    "map points on a line": ("lat = 31.77902, lon = 119.95111", "lat = 31.77912, lon = 119.95126", "camera 'cam-1': `ground_points`: "),
    "swapped points": ("[0.12, 0.81], lat = 31.77912", "[0.12, 0.81], lat = 31.77902", "camera 'cam-1': `ground_points`"),
    "point far away": ("lat = 31.77912, lon = 119.95111", "lat = 32.77912, lon = 119.95111", "camera 'cam-1': `ground_points` entry 1 lies 11"),
    "point's latitude": ("lat = 31.77912, lon = 119.95111", "lat = 91, lon = 119.95111", "camera 'cam-1': `lat` of `ground_points` entry 1 = 91 is above 90"),
    "no id": ('id = "cam-1"\n', "", "camera number 1: `id` is missing"),
    "slash in id": ('"kerb-east"', '"kerb/east"', '`id` = "kerb/east" holds a slash'),
    "naive start": ("heading_deg", "starts_at = 2026-01-01T00:00:00\nheading_deg", "camera 'cam-1': `starts_at` = 2026-01-01 00:00:00 has no offset"),
    "class name": ("heading_deg", "score_min = { stal = 0.3 }\nheading_deg", "camera 'cam-1': `score_min.stal` is not a class; did you mean `stall`?"),
    "score": ("heading_deg", "score_min = { car = 1.3 }\nheading_deg", "camera 'cam-1': `score_min.car` = 1.3 is above 1"),
    "event": ("dwell_s", 'events = ["parking"]\ndwell_s', ZONE + '`events` entry 1 = "parking" is unknown; use some of illegal_parking'),
    "events of ignore": ('"no_parking"', '"ignore"\nevents = ["illegal_parking"]', ZONE + "a zone of kind ignore raises no events"),
    "permit backwards": ("dwell_s", "permits = [{ from = 2026-05-09, to = 2026-05-05 }]\ndwell_s", ZONE + "`permits` entry 1: ends (2026-05-05) before"),
    "permit key": ("dwell_s", "permits = [{ fro = 2026-05-09 }]\ndwell_s", ZONE + "`permits` entry 1: unknown key 'fro'"),
    "one bracket": ("[[camera]]", "[camera]", "`camera` = "),
    "not TOML": ("[[camera]]", "[[camera]", "not valid TOML: expected ']]' at the end of an array declaration (at line 6"),
    "no name": ('name = "Nandajie"\n', "", "[site]: `name` is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_mistake_is_one_sentence_that_says_where_and_what_to_do(tmp_path, name):
    old, new, says = FAULTS[name]
    text = complaint(tmp_path, changed(old, new))
    (line,) = [line for line in text.splitlines() if says in line]
    assert line.startswith(f"{tmp_path / 'site.toml'}: ")
    assert line.endswith((".", "?"))
    assert "Value error" not in text


def test_lists_are_checked_for_names_given_twice(tmp_path):
    camera, zone = SITE[SITE.index("[[camera]]") :], SITE[SITE.index("[[camera.zone]]") :]
    assert "camera 'cam-1' is listed twice" in complaint(tmp_path, SITE + camera)
    assert "camera 'cam-1': zone 'kerb-east' is listed twice" in complaint(tmp_path, SITE + zone)


def test_a_site_without_a_camera(tmp_path):
    text = complaint(tmp_path, SITE[: SITE.index("[[camera]]")])
    assert "`camera` is missing; add a [[camera]] table" in text
    assert "no camera" in complaint(tmp_path, "camera = []\n" + SITE[: SITE.index("[[camera]]")])


def test_many_mistakes_name_the_first_few(tmp_path):
    lines = complaint(
        tmp_path, changed("dwell_s = 180", "dwell_s = -1\na = 1\nb = 1\nc = 1\nd = 1\ne = 1")
    ).splitlines()
    assert len(lines) == 6
    assert lines[-1].endswith("and 1 more.")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such site file"), (b"\x00\xff\xfe", "not a text file"), (b"", "`site` is missing")],
)
def test_files_that_are_no_site_files(tmp_path, content, says):
    path = tmp_path / "site.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WrongUse, match=says):
        load_site(path)
    with pytest.raises(WrongUse, match="cannot be read"):
        load_site(tmp_path)


def test_what_is_possible_but_probably_not_meant(tmp_path):
    mirrored = SITE.replace("31.77912", "31.7X").replace("31.77902", "31.77912").replace("31.7X", "31.77902")
    camera = load_site(written(tmp_path, mirrored)).cameras[0]
    assert "mirrored" in camera.doubts()[0]
    bare = load_site(written(tmp_path, SITE[: SITE.index("[[camera.zone]]")])).cameras[0]
    assert "no zone" in bare.doubts()[0]
