"""Picture files -> Image. Every way a file can be bad ends in one sentence."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

from detector.errors import Failure
from detector.types import Image

PIXELS_MAX = 400_000_000
"""A 20000 x 20000 picture: 1.2 GB once decoded. What claims more is a mistake or an attack."""
BYTES_MAX = 2**31 - 1
"""OpenCV's decoders count bytes in 32 bits."""

_KINDS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"RIFF": "WebP",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}
# Frame headers; C4, C8 and CC lie between them and mean other things. Source: ITU-T T.81, table B.1.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA


def read_image(path: Path) -> Image:
    """Read a picture as uint8 (H, W, 3) BGR, read-only, turned upright as its EXIF says.

    Grey pictures get three equal channels, 16 bits become 8, transparency is dropped.

    Raises:
        Failure: no such file, empty, no picture, cut short or damaged, or more than `PIXELS_MAX` pixels.
    """
    data = _read_bytes(path)
    kind = _kind_of(data)
    size = _size_of(data, kind)
    if size is not None and size[0] * size[1] > PIXELS_MAX:
        raise Failure(
            f"{path} has {size[0]}x{size[1]} pixels, more than the {PIXELS_MAX // 1_000_000} million "
            "that are read; make it smaller or cut it into tiles."
        )
    image = None if _is_cut_short(data, kind) else _decode(path, data)
    if image is None and kind is None:
        raise Failure(f"{path} is not a picture that can be read; wanted JPEG, PNG, WebP, BMP, TIFF or GIF.")
    if image is None:
        raise Failure(f"{path} is a {kind} picture that is cut short or damaged; copy it again.")
    image.setflags(write=False)
    return image


def check_whole(path: Path) -> None:
    """Make sure that a file is a picture with an end, without decoding it: fast, and blind to damage within.

    Raises:
        Failure: no such file, empty, no picture, or cut short.
    """
    data = _read_bytes(path)
    kind = _kind_of(data)
    if kind is None:
        raise Failure(f"{path} is not a picture that can be read; wanted JPEG, PNG, WebP, BMP, TIFF or GIF.")
    if _is_cut_short(data, kind):
        raise Failure(f"{path} is a {kind} picture that is cut short or damaged; copy it again.")


def _kind_of(data: bytes) -> str | None:
    return next((name for magic, name in _KINDS.items() if data.startswith(magic)), None)


def _read_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise Failure(f"{path} is a folder; name the pictures in it, as in {path}/*.jpg.")
        if not path.is_file():
            raise Failure(f"{path} is not a file; pictures are read from files.")
        if size > BYTES_MAX:
            raise Failure(f"{path} is larger than 2 GiB; that is no picture this program reads.")
        data = path.read_bytes()
    except FileNotFoundError:
        raise Failure(f"{path} does not exist.") from None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a name with a zero byte in it
        raise Failure(f"{str(path)!r} is not a file name: {error}.") from error
    if not data:
        raise Failure(f"{path} is empty (0 bytes); copy it again.")
    return data


def _decode(path: Path, data: bytes) -> Image | None:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # its reasons are source lines, not sentences
    try:
        image: Image | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        if "pixels" in str(error).lower():
            raise Failure(
                f"{path} has more pixels than can be read; make it smaller or cut it into tiles."
            ) from None
        return None
    except MemoryError:
        raise Failure(f"{path} does not fit into memory; make it smaller or cut it into tiles.") from None
    finally:
        cv2.utils.logging.setLogLevel(level)
    return image


def _size_of(data: bytes, kind: str | None) -> tuple[int, int] | None:
    """Give width and height as the header says, None where it is not read here.

    JPEG and PNG alone hold a huge picture in a small file; OpenCV's own limit, 2^30 pixels, bounds the rest.
    """
    if kind == "PNG" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if kind == "JPEG":
        return _jpeg_header(data)[0]
    return None


def _is_cut_short(data: bytes, kind: str | None) -> bool:
    """Say whether the end is missing: some decoders would fill up with grey and say nothing."""
    if kind == "PNG":
        return b"IEND" not in data
    if kind == "JPEG":
        # Inside a scan 0xFF is always stuffed, so that this marker after it is the end and nothing else.
        return data.find(b"\xff\xd9", _jpeg_header(data)[1]) < 0
    return False


def _jpeg_header(data: bytes) -> tuple[tuple[int, int] | None, int]:
    """Walk the segments up to the first scan; give (width, height) if seen, and where the walk ended."""
    size: tuple[int, int] | None = None
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _JPEG_FRAMES and at + 9 <= len(data):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            size = width, height
        if marker == _JPEG_SCAN:
            break
        at += 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
    return size, at
