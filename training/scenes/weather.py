"""What weather, lens, sensor and encoder do to a picture: pure functions of 8-bit BGR pictures (H, W, 3).

Every function takes the random generator it draws from; none moves a pixel's content by more than the blur it
adds, so boxes stay right. Nothing here knows of classes or labels.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Effect = Callable[[Picture, np.random.Generator], Picture]


def _bytes(picture: Floats) -> Picture:
    return np.asarray(np.clip(picture + 0.5, 0, 255), np.uint8)


def _glow(shape: tuple[int, int], x: float, y: float, radius: float) -> Floats:
    """A round light (h, w), 1 in the middle, falling off over `radius` pixels."""
    yy, xx = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return np.asarray(1 / (1 + ((xx - x) ** 2 + (yy - y) ** 2) / radius**2), np.float32)


def night(picture: Picture, rng: np.random.Generator) -> Picture:
    """Dark, with a few street lamps, their colour, and a camera's amplified noise."""
    h, w = picture.shape[:2]
    linear = (picture.astype(np.float32) / 255) ** 2.2
    lamp = np.array([rng.uniform(0.45, 0.85), rng.uniform(0.75, 0.95), 1.0], np.float32)
    light = np.full((h, w), rng.uniform(0.05, 0.16), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        radius = rng.uniform(0.2, 0.6) * w
        light += rng.uniform(0.15, 0.5) * _glow((h, w), rng.uniform(0, w), rng.uniform(-0.2, 0.8) * h, radius)
    dark = linear * light[..., None] * lamp
    grey = np.asarray(dark @ np.array([0.11, 0.59, 0.3], np.float32), np.float32)[..., None]
    dark = grey + (dark - grey) * np.float32(rng.uniform(0.4, 0.9))
    dark *= rng.uniform(0.8, 1.3)
    shown = np.asarray(255 * np.clip(dark, 0, 1) ** np.float32(1 / 2.2), np.float32)
    return noise(_bytes(shown), rng, rng.uniform(2, 9))


def rain(picture: Picture, rng: np.random.Generator) -> Picture:
    """Grey light, streaks of drops, and now and then a drop on the lens."""
    h, w = picture.shape[:2]
    dull = picture.astype(np.float32)
    grey = dull.mean(2, keepdims=True)
    dull = (grey + (dull - grey) * rng.uniform(0.5, 0.85)) * rng.uniform(0.65, 0.9) + rng.uniform(5, 25)
    streaks = np.zeros((h, w), np.uint8)
    slant, longest = rng.normal(0, 0.15), rng.uniform(0.02, 0.06) * h
    for _ in range(int(rng.integers(60, 350))):
        x, y, reach = rng.uniform(0, w), rng.uniform(-0.05, 1) * h, longest * rng.uniform(0.4, 1)
        to = (int((x + slant * reach) * 8), int((y + reach) * 8))
        cv2.line(streaks, (int(x * 8), int(y * 8)), to, int(rng.integers(60, 200)), 1, cv2.LINE_AA, 3)
    soft = cv2.GaussianBlur(streaks, (0, 0), 0.7).astype(np.float32)[..., None] / 255
    wet = dull + (215 - dull) * soft * rng.uniform(0.25, 0.6)
    return _with_drops(_bytes(wet), rng) if rng.random() < 0.25 else _bytes(wet)


def _with_drops(picture: Picture, rng: np.random.Generator) -> Picture:
    blurred = cv2.GaussianBlur(picture, (0, 0), 6)
    mask = np.zeros(picture.shape[:2], np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        middle = (int(rng.integers(0, picture.shape[1])), int(rng.integers(0, picture.shape[0])))
        cv2.circle(mask, middle, int(rng.integers(6, 22)), 255, -1)
    cover = cv2.GaussianBlur(mask, (0, 0), 2.5).astype(np.float32)[..., None] / 255
    return _bytes(picture + (blurred.astype(np.float32) - picture) * cover)


def backlight(picture: Picture, rng: np.random.Generator) -> Picture:
    """The sun at the upper edge: a veil of glare, and everything below in shade."""
    h, w = picture.shape[:2]
    shade = picture.astype(np.float32) * rng.uniform(0.5, 0.85)
    glare = _glow((h, w), rng.uniform(0, w), rng.uniform(-0.3, 0.15) * h, rng.uniform(0.15, 0.4) * w)
    tint = np.array([rng.uniform(0.75, 1), rng.uniform(0.9, 1), 1.0], np.float32)
    veil = rng.uniform(10, 30) + glare[..., None] * tint * rng.uniform(90, 190)
    return _bytes(shade + veil)


def fog(picture: Picture, rng: np.random.Generator) -> Picture:
    """Haze: less contrast, more of it further up the picture."""
    share = np.linspace(rng.uniform(0.2, 0.5), rng.uniform(0.0, 0.15), picture.shape[0], dtype=np.float32)
    veil = share[:, None, None]
    return _bytes(picture * (1 - veil) + rng.uniform(170, 220) * veil)


def low_bit_rate(picture: Picture, rng: np.random.Generator) -> Picture:
    """What a starved encoder leaves: JPEG of quality 15 to 40, or one H.264 picture at a coarse quantiser."""
    if rng.random() < 0.6:
        return jpeg(picture, int(rng.integers(15, 41)))
    return h264(picture, int(rng.integers(28, 39)))


def jpeg(picture: Picture, quality: int) -> Picture:
    """Encode as JPEG of this quality and decode."""
    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def h264(picture: Picture, crf: int) -> Picture:
    """Encode as one H.264 picture of this constant rate factor and decode; odd sizes lose nothing."""
    h, w = picture.shape[:2]
    even = cv2.copyMakeBorder(picture, 0, h % 2, 0, w % 2, cv2.BORDER_REPLICATE)
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=Fraction(25), options={"crf": str(crf), "preset": "veryfast"})
        stream.width, stream.height = even.shape[1], even.shape[0]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="bgr24")
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    held.seek(0)
    with av.open(held, "r", format="mp4") as coded:
        decoded = next(coded.decode(video=0)).to_ndarray(format="bgr24")
    return np.ascontiguousarray(decoded[:h, :w])


