from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from detector.errors import Failure
from detector.types import Detections
from ingest.clips import encode_clip
from ingest.evidence import EvidenceWriter, Piece
from ingest.recorder import EvidenceRecorder
from ingest.stills import near_of
from ingest.types import Event, EventKind, EventPhase, Frame

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
NAMES = ("person", "car")
CAR = (300.0, 200.0, 460.0, 300.0)
PERSON = (100.0, 100.0, 140.0, 230.0)
CAME_AT = 6.0


def frame(number: int, seconds: float, wh: tuple[int, int] = (640, 360)) -> Frame:
    """Paint a street: noise for a head, a car from `CAME_AT` on, the frame's number as grey in a corner."""
    image = np.full((360, 640, 3), 120, np.uint8)
    image[100:150, 90:150] = np.random.default_rng(7).integers(0, 256, (50, 60, 3))
    image[:40, 600:] = number % 250
    if seconds >= CAME_AT:
        cv2.rectangle(image, (300, 200), (460, 300), (30, 30, 160), -1)
    if wh != (640, 360):
        image = cv2.resize(image, wh)
    image.setflags(write=False)
    return Frame("cam", number, START + timedelta(seconds=seconds), image)


def detections(seconds: float, scale: float = 1.0) -> Detections:
    found = [PERSON] + ([CAR] if seconds >= CAME_AT else [])
    labels = [0] + ([1] if seconds >= CAME_AT else [])
    return Detections(np.array(found) * scale, np.full(len(found), 0.8), np.array(labels), NAMES)


def event(shown: Frame, phase: EventPhase = EventPhase.CONFIRMED, started: float = CAME_AT) -> Event:
    return Event(
        event_id="e1",
        kind=EventKind.ILLEGAL_PARKING,
        variant="motor",
        zone_id="kerb",
        phase=phase,
        started_at=START + timedelta(seconds=started),
        observed_at=shown.at,
        ended_at=None,
        confidence=0.9,
        label="car",
        xyxy=CAR,
        frame_index=shown.index,
    )


def played(until_s: float, recorder: EvidenceRecorder, fps: float = 5.0) -> Frame:
    for number in range(int(until_s * fps) + 1):
        last = frame(number * 5, number / fps)
        recorder.add(last, detections(number / fps))
    return last


@pytest.fixture(scope="module")
def pieces() -> tuple[Piece, ...]:
    recorder = EvidenceRecorder()
    return recorder.capture(event(played(20.0, recorder)))


def one(pieces: tuple[Piece, ...], role: str, *, sealed: bool = False) -> Piece:
    (piece,) = [p for p in pieces if p.role == role and p.sealed == sealed]
    return piece


def picture(piece: Piece) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(piece.data, np.uint8), cv2.IMREAD_COLOR)


def pictures(data: bytes) -> Iterator[tuple[float, np.ndarray]]:
    with av.open(io.BytesIO(data)) as container:
        for shown in container.decode(video=0):
            yield float(shown.time), shown.to_ndarray(format="bgr24")


def detail(image: np.ndarray) -> float:
    return float(np.abs(np.diff(image.astype(np.int16), axis=1)).mean())


# -- what an event gives --


def test_all_roles_are_there_and_of_one_frame(pieces: tuple[Piece, ...]) -> None:
    assert {(p.role, p.sealed) for p in pieces} == {
        ("near", False),
        ("far", False),
        ("before", False),
        ("clip", False),
        ("far", True),
        ("clip", True),
    }
    assert {(p.frame_index, p.at) for p in pieces if p.role != "before"} == {
        (500, START + timedelta(seconds=20))
    }
    last = list(pictures(one(pieces, "clip").data))[-1][1]
    for image in (picture(one(pieces, "far")), picture(one(pieces, "far", sealed=True)), last):
        assert float(image[5:30, 610:630].mean()) == pytest.approx(500 % 250, abs=5)


def test_box_is_drawn_on_public_pictures_only(pieces: tuple[Piece, ...]) -> None:
    def red(image: np.ndarray) -> bool:
        blue, green, red = (int(c) for c in image[240:260, 459:462].max(axis=(0, 1)))
        return red > 200 and blue < 160 and green < 160

    assert red(picture(one(pieces, "far")))
    assert not red(picture(one(pieces, "far", sealed=True)))
    near = picture(one(pieces, "near"))
    assert max(near.shape[:2]) == 800
    assert (near[..., 2] > 200).sum() > 500


