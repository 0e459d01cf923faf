from __future__ import annotations

import os
import struct
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import cv2
import numpy as np
import pytest

from detector.errors import Failure, WrongUse
from ingest.sources import SourceSettings, open_source
from ingest.sources.exif import picture_size, taken_at
from ingest.sources.images import read_picture


def picture(path: Path, grey: int = 128, wh: tuple[int, int] = (64, 48)) -> Path:
    cv2.imwrite(str(path), np.full((wh[1], wh[0], 3), grey, np.uint8))
    return path


def exif(taken: str, offset: str = "", order: str = "<") -> bytes:
    """Build the APP1 segment of a camera that wrote DateTimeOriginal."""
    texts = [(0x9003, taken.encode() + b"\0")] + ([(0x9011, offset.encode() + b"\0")] if offset else [])
    exif_at = 8 + 2 + 12 + 4
    values_at = exif_at + 2 + 12 * len(texts) + 4
    fields, values = b"", b""
    for tag, text in texts:
        fields += struct.pack(order + "HHII", tag, 2, len(text), values_at + len(values))
        values += text
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    tiff += struct.pack(order + "H", 1) + struct.pack(order + "HHII", 0x8769, 4, 1, exif_at) + bytes(4)
    tiff += struct.pack(order + "H", len(texts)) + fields + bytes(4) + values
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def with_exif(path: Path, *args: str, order: str = "<") -> Path:
    data = picture(path).read_bytes()
    path.write_bytes(data[:2] + exif(*args, order=order) + data[2:])
    return path


def test_in_name_order_with_modification_times(tmp_path: Path) -> None:
    for name, at in (("b.png", 200), ("a.jpg", 100), ("c.JPG", 300)):
        os.utime(picture(tmp_path / name), (at, at))
    (tmp_path / "notes.txt").write_text("no picture")
    with open_source(str(tmp_path), "cam") as source:
        assert [frame.at.timestamp() for frame in source.frames()] == [100, 200, 300]


def test_times_never_go_back(tmp_path: Path) -> None:
    for name, at in (("a.jpg", 300), ("b.jpg", 100), ("c.jpg", 100)):
        os.utime(picture(tmp_path / name), (at, at))
    with open_source(str(tmp_path), "cam") as source:
        times = [frame.at.timestamp() for frame in source.frames()]
    assert times == pytest.approx([300, 300.001, 300.002])


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_in_the_cameras_zone(tmp_path: Path, order: str) -> None:
    with_exif(tmp_path / "a.jpg", "2026:03:01 08:00:00", order=order)
    settings = SourceSettings(tz=ZoneInfo("Asia/Shanghai"))
    with open_source(str(tmp_path), "cam", settings=settings) as source:
        assert next(source.frames()).at == datetime(2026, 3, 1, 0, 0, tzinfo=UTC)


def test_exif_with_its_own_offset(tmp_path: Path) -> None:
    with_exif(tmp_path / "a.jpg", "2026:03:01 08:00:00", "+03:00")
    with open_source(str(tmp_path), "cam") as source:
        assert next(source.frames()).at == datetime(2026, 3, 1, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize("taken", ["    :  :     :  :  ", "0000:00:00 00:00:00", "yesterday"])
def test_exif_without_sense_is_not_believed(tmp_path: Path, taken: str) -> None:
    os.utime(with_exif(tmp_path / "a.jpg", taken), (100, 100))
    with open_source(str(tmp_path), "cam") as source:
        assert next(source.frames()).at.timestamp() == 100


def test_broken_exif_is_not_believed() -> None:
    good = b"\xff\xd8" + exif("2026:03:01 08:00:00")
    for end in range(len(good) - 1):
        assert taken_at(good[:end], UTC) is None


def test_fixed_step(tmp_path: Path) -> None:
    for name in "abc":
        os.utime(picture(tmp_path / f"{name}.jpg"), (100, 100))
    with open_source(str(tmp_path), "cam", settings=SourceSettings(interval_s=2.5)) as source:
        assert [frame.at.timestamp() for frame in source.frames()] == [100, 102.5, 105]
    with pytest.raises(WrongUse, match="interval_s"):
        open_source(str(tmp_path), "cam", settings=SourceSettings(interval_s=0))


def test_broken_picture_is_skipped_and_counted(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_text("no picture")
    (tmp_path / "c.jpg").touch()
    picture(tmp_path / "d.jpg")
    with open_source(str(tmp_path), "cam") as source:
        assert [frame.index for frame in source.frames()] == [0, 3]
        assert source.status.dropped == {"undecodable": 2}
        assert len(source.warnings) == 2


def test_no_picture_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_text("no picture")
    with open_source(str(tmp_path), "cam") as source, pytest.raises(Failure, match="None of the 1 pictures"):
        list(source.frames())


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="holds no pictures"):
        open_source(str(tmp_path), "cam")


def test_smallest_and_largest_picture(tmp_path: Path) -> None:
    assert read_picture(picture(tmp_path / "a.png", wh=(1, 1))).shape == (1, 1, 3)
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 16384, 16384)
    (tmp_path / "b.png").write_bytes(head)
    with pytest.raises(Failure, match="16384x16384 px"):
        read_picture(tmp_path / "b.png")


def test_size_is_read_from_the_head(tmp_path: Path) -> None:
    assert picture_size(picture(tmp_path / "a.jpg", wh=(321, 123)).read_bytes()) == (321, 123)
    assert picture_size(b"GIF89a") is None
