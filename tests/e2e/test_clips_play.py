"""Clips of a camera play in Debian's Chromium: the camera's own packets, and the public one."""

from __future__ import annotations

import base64
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from detector.types import Detections
from ingest.evidence import Piece
from ingest.recorder import EvidenceRecorder
from ingest.sources import SourceSettings, open_source
from ingest.types import Event, EventKind, EventPhase
from tests.videos import make_video, regular

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
START = datetime(2026, 3, 1, tzinfo=UTC)
WH = (320, 192)
PLAY = """async ([data, times]) => {
  const video = document.createElement('video');
  document.body.append(video);
  video.muted = true;
  const once = (name) => new Promise((done, fail) => {
    video.addEventListener(name, done, {once: true});
    video.addEventListener('error', () => fail(new Error(video.error.message)), {once: true});
  });
  const loaded = once('loadeddata');
  video.src = 'data:video/mp4;base64,' + data;
  await loaded;
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const drawn = canvas.getContext('2d');
  const greys = [];
  for (const time of times) {
    const there = once('seeked');
    video.currentTime = time;
    await there;
    await new Promise((done) => setTimeout(done, 150));  // "seeked" may come before the picture is shown
    drawn.drawImage(video, 0, 0);
    greys.push(drawn.getImageData(canvas.width / 4, canvas.height / 4, 1, 1).data[1]);
  }
  return {greys, size: [video.videoWidth, video.videoHeight], seconds: video.duration};
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]


def evidence(path: Path) -> tuple[Piece, ...]:
    """Take 11 s of a camera that gives a grey of its own to each picture; an event at 11 s."""
    recorder = EvidenceRecorder()
    nobody = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0), ("person", "car"))
    settings = SourceSettings(fps=5.0, starts_at=START)
    with open_source(str(path), "c", settings=settings) as source:
        recorder.use(source.tape, lambda _: nobody)
        for frame in source.frames():
            recorder.add(frame, nobody)
            if frame.at >= START + timedelta(seconds=10.99):
                break
        event = Event(
            event_id="e",
            kind=EventKind.ILLEGAL_PARKING,
            variant="",
            zone_id="z",
            phase=EventPhase.CONFIRMED,
            started_at=frame.at,
            observed_at=frame.at,
            ended_at=None,
            confidence=0.9,
            label="car",
            xyxy=(200.0, 120.0, 300.0, 180.0),
            frame_index=frame.index,
        )
        return recorder.capture(event)


@pytest.mark.parametrize("b_frames", ["0", "3"])
@pytest.mark.parametrize("suffix", [".mp4", ".ts"], ids=["lengths", "start codes"])
def test_both_clips_play_and_show_what_was_there(tmp_path: Path, suffix: str, b_frames: str) -> None:
    path = make_video(tmp_path / f"a{suffix}", regular(290, 25.0), WH, options={"g": "25", "bf": b_frames})
    clips = [piece for piece in evidence(path) if piece.role == "clip"]
    assert len(clips) == 2
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        for piece in clips:
            times = [0.01, 2.01, 5.41]
            data = base64.b64encode(piece.data).decode()
            shown = page.evaluate(PLAY, [data, times])
            assert shown["size"] == list(WH)
            assert 9.5 < shown["seconds"] < 11.2
            began = 11.0 - round((shown["seconds"] - (0.04 if piece.sealed else 0.2)) * 25) / 25
            wanted = [40 + 4 * (round((began + at - 0.01) * 25) % 50) for at in times]
            assert shown["greys"] == pytest.approx(wanted, abs=8), piece.sealed
        browser.close()