def test_heads_are_hidden_in_public_and_kept_in_sealed(pieces: tuple[Piece, ...]) -> None:
    head = np.s_[102:130, 100:140]
    assert detail(picture(one(pieces, "far", sealed=True))[head]) > 40
    assert detail(picture(one(pieces, "far"))[head]) < 12
    assert detail(picture(one(pieces, "before"))[head]) < 12
    for (_, public), (_, original) in zip(
        pictures(one(pieces, "clip").data), pictures(one(pieces, "clip", sealed=True).data), strict=True
    ):
        assert detail(public[head]) < 12
        assert detail(original[head]) > 25


def test_before_is_from_just_before_the_thing_came(pieces: tuple[Piece, ...]) -> None:
    before = one(pieces, "before")
    assert CAME_AT - 2.1 <= (before.at - START).total_seconds() < CAME_AT
    assert float(picture(before)[220:280, 320:440, 2].mean()) < 130


def test_before_survives_a_long_dwell_through_the_pre_alarm() -> None:
    recorder = EvidenceRecorder(keep_s=30.0)
    early = played(8.0, recorder)
    assert recorder.capture(event(early, EventPhase.PRE_ALARM)) == ()
    for number in range(41, 600):
        last = frame(number * 5, number / 5)
        recorder.add(last, detections(number / 5))
    before = one(recorder.capture(event(last)), "before")
    assert (before.at - START).total_seconds() < CAME_AT


def test_thing_there_from_the_beginning_has_the_oldest_picture_before() -> None:
    recorder = EvidenceRecorder()
    last = played(12.0, recorder)
    assert one(recorder.capture(event(last, started=0.0)), "before").at == START


def test_after_shows_the_place_when_it_is_over() -> None:
    recorder = EvidenceRecorder()
    last = played(12.0, recorder)
    (after,) = recorder.capture(event(last, EventPhase.ENDED))
    assert (after.role, after.frame_index) == ("after", last.index)
    assert detail(picture(after)[102:130, 100:140]) < 12


def test_event_of_another_frame_is_refused() -> None:
    recorder = EvidenceRecorder()
    last = played(2.0, recorder)
    with pytest.raises(ValueError, match="frame 49"):
        recorder.capture(replace(event(last), frame_index=49))
    with pytest.raises(ValueError, match="fed last is None"):
        EvidenceRecorder().capture(event(last))


def test_privacy_zone_is_black_in_the_original_too() -> None:
    recorder = EvidenceRecorder(privacy=[[(0, 0), (0.25, 0), (0.25, 1), (0, 1)]])
    made = recorder.capture(event(played(11.0, recorder)))
    assert picture(one(made, "far", sealed=True))[:, :150].max() < 12
    assert all(image[:, :150].max() < 24 for _, image in pictures(one(made, "clip", sealed=True).data))


def test_large_frames_keep_full_stills_and_get_a_small_clip() -> None:
    recorder = EvidenceRecorder()
    for number in range(12):
        last = frame(number, number / 5 + CAME_AT, (1920, 1080))
        recorder.add(last, detections(number / 5 + CAME_AT, 3.0))
    large = replace(event(last), xyxy=tuple(3 * side for side in CAR))
    made = recorder.capture(large)
    assert picture(one(made, "far")).shape == (1080, 1920, 3)
    assert next(pictures(one(made, "clip").data))[1].shape == (720, 1280, 3)


def test_size_change_within_the_clip_is_survived() -> None:
    recorder = EvidenceRecorder()
    for number in range(20):
        wh = (640, 360) if number < 10 else (320, 180)
        last = frame(number, number / 5, wh)
        recorder.add(last, detections(0.0, wh[0] / 640))
    made = recorder.capture(replace(event(last), xyxy=(150.0, 100.0, 230.0, 150.0)))
    assert len(list(pictures(one(made, "clip").data))) == 20


@pytest.mark.parametrize(
    "xyxy", [(-5.0, -5.0, 700.0, 400.0), (639.0, 359.0, 640.0, 360.0), (0.0, 0.0, 1.0, 1.0)]
)
def test_near_of_any_box(xyxy: tuple[float, float, float, float]) -> None:
    assert min(near_of(frame(0, 0).image, xyxy).shape[:2]) > 10
    assert near_of(np.zeros((1, 1, 3), np.uint8), xyxy).shape == (4, 4, 3)


