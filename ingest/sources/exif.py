"""Size and capture time of a picture from its head, without decoding it (pure).

Source: ITU-T T.81 annex B (JPEG markers), PNG specification 11.2.2, CIPA DC-008 (Exif 2.32) 4.6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo

EXIF_IFD, DATE_TIME_ORIGINAL, OFFSET_TIME_ORIGINAL = 0x8769, 0x9003, 0x9011
SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def picture_size(head: bytes) -> tuple[int, int] | None:
    r"""Give width and height of a JPEG or PNG, None for anything else.

    >>> picture_size(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", 640, 480))
    (640, 480)
    """
    if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    for marker, body in _segments(head):
        if marker in SIZE_MARKERS and len(body) >= 5:
            height, width = struct.unpack(">HH", body[1:5])
            return width, height
    return None


def taken_at(head: bytes, tz: tzinfo) -> datetime | None:
    """Give a JPEG's DateTimeOriginal in UTC; `tz` counts where it wrote no offset; None: not there."""
    for marker, body in _segments(head):
        if marker == 0xE1 and body[:6] == b"Exif\0\0":
            try:
                return _time(_exif_texts(body[6:]), tz)
            except (struct.error, ValueError):
                return None
    return None


def _time(texts: dict[int, str], tz: tzinfo) -> datetime | None:
    if len(texts.get(DATE_TIME_ORIGINAL, "")) != len("2026:03:01 08:00:00"):
        return None
    offset = texts.get(OFFSET_TIME_ORIGINAL, "")
    if offset:
        return datetime.strptime(texts[DATE_TIME_ORIGINAL] + offset, "%Y:%m:%d %H:%M:%S%z").astimezone(UTC)
    naive = datetime.strptime(texts[DATE_TIME_ORIGINAL], "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - zone follows
    return naive.replace(tzinfo=tz).astimezone(UTC)


def _segments(head: bytes) -> Iterator[tuple[int, bytes]]:
    if head[:2] != b"\xff\xd8":
        return
    at = 2
    while at + 4 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xDA:
            return
        (length,) = struct.unpack(">H", head[at + 2 : at + 4])
        yield marker, head[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def _exif_texts(tiff: bytes) -> dict[int, str]:
    order = "<" if tiff[:2] == b"II" else ">"
    (first,) = struct.unpack(order + "I", tiff[4:8])
    pointer = next((raw for tag, _, raw in _entries(tiff, first, order) if tag == EXIF_IFD), None)
    if pointer is None:
        return {}
    (exif,) = struct.unpack(order + "I", pointer)
    return {
        tag: _text(tiff, raw, count, order)
        for tag, count, raw in _entries(tiff, exif, order)
        if tag in {DATE_TIME_ORIGINAL, OFFSET_TIME_ORIGINAL}
    }


def _entries(tiff: bytes, at: int, order: str) -> Iterator[tuple[int, int, bytes]]:
    """Give tag, count and the four bytes of value or pointer of every field of the directory at `at`."""
    (number,) = struct.unpack(order + "H", tiff[at : at + 2])
    for start in range(at + 2, at + 2 + 12 * number, 12):
        tag, _, count = struct.unpack(order + "HHI", tiff[start : start + 8])
        yield tag, count, tiff[start + 8 : start + 12]


def _text(tiff: bytes, raw: bytes, count: int, order: str) -> str:
    if count > 4:
        (at,) = struct.unpack(order + "I", raw)
        raw = tiff[at : at + count]
    return raw[:count].split(b"\0")[0].decode("ascii", "replace").strip()
