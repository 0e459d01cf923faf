from __future__ import annotations

import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from detector.errors import Failure
from detector.pictures import PIXELS_MAX, read_image


@pytest.fixture
def put(tmp_path):
    def write(name: str, data: bytes):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def encoded(kind: str, image) -> bytes:
    return cv2.imencode(kind, image)[1].tobytes()


def smooth(height=60, width=80):
    """Left to right in blue, top to bottom in red: survives JPEG, tells directions apart."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 250, width, dtype=np.uint8)
    image[..., 2] = np.linspace(0, 250, height, dtype=np.uint8)[:, None]
    return image


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".gif"])
def test_the_usual_kinds_whatever_the_name(kind, put):
    image = read_image(put("picture.dat", encoded(kind, smooth())))
    assert image.shape == (60, 80, 3)
    assert image.dtype == np.uint8
    assert not image.flags.writeable
    assert np.abs(image.astype(int) - smooth()).mean() < (
        20 if kind == ".gif" else 8
    )  # a GIF has 256 colours


def test_grey_sixteen_bit_and_transparent_become_bgr(put):
    grey = read_image(put("grey.png", encoded(".png", np.full((5, 7), 90, np.uint8))))
    assert grey.shape == (5, 7, 3)
    assert (grey == 90).all()
    deep = read_image(put("deep.png", encoded(".png", np.full((5, 7, 3), 40_000, np.uint16))))
    assert deep.dtype == np.uint8
    assert abs(int(deep[0, 0, 0]) - 40_000 // 256) <= 1
    clear = np.dstack([smooth(), np.full((60, 80), 128, np.uint8)])
    assert (read_image(put("clear.png", encoded(".png", clear))) == smooth()).all()


def test_one_pixel(put):
    assert read_image(put("one.png", encoded(".png", np.zeros((1, 1, 3), np.uint8)))).shape == (1, 1, 3)


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    tiff = (
        b"MM\x00*"
        + struct.pack(">IH", 8, 1)
        + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
        + b"\x00" * 4
    )
    exif = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_a_phones_picture_is_turned_upright(orientation, turned, put):
    image = read_image(put("phone.jpg", with_exif(encoded(".jpg", smooth()), orientation)))
    wanted = np.rot90(smooth(), turned)
    assert image.shape == wanted.shape
    assert np.abs(image.astype(int) - wanted).mean() < 8


def test_what_follows_the_end_of_a_picture_does_no_harm(put):
    # Phones append a clip to their motion pictures.
    assert read_image(put("motion.jpg", encoded(".jpg", smooth()) + b"\x00\x00ftypmp42" * 50)).shape == (
        60,
        80,
        3,
    )


def noise(height=200, width=200):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".gif"])
@pytest.mark.parametrize("share", [0.98, 0.5, 0.05])
def test_cut_short(kind, share, put, capfd):
    data = encoded(kind, noise())
    with pytest.raises(Failure, match="cut short or damaged; copy it again"):
        read_image(put("cut" + kind, data[: int(len(data) * share)]))
    assert capfd.readouterr().err == ""


def png_header(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\x00" * 1000)
    chunks = [head, body, b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def jpeg_header(width: int, height: int) -> bytes:
    jpeg = bytearray(encoded(".jpg", smooth()))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(jpeg)


@pytest.mark.parametrize(
    "data", [png_header(30_000, 30_000), jpeg_header(65_500, 65_500)], ids=["png", "jpeg"]
)
def test_more_pixels_than_are_read_is_said_before_any_memory_is_taken(data, put):
    with pytest.raises(Failure, match=f"more than the {PIXELS_MAX // 1_000_000} million that are read"):
        read_image(put("bomb", data))


def test_a_damaged_header_is_no_crash(put):
    with pytest.raises(Failure, match="cut short or damaged"):
        read_image(put("damaged.png", png_header(500, 500)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"Dear street,\nthis is a letter.\n" * 9, "is not a picture that can be read"),
        (b"\x00" * 5000, "is not a picture that can be read"),
        (b"\xff\xd8\xff", "JPEG picture that is cut short"),
        (b"\xff\xd8\xff\xe0\x00", "JPEG picture that is cut short"),
        (b"\xff\xd8\xff\xff\xff\xff\xff\xff\xff", "JPEG picture that is cut short"),
        (b"\xff\xd8\xff\xe0\x00\x00" * 99, "JPEG picture that is cut short"),
        (b"\x89PNG\r\n\x1a\n", "PNG picture that is cut short"),
    ],
)
def test_what_is_no_picture(data, says, put):
    with pytest.raises(Failure, match=says):
        read_image(put("thing.jpg", data))


def test_what_is_no_file(tmp_path):
    with pytest.raises(Failure, match="does not exist"):
        read_image(tmp_path / "nothing.jpg")
    with pytest.raises(Failure, match="is a folder; name the pictures in it"):
        read_image(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failure, match="is not a file"):
        read_image(tmp_path / "pipe")
    with pytest.raises(Failure, match="cannot be read"):
        read_image(tmp_path / ("n" * 300))
    with pytest.raises(Failure, match="is not a file name"):
        read_image(tmp_path / "a\0b")
