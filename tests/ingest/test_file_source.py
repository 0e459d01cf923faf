from __future__ import annotations

import logging
import os
import shutil
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from detector.errors import Failure, WrongUse
from detector.types import Detections
from ingest.sources import SourceSettings, open_source
from ingest.sources.picture import DecodedPicture
from ingest.sources.signs import Thing
from ingest.types import Frame
from tests.videos import make_stream_of_two_sizes, make_video, regular

STARTS_AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def frames_of(path: Path, fps: float = 5.0) -> list[Frame]:
    with open_source(str(path), "cam", fps=fps, starts_at=STARTS_AT) as source:
        return list(source.frames())


def seconds_of(frames: list[Frame]) -> list[float]:
    return [(frame.at - STARTS_AT).total_seconds() for frame in frames]


def number_of(frame: Frame) -> int:
    return round((float(frame.image[..., 1].mean()) - 39) / 4)


@pytest.mark.parametrize("fps", [8.0, 12.5, 20.0, 23.976, 25.0, 29.97, 30.0, 50.0])
def test_rate_is_by_time_not_by_count(tmp_path: Path, fps: float) -> None:
    frames = frames_of(make_video(tmp_path / "a.mp4", regular(int(fps * 6), fps)))
    assert len(frames) == pytest.approx(30, abs=1)
    assert max(b - a for a, b in pairwise(seconds_of(frames))) < 0.2 + 1 / fps + 0.002


def test_slow_video_gives_every_frame(tmp_path: Path) -> None:
    assert len(frames_of(make_video(tmp_path / "a.mp4", regular(9, 2.0)))) == 9


def test_variable_rate_keeps_true_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 1.0, 1.01, 1.02, 1.2, 3.5, 3.6, 3.75]
    frames = frames_of(make_video(tmp_path / "a.mkv", times))
    assert seconds_of(frames) == pytest.approx([0.0, 1.0, 1.2, 3.5, 3.6], abs=0.002)
    assert [frame.index for frame in frames] == [0, 3, 6, 7, 8]


def test_b_frames_come_in_order_of_showing(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", regular(50, 25.0), options={"bf": "3", "g": "50"})
    assert [number_of(frame) for frame in frames_of(path, fps=25.0)] == list(range(50))


def test_index_counts_every_decoded_frame(tmp_path: Path) -> None:
    frames = frames_of(make_video(tmp_path / "a.mp4", regular(50, 25.0)))
    assert [frame.index for frame in frames] == list(range(0, 50, 5))
    assert [number_of(frame) for frame in frames] == list(range(0, 50, 5))


def test_missing_times_are_counted_from_the_rate(tmp_path: Path) -> None:
    frames = frames_of(make_video(tmp_path / "a.h264", regular(50, 25.0)))
    assert len(frames) == pytest.approx(10, abs=1)
    assert seconds_of(frames)[0] == 0


def test_stream_that_begins_late_begins_at_zero(tmp_path: Path) -> None:
    frames = frames_of(make_video(tmp_path / "a.ts", [100 + t for t in regular(25, 25.0)]))
    assert seconds_of(frames) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8], abs=0.001)


@pytest.mark.parametrize(("rotation", "corner"), [(90, (-1, 0)), (-90, (0, -1)), (180, (-1, -1))])
def test_rotation_is_applied(tmp_path: Path, rotation: int, corner: tuple[int, int]) -> None:
    # Chromium 1xx shows rotation 90 with the red corner bottom left, at 64x96
    frame = frames_of(make_video(tmp_path / "a.mp4", [0.0, 0.1], rotation=rotation, corner=True))[0]
    assert frame.wh == ((96, 64) if rotation == 180 else (64, 96))
    rows, columns = (8 if side == 0 else -8 for side in corner)
    assert frame.image[rows, columns, 2] > 200
    assert frame.image[-rows, -columns, 2] < 100


class Blind:
    """Sees nothing in any key frame."""

    def look(self, picture: DecodedPicture) -> Detections:
        assert picture.wh == (64, 96)
        return Detections.empty(("car",))

    def things(self, seen: Detections, wh: tuple[int, int]) -> tuple[Thing, ...]:
        assert wh == (64, 96)
        assert not len(seen)
        return ()


@pytest.mark.parametrize("decode", ["follow", "lookback"])
@pytest.mark.parametrize("device", [None, "cuda:1"], ids=str)
@pytest.mark.parametrize(
    "options", [{"bf": "0", "g": "25"}, {"bf": "2", "g": "25"}, {"bf": "0", "g": "999"}], ids=str
)
def test_rotation_is_applied_by_every_way_of_decoding(
    tmp_path: Path, decode: Literal["follow", "lookback"], device: str | None, options: dict[str, str]
) -> None:
    times = regular(150, 25.0)
    path = make_video(tmp_path / "a.mp4", times, rotation=90, corner=True, options=options)
    wanted = {frame.at: frame for frame in frames_of(path, fps=25.0)}
    settings = SourceSettings(fps=5.0, starts_at=STARTS_AT, decode=decode, decode_device=device)
    with open_source(str(path), "cam", settings=settings) as source:
        source.consult(Blind())
        found = list(source.frames())
    assert len(found) >= 3
    for frame in found:
        assert frame.wh == (64, 96)
        assert np.array_equal(frame.image, wanted[frame.at].image)


