"""Weather, lens and encoder: same picture size, repeatable, does what its name says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.scenes import weather


def street() -> np.ndarray:
    picture = np.full((90, 121, 3), 150, np.uint8)
    picture[60:] = 90
    picture[20:50, 30:60] = (40, 60, 200)
    picture[:, 80] = 20
    return picture


EVERY = [
    weather.night, weather.rain, weather.backlight, weather.fog, weather.low_bit_rate, weather.defocus,
    weather.motion_blur, weather.noise, weather.exposure, weather.small_camera, weather.any_weather,
]  # fmt: skip


@pytest.mark.parametrize("effect", EVERY, ids=lambda effect: effect.__name__)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_repeatable_and_of_the_same_size(effect, seed) -> None:
    before = street()
    once, again = (effect(before, np.random.default_rng(seed)) for _ in range(2))
    assert once.shape == before.shape
    assert once.dtype == np.uint8
    assert (once == again).all()
    assert (before == street()).all()


def test_night_is_darker_and_fog_flatter() -> None:
    day = street()
    assert weather.night(day, np.random.default_rng(1)).mean() < 0.9 * day.mean()
    assert weather.fog(day, np.random.default_rng(1)).std() < day.std()


@pytest.mark.parametrize("effect", [weather.defocus, weather.motion_blur, weather.small_camera])
def test_blur_spreads_an_edge_but_does_not_move_it(effect) -> None:
    blurred = effect(street(), np.random.default_rng(4)).astype(float)
    line = 150 - blurred[10, 70:92].mean(1)
    assert line.max() < 120
    middle = (line.clip(0) * np.arange(70, 92)).sum() / line.clip(0).sum()
    assert abs(middle - 80) < 0.7


def test_coarser_encoding_is_further_from_the_picture() -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8), (0, 0), 1)
    fine, coarse = (np.abs(weather.jpeg(picture, q).astype(int) - picture).mean() for q in (95, 15))
    assert fine < coarse
    fine, coarse = (np.abs(weather.h264(picture, c).astype(int) - picture).mean() for c in (12, 40))
    assert fine < coarse
