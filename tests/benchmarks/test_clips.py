"""The clips of the benchmarks: what is said of them is true of them."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest

from benchmarks import clips
from benchmarks.floor import groups
from benchmarks.footage import DWELL_S, SECONDS, Act
from benchmarks.streets import REAL, RENDERED, STREETS
from detector.errors import WrongUse
from ingest.config import load_site
from training.evaluation.events import read_truth

ALL_ACTS = [
    pytest.param(act, id=f"{name}-{kind}-{act.name}")
    for name, street in STREETS.items()
    for kind in clips.KINDS
    for act in street.acts(kind)
]


@pytest.mark.parametrize("act", ALL_ACTS)
def test_what_wants_an_event_stands_for_the_dwell_and_nothing_else_does(act):
    stood = act.stands()
    long_enough = stood is not None and min(stood[1], SECONDS) - stood[0] >= DWELL_S
    assert bool(act.kind) == long_enough


@pytest.mark.parametrize("street", [REAL, RENDERED], ids=lambda street: street.name)
def test_between_key_frames_means_between_those_of_the_plain_clip(street):
    gop_s = int(clips.VARIANTS["plain"].options["g"]) / 25
    for act in street.typical:
        if "between key frames" not in act.name:
            continue
        ends = act.stands()[0] if act.stands() else act.path[-1][0]
        assert act.path[0][0] // gop_s == ends // gop_s, act.name


@pytest.mark.parametrize("street", [REAL, RENDERED], ids=lambda street: street.name)
def test_the_names_of_sprites_and_zones_are_there(street):
    for kind in clips.KINDS:
        for act in street.acts(kind):
            assert act.sprite in street.cuts
            assert not act.zone_id or act.zone_id in street.zones


def test_a_foot_brakes_into_its_stand_and_is_gone_after_the_last_time():
    act = Act("a", "s", ((1.0, 0.0, 0.0), (3.0, 100.0, 0.0), (9.0, 100.0, 0.0), (10.0, 200.0, 0.0)))
    assert act.foot(0.5) is None
    assert act.foot(2.0)[0] > 50.0
    assert act.foot(5.0) == (100.0, 0.0)
    assert act.foot(9.5)[0] < 150.0
    assert act.foot(10.0) is None
    assert [act.moves(t) for t in (0.5, 2.0, 5.0, 9.5)] == [False, True, False, True]


def test_the_streets_are_as_active_as_they_are_called(stage):
    assert clips.active_share(stage, "typical") == pytest.approx(8 / 30)
    assert clips.active_share(stage, "typical", 0.2) < 0.2
    assert clips.active_share(stage, "busy") >= 0.9


def test_a_thing_is_to_be_seen_where_the_truth_says_and_only_when(stage):
    document = clips.truth(stage, "typical")
    event = next(event for event in document["events"] if event["name"] == "put down")
    left, top, right, bottom = (round(side / 3) for side in event["xyxy"])
    window = slice(top, bottom), slice(left, right)
    shown = [
        np.abs(stage.picture("typical", at_s)[window].astype(int) - stage.plate[window]).mean()
        for at_s in (event["from_s"] - 0.04, event["from_s"] + 0.04)
    ]
    assert shown[0] < 1  # the corner of a car
    assert shown[1] > 10


def test_truth_and_site_are_readable_by_those_who_use_them(stage, tmp_path):
    one = clips.Clip("typical", "plain", tmp_path / "a.mp4", tmp_path / "a.truth.json", tmp_path / "a.toml")
    clips.write_truth(stage, "typical", one)
    truth = read_truth(one.truth)
    site = load_site(one.site)
    assert len(truth.events) == 5
    assert {event.zone_id for event in truth.events} <= {zone.id for zone in site.cameras[0].zones}
    assert json.loads(one.truth.read_text())["active_share"] == pytest.approx(0.27, abs=0.015)


def test_the_same_bytes_come_again(stage, short_sub, short_clip, tmp_path, monkeypatch):
    monkeypatch.setitem(clips.VARIANTS, "sub", short_sub)
    clips.encode(stage, "typical", {"sub": tmp_path / "again.mp4"})
    assert (tmp_path / "again.mp4").read_bytes() == short_clip.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.mp4"]


def test_the_coding_is_what_was_asked_for(short_clip):
    with av.open(str(short_clip)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (640, 360, 25)
        assert sum(1 for _ in container.decode(stream)) == 50
    assert [(group.first, group.count) for group in groups(short_clip)] == [(0, 25), (25, 25)]


def test_another_coding_is_another_file_and_a_built_clip_is_not_built_again(tmp_path, monkeypatch, short_sub):
    monkeypatch.setitem(clips.VARIANTS, "sub", short_sub)
    built = []
    monkeypatch.setattr(clips, "encode", lambda stage, kind, targets: [p.touch() for p in targets.values()])
    monkeypatch.setattr(clips, "Stage", built.append)
    monkeypatch.setattr(clips, "write_truth", lambda stage, kind, to: to.truth.touch())
    first = clips.clip("typical", "sub", tmp_path, "rendered", say=False)
    again = clips.clip("typical", "sub", tmp_path, "rendered", say=False)
    assert first == again
    assert len(built) == 1
    monkeypatch.setitem(clips.VARIANTS, "sub", clips.VARIANTS["low"])
    assert clips.clip("typical", "sub", tmp_path, "rendered", say=False).path != first.path


@pytest.mark.parametrize(
    ("kind", "variant", "street"),
    [("sleepy", "plain", "rendered"), ("busy", "vhs", "rendered"), ("busy", "plain", "moon")],
)
def test_what_does_not_exist_is_one_sentence(tmp_path, kind, variant, street):
    with pytest.raises(WrongUse, match="There is no clip"):
        clips.clip(kind, variant, tmp_path, street)


def test_without_the_real_clip_the_street_is_rendered(tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "REAL", tmp_path / "none.mp4")
    assert clips.default_street() == "rendered"
    with pytest.raises(WrongUse, match="take rendered"):
        clips.clip("typical", "plain", tmp_path, "real")
