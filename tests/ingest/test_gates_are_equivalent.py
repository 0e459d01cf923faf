"""The same events whichever gate is used, on every coding of the same street; times within the floor period."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from detector.types import Detections
from ingest.config import load_site
from ingest.evidence import EvidenceWriter
from ingest.gate import FORCE_S, open_gate
from ingest.pipeline import Pipeline, assemble
from ingest.recorder import Capture, EvidenceRecorder
from ingest.report import CaseReport, EventEnd
from ingest.sources import SourceStatus, open_source
from ingest.sources.choice import settings_of
from ingest.types import Event, EventPhase, Frame
from tests.ingest import streets

SECONDS = 40.0
SITE = """
[site]
name = "Painted"
timezone = "Asia/Shanghai"
[[camera]]
id = "c"
lat = 31.779
lon = 119.951
starts_at = "2026-11-20T08:00:00+08:00"
model = "scripted@0"
[[camera.zone]]
id = "kerb"
kind = "no_parking"
dwell_s = 5
polygon = [[0.2, 0.3], [0.9, 0.3], [0.9, 0.8], [0.2, 0.8]]
"""
CARS = (
    streets.Thing("car", (50, 26), streets.visit(120, 100, 5.3, 14.0)),
    streets.Thing("car", (50, 26), streets.visit(500, 60, 18.0, 19.0, 90.0)),  # passes
    streets.Thing("car", (44, 24), streets.visit(200, 62, 22.7, 99.0)),  # stays
    streets.Thing("car", (50, 26), streets.visit(100, 110, 30.0, 31.2)),  # stops too briefly
    streets.Thing("car", (40, 20), streets.visit(240, 165, 26.1, 99.0)),  # stands outside
)
TRAFFIC = tuple(streets.Thing("car", (36, 16), streets.visit(500, 134, t, t, 97.0)) for t in range(2, 44, 2))
WALKER = streets.Thing("person", (9, 22), streets.to_and_fro(130, 4.0))


@dataclass
class Kept:
    """Stands in for the outbox."""

    reports: list[CaseReport] = field(default_factory=list)
    ends: list[EventEnd] = field(default_factory=list)

    def put(self, report: CaseReport) -> None:
        self.reports.append(report)

    def put_end(self, end: EventEnd) -> None:
        self.ends.append(end)


def watch(clip: Path, gate: str, folder: Path, site_toml: str = SITE) -> tuple[Kept, SourceStatus, int]:
    folder.mkdir(exist_ok=True)
    site_file = folder / "site.toml"
    site_file.write_text(site_toml, encoding="utf-8")
    site = load_site(site_file)
    camera = site.cameras[0].model_copy(update={"source": str(clip)})
    kept, backend = Kept(), streets.ColourBackend()
    with (
        streets.Detector(streets.SPEC, backend) as detector,
        open_source(str(clip), "c", settings=settings_of(camera, site.tz, gate)) as source,
    ):
        writer = EvidenceWriter(folder / "spool")
        pipeline = Pipeline(assemble(site, camera, detector, open_gate(gate), writer, kept))  # type: ignore[arg-type]
        summary = pipeline.run(source)
    return kept, source.status, summary.frames


CODINGS = {
    "h264": {"options": {"g": "50", "bf": "0"}},
    "h264 with B-frames": {"options": {"g": "50", "bf": "3", "preset": "veryfast"}},
    "h264, open groups": {
        "options": {"g": "50", "bf": "2", "preset": "veryfast", "x264-params": "open-gop=1"}
    },
    "h264, variable groups": {
        "options": {"g": "400", "bf": "0", "sc_threshold": "0", "forced-idr": "1"},
        "keys": lambda number: number % 37 == 0 or number % 113 == 5,
    },
    "h264, one endless group": {"options": {"g": "9999", "bf": "0", "sc_threshold": "0"}},
    "hevc": {"codec": "libx265", "options": {"x265-params": "log-level=none:pools=1:keyint=50"}},
}


@pytest.fixture(scope="module", params=[*CODINGS, "busy", "traffic"])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    path = tmp_path_factory.mktemp("street") / "a.mp4"
    things = [*CARS, *{"busy": (WALKER,), "traffic": TRAFFIC}.get(request.param, ())]
    coding = CODINGS.get(request.param, CODINGS["h264"])
    return request.param, streets.render(path, things, SECONDS, **coding)


def test_events_are_those_of_every_frame(clip: tuple[str, Path], tmp_path: Path) -> None:
    name, path = clip
    wanted, all_status, all_frames = watch(path, "every", tmp_path / "every")
    assert [round(report.box.x0 * streets.WH[0]) for report in wanted.reports] == pytest.approx(
        [120, 200], abs=4
    )
    for gate in ("motion", "follow", "lookback"):
        found, status, frames = watch(path, gate, tmp_path / gate)
        assert len(found.reports) == len(wanted.reports), gate
        for one, other in zip(found.reports, wanted.reports, strict=True):
            assert (one.kind, one.zone_id) == (other.kind, other.zone_id)
            assert abs((one.started_at - other.started_at).total_seconds()) <= 0.5
            assert abs((one.observed_at - other.observed_at).total_seconds()) <= FORCE_S + 0.5
            assert {piece.role for piece in one.evidence} == {piece.role for piece in other.evidence}
        assert len(found.ends) == len(wanted.ends), gate
        for end, right in zip(found.ends, wanted.ends, strict=True):
            assert abs((end.ended_at - right.ended_at).total_seconds()) <= FORCE_S + 0.5
            assert [piece.role for piece in end.evidence] == [piece.role for piece in right.evidence]
        assert frames <= all_frames
        if name == "traffic" and gate == "lookback":
            assert frames < 0.4 * all_frames
            assert status.decoded < 0.5 * all_status.decoded
        if name not in {"busy", "traffic"}:
            assert frames < 0.75 * all_frames, gate
        if gate in {"follow", "lookback"} and name in {
            "h264",
            "hevc",
            "h264 with B-frames",
            "h264, open groups",
        }:
            assert status.decoded < 0.75 * all_status.decoded
        if gate in {"follow", "lookback"} and name == "h264, one endless group":
            assert status.decoded > 0.9 * all_status.decoded


def test_two_runs_give_the_same_evidence(clip: tuple[str, Path], tmp_path: Path) -> None:
    name, path = clip
    if name not in {"h264", "h264 with B-frames"}:
        pytest.skip("one coding of each sort is enough")
    first, second = (watch(path, "lookback", tmp_path / folder)[0] for folder in ("a", "b"))
    assert first.reports == second.reports
    assert first.ends == second.ends
    assert first.reports[0].evidence


def test_what_happens_in_a_frame_that_nobody_looked_at_is_looked_at_for_its_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A car has left; that it is gone for good is said while nothing changes, and boxes are carried on."""
    clip = streets.render(tmp_path / "a.mp4", CARS[:1], 40.0, **CODINGS["h264"])
    passed: set[int] = set()
    added: dict[int, int] = {}
    pass_by, add = EvidenceRecorder.pass_by, EvidenceRecorder.add

    def passing(self: EvidenceRecorder, frame: Frame, carried: Detections) -> bool:
        passed.add(frame.index)
        return pass_by(self, frame, carried)

    def adding(self: EvidenceRecorder, frame: Frame, seen: Detections) -> None:
        added[frame.index] = added.get(frame.index, 0) + 1
        add(self, frame, seen)

    monkeypatch.setattr(EvidenceRecorder, "pass_by", passing)
    monkeypatch.setattr(EvidenceRecorder, "add", adding)
    found, _, frames = watch(clip, "lookback", tmp_path / "lookback")
    assert len(passed) >= 5
    assert len(passed & added.keys()) == 1
    assert set(added.values()) == {1}
    assert frames == len(added.keys() - passed)
    assert [[piece.role for piece in end.evidence] for end in found.ends] == [["after"]]


