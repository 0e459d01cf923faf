"""Val lists that are made up: labelled boxes, and a detector that finds most of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.evaluation.lists import ValList
from training.labels import Taxonomy, load_taxonomy
from training.metrics import LabelledPicture

SIZE = (320, 240)


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


def a_picture(random: np.random.Generator, labels: list[int]) -> LabelledPicture:
    n = int(random.integers(1, 6))
    low = random.uniform(0, 150, (n, 2))
    truth = np.concatenate([low, low + random.uniform(12, 85, (n, 2))], axis=1)
    classes = random.choice(labels, n)
    seen = random.random(n) < 0.8
    found = truth[seen] + random.normal(0, 2, (int(seen.sum()), 4))
    made_up = np.concatenate([start := random.uniform(0, 200, (2, 2)), start + 40], axis=1)
    said = np.concatenate([classes[seen], random.choice(labels, 2)])
    return LabelledPicture(
        SIZE,
        truth,
        classes.astype(np.int64),
        np.concatenate([found, made_up]),
        np.concatenate([random.uniform(0.3, 1, len(found)), random.uniform(0.05, 0.6, 2)]),
        said.astype(np.int64),
    )


@pytest.fixture
def make_list(tmp_path: Path, taxonomy: Taxonomy) -> Callable[..., ValList]:
    def make(folder: str, names: tuple[str, ...], count: int = 30, seed: int = 0) -> ValList:
        random = np.random.default_rng(seed)
        labels = [taxonomy.names.index(name) for name in names]
        pictures = tuple(a_picture(random, labels) for _ in range(count))
        (tmp_path / folder).mkdir()
        files = []
        for number in range(count):
            files.append(tmp_path / folder / f"{number}.png")
            cv2.imwrite(str(files[-1]), np.full((SIZE[1], SIZE[0], 3), 5 * number, np.uint8))
        light = tuple(5.0 * number for number in range(count))
        return ValList(folder, frozenset(names), tuple(files), pictures, pictures, light)

    return make