def test_memory_is_bounded() -> None:
    recorder = EvidenceRecorder(keep_s=3600.0)
    for number in range(1000):
        recorder.add(frame(number, number * 6.0), detections(0))
    assert len(recorder._dense) + len(recorder._old) < 150


def test_two_events_of_one_frame_share_the_original_clip() -> None:
    recorder = EvidenceRecorder()
    last = played(11.0, recorder)
    one_, other = event(last), replace(event(last), event_id="e2", xyxy=(10.0, 10.0, 60.0, 60.0))
    first, second = recorder.capture(one_), recorder.capture(other)
    assert one(first, "clip", sealed=True).data is one(second, "clip", sealed=True).data
    assert one(first, "clip").data != one(second, "clip").data


# -- the clip --


def test_clip_is_ten_seconds_of_h264_that_browsers_play(pieces: tuple[Piece, ...]) -> None:
    data = one(pieces, "clip").data
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.profile) == (
            "h264",
            "yuv420p",
            "High",
        )
        assert float(stream.duration * stream.time_base) == pytest.approx(10.0, abs=0.01)
    times = [at for at, _ in pictures(data)]
    assert times == pytest.approx([i / 5 for i in range(50)], abs=0.001)


def test_clip_keeps_uneven_times() -> None:
    images = [np.full((64, 96, 3), 40 * i, np.uint8) for i in range(4)]
    data = encode_clip(images, [5.0, 5.1, 7.0, 7.04], 0.2, (96, 64))
    assert [at for at, _ in pictures(data)] == pytest.approx([0, 0.1, 2.0, 2.04], abs=0.001)


def test_same_frames_give_the_same_bytes(pieces: tuple[Piece, ...]) -> None:
    recorder = EvidenceRecorder()
    again = recorder.capture(event(played(20.0, recorder)))
    assert [hashlib.sha256(p.data).hexdigest() for p in again] == [
        hashlib.sha256(p.data).hexdigest() for p in pieces
    ]


@pytest.mark.parametrize("wh", [(1, 1), (3, 500), (641, 359)])
def test_clip_of_odd_sizes(wh: tuple[int, int]) -> None:
    data = encode_clip([np.zeros((wh[1], wh[0], 3), np.uint8)], [0.0], 0.2, wh)
    assert len(list(pictures(data))) == 1


def test_clip_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        encode_clip([], [], 0.2, (96, 64))


# -- the store --


@pytest.fixture
def piece() -> Piece:
    return Piece("far", b"\xff\xd8picture", "image/jpeg", 7, START)


def test_put_is_by_content_and_twice_is_once(tmp_path: Path, piece: Piece) -> None:
    writer = EvidenceWriter(tmp_path / "spool")
    ref, again = writer.put_all([piece, piece])
    assert ref == again
    assert ref.sha256 == hashlib.sha256(piece.data).hexdigest()
    assert (ref.role, ref.frame_index, ref.at, ref.size_bytes) == ("far", 7, START, len(piece.data))
    path = writer.path_of(ref)
    assert path == tmp_path / "spool" / ref.sha256[:2] / f"{ref.sha256}.jpg"
    assert path.read_bytes() == piece.data
    assert len([p for p in (tmp_path / "spool").rglob("*") if p.is_file()]) == 1


def test_originals_lie_apart_for_nobody_else_to_read(tmp_path: Path, piece: Piece) -> None:
    writer = EvidenceWriter(tmp_path)
    path = writer.path_of(writer.put(replace(piece, sealed=True)))
    assert path.is_relative_to(tmp_path / "sealed")
    assert (tmp_path / "sealed").stat().st_mode & 0o777 == 0o700
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_full_disk_is_one_sentence_and_loses_nothing(
    tmp_path: Path, piece: Piece, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = EvidenceWriter(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(
            Failure, match=r"^The disk that holds .* is full; free some space: nothing is lost"
        ):
            writer.put(piece)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    assert writer.path_of(writer.put(piece)).read_bytes() == piece.data


def test_half_a_file_from_an_earlier_crash_is_replaced(tmp_path: Path, piece: Piece) -> None:
    writer = EvidenceWriter(tmp_path)
    path = writer.path_of(writer.put(piece))
    path.write_bytes(piece.data[:3])
    assert writer.path_of(writer.put(piece)).read_bytes() == piece.data


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="cannot be written"):
        EvidenceWriter(tmp_path / "file" / "spool")