def test_a_pre_alarm_in_a_frame_that_nobody_looked_at_needs_no_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What shows the time before is chosen then, and nobody is shown anything yet."""
    stays = streets.Thing("car", (50, 26), streets.visit(120, 100, 9.3, 99.0))
    clip = streets.render(tmp_path / "a.mp4", [stays], 40.0, **CODINGS["h264"])
    looked: set[int] = set()
    events: list[tuple[EventPhase, int]] = []
    add, prepare = EvidenceRecorder.add, EvidenceRecorder.prepare

    def adding(self: EvidenceRecorder, frame: Frame, seen: Detections) -> None:
        looked.add(frame.index)
        add(self, frame, seen)

    def preparing(self: EvidenceRecorder, event: Event, main: Frame | None = None) -> Capture:
        events.append((event.phase, event.frame_index))
        return prepare(self, event, main)

    monkeypatch.setattr(EvidenceRecorder, "add", adding)
    monkeypatch.setattr(EvidenceRecorder, "prepare", preparing)
    site = SITE.replace("dwell_s = 5", "dwell_s = 20")
    found, _, _ = watch(clip, "lookback", tmp_path / "lookback", site)
    (first, pre_alarm), (second, confirmed) = events
    assert (first, second) == (EventPhase.PRE_ALARM, EventPhase.CONFIRMED)
    assert pre_alarm not in looked
    assert confirmed in looked
    assert {piece.role for piece in found.reports[0].evidence} >= {"before", "clip"}