def test_size_change_is_survived(tmp_path: Path) -> None:
    frames = frames_of(make_stream_of_two_sizes(tmp_path / "a.h264"))
    assert {frame.wh for frame in frames} == {(96, 64), (160, 120)}


# -- when it was --


def test_start_is_what_was_given_in_any_zone(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", regular(5, 25.0), created="2025-05-05T05:05:05.000000Z")
    with open_source(
        str(path), "cam", starts_at=STARTS_AT.astimezone(timezone(timedelta(hours=8)))
    ) as source:
        assert next(source.frames()).at == STARTS_AT
        assert source.time_basis == "given"


def test_start_is_the_creation_time_else_the_modification_time(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", regular(5, 25.0), created="2025-05-05T05:05:05.000000Z")
    with open_source(str(path), "cam") as source:
        assert next(source.frames()).at == datetime(2025, 5, 5, 5, 5, 5, tzinfo=UTC)
    path = make_video(tmp_path / "b.mp4", regular(5, 25.0), created="1970-01-01T00:00:00Z")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    with open_source(str(path), "cam") as source:
        assert next(source.frames()).at == datetime.fromtimestamp(1_700_000_000, UTC)
        assert source.time_basis == "mtime"


def test_start_without_zone_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [0.0])
    with pytest.raises(WrongUse, match="time zone"):
        open_source(str(path), "cam", starts_at=datetime(2026, 1, 1))  # noqa: DTZ001


# -- what can be wrong with it --


def failure_of(path: Path) -> str:
    with pytest.raises(Failure) as caught, open_source(str(path), "cam") as source:
        list(source.frames())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_text_named_mp4(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a video\n" * 100)
    assert "is not a video" in failure_of(path)


def test_noise_named_mp4(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(bytes(range(256)) * 100)
    assert "is not a video" in failure_of(path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    assert "empty (0 bytes)" in failure_of(path)


def test_index_missing(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", regular(100, 25.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "index (moov) is missing" in failure_of(path)


def test_unknown_codec_is_named(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", regular(10, 25.0))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert "codec 'zzzz'" in failure_of(path)


def test_sound_only(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert "no video stream" in failure_of(path)


def test_data_cut_off_is_analysed_as_far_as_it_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = make_video(
        tmp_path / "a.mp4",
        regular(100, 25.0),
        (640, 360),
        container_options={"movflags": "faststart"},
        corner=True,
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with caplog.at_level(logging.WARNING), open_source(str(path), "cam") as source:
        frames = list(source.frames())
    assert len(frames) >= 3
    assert len(source.warnings) == 1
    assert "cut short" in source.warnings[0]
    assert source.warnings[0] in caplog.text


def test_nothing_to_decode(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", regular(100, 25.0), container_options={"movflags": "faststart"})
    data = path.read_bytes()
    at = data.index(b"mdat") + 4
    path.write_bytes(data[:at] + bytes(len(data) - at))
    assert "No picture" in failure_of(path)


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", regular(100, 25.0), (320, 240), options={"g": "10"}, corner=True)
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 2000
    data[at : at + 400] = b"\xff" * 400
    path.write_bytes(data)
    with open_source(str(path), "cam") as source:
        assert len(list(source.frames())) >= 5


def test_missing_file_is_wrong_use() -> None:
    with pytest.raises(WrongUse, match=r"no /nowhere/a\.mp4"):
        open_source("/nowhere/a.mp4", "cam")


def test_unknown_scheme_is_wrong_use() -> None:
    with pytest.raises(WrongUse, match="gopher://"):
        open_source("gopher://host/a", "cam")


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan")])
def test_rate_without_sense_is_wrong_use(tmp_path: Path, fps: float) -> None:
    with pytest.raises(WrongUse, match="fps"):
        open_source(str(make_video(tmp_path / "a.mp4", [0.0])), "cam", fps=fps)


def test_1x1_and_large_pictures(tmp_path: Path) -> None:
    assert frames_of(make_video(tmp_path / "a.mp4", [0.0, 0.1], (2, 2)))[0].wh == (2, 2)
    assert frames_of(make_video(tmp_path / "b.mp4", [0.0], (4096, 2304)))[0].wh == (4096, 2304)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing(tmp_path: Path, threads: int) -> None:
    path = make_video(tmp_path / "a.mp4", regular(50, 25.0))
    with open_source(str(path), "cam", settings=SourceSettings(threads=threads)) as source:
        assert [number_of(frame) for frame in source.frames()] == list(range(0, 50, 5))


def test_deleted_while_read(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", regular(50, 25.0))
    with open_source(str(path), "cam") as source:
        path.unlink()
        assert len(list(source.frames())) == 10


def test_folder_without_permission_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    shutil.copy(make_video(tmp_path / "b.mp4", [0.0]), path)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    assert "cannot be opened" in failure_of(path)