def defocus(picture: Picture, rng: np.random.Generator, radius_px: float | None = None) -> Picture:
    """A lens out of focus: every point becomes a disc."""
    radius = rng.uniform(0.8, 2.2) if radius_px is None else radius_px
    reach = int(np.ceil(radius))
    yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(xx, yy), 0, 1).astype(np.float32)
    return np.asarray(cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE), np.uint8)


def motion_blur(picture: Picture, rng: np.random.Generator) -> Picture:
    """A camera that moved while it exposed, as on a patrol vehicle: mostly sideways."""
    length, angle = rng.uniform(2, 6), rng.normal(0, 0.35)
    reach = int(np.ceil(length))
    line = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for at in np.linspace(-length / 2, length / 2, 48):
        line[round(reach + at * np.sin(angle)), round(reach + at * np.cos(angle))] += 1
    return np.asarray(cv2.filter2D(picture, -1, line / line.sum(), borderType=cv2.BORDER_REPLICATE), np.uint8)


def noise(picture: Picture, rng: np.random.Generator, sigma: float | None = None) -> Picture:
    """Sensor noise of sigma grey levels, coarser in colour than in brightness."""
    level = rng.uniform(2, 9) if sigma is None else sigma
    h, w = picture.shape[:2]
    fine = rng.standard_normal((h, w, 1), np.float32)
    coarse = rng.standard_normal((h // 2 + 1, w // 2 + 1, 3), np.float32)
    colour = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR)
    return _bytes(picture + level * (0.8 * fine + 0.7 * colour))


def exposure(picture: Picture, rng: np.random.Generator) -> Picture:
    """Another exposure, white balance and contrast."""
    gains = np.array([rng.normal(1, 0.05), 1.0, rng.normal(1, 0.05)]) * rng.uniform(0.75, 1.25)
    contrast = rng.uniform(0.85, 1.15)
    return _bytes(((picture * gains - 118) * contrast + 118).astype(np.float32))


def small_camera(picture: Picture, rng: np.random.Generator) -> Picture:
    """Fewer pixels than the picture has, scaled up again, as of a cheap camera or a digital zoom."""
    h, w = picture.shape[:2]
    part = rng.uniform(0.5, 0.85)
    small = cv2.resize(picture, (int(w * part), int(h * part)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR), np.uint8)


SKIES: tuple[tuple[float, Effect], ...] = ((0.14, night), (0.1, rain), (0.08, backlight), (0.05, fog))
LENSES: tuple[tuple[float, Effect], ...] = ((0.1, defocus), (0.08, motion_blur), (0.08, small_camera))


def _one_of(choices: tuple[tuple[float, Effect], ...], rng: np.random.Generator) -> Effect | None:
    at = rng.random()
    for share, effect in choices:
        if at < share:
            return effect
        at -= share
    return None


def any_weather(picture: Picture, rng: np.random.Generator) -> Picture:
    """Put a picture through one sky, one lens, a sensor and an encoder, each drawn at random; often none."""
    if (sky := _one_of(SKIES, rng)) is not None:
        picture = sky(picture, rng)
    elif rng.random() < 0.6:
        picture = exposure(picture, rng)
    if (lens := _one_of(LENSES, rng)) is not None:
        picture = lens(picture, rng)
    if rng.random() < 0.25:
        picture = noise(picture, rng)
    if rng.random() < 0.3:
        picture = low_bit_rate(picture, rng)
    return picture
