"""What only a real GPU can show; skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from detector.detector import Detector
from detector.registry import resolve
from detector.types import Detections

torch = pytest.importorskip("torch", reason="needs torch, which is not installed")
pytest.importorskip("ultralytics", reason="needs ultralytics, which is not installed")
CLIP = Path(__file__).parents[2] / "datasets" / "demo" / "street.mp4"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU and a CUDA build")


@pytest.fixture(scope="module")
def gpu() -> Iterator[Detector]:
    with Detector(resolve("street@production"), "ultralytics", None, "f16", "throughput", "cuda:0") as made:
        yield made


@pytest.fixture(scope="module")
def cpu() -> Iterator[Detector]:
    with Detector(resolve("street@production"), "ultralytics", None, "f32", device="cpu") as made:
        yield made


@cache
def frames() -> list[np.ndarray]:
    with av.open(str(CLIP)) as clip:
        return [
            frame.to_ndarray(format="bgr24")
            for number, frame in enumerate(clip.decode(video=0))
            if number % 25 == 0
        ]


def picture(number: int, height: int, width: int) -> np.ndarray:
    return cv2.resize(frames()[number], (width, height), interpolation=cv2.INTER_AREA)


def raw(detector: Detector, pictures) -> np.ndarray:
    return detector._backend.infer(np.stack(pictures))


def test_batches_of_every_size_and_shapes_in_turn_give_what_the_cpu_gives(gpu, cpu):
    # A recording reads anchors that the head drops at the next shape: shapes take turns, twice.
    for _ in range(2):
        for height, width, count in (
            (384, 640, 1),
            (640, 640, 3),
            (384, 640, 5),
            (640, 384, 2),
            (384, 640, 1),
        ):
            pictures = [picture(number, height, width) for number in range(count)]
            got, want = raw(gpu, pictures), np.concatenate([raw(cpu, [each]) for each in pictures])
            for one, whole in zip(got, want, strict=True):
                places = np.argsort(-whole[4:].max(axis=0), kind="stable")[:20]
                assert whole[4:, places[0]].max() > 0.2  # the pictures are not empty to it
                # Of the 20 strongest places the GPU has the same boxes, wherever they stand in its output.
                apart = np.abs(one[:4, :, None] - whole[:4, None, places]).max(axis=0)
                assert np.percentile(apart.min(axis=0), 90) < 4  # pixels, in half precision
            assert abs(got[:, 4:].max() - want[:, 4:].max()) < 0.05


def test_many_threads_get_their_own_boxes_while_sizes_are_still_being_recorded():
    pictures = [picture(number, 384, 640) for number in range(24)]
    with Detector(resolve("street@production"), "ultralytics", None, "f16", "throughput", "cuda:0") as fresh:
        with ThreadPoolExecutor(24) as cameras:
            together = list(cameras.map(lambda each: fresh.detect(each, 0.1), pictures * 4))
        one_by_one = [fresh.detect(each, 0.1) for each in pictures]
        assert max(fresh.batches) > 1
    for number, found in enumerate(together):
        same(found, one_by_one[number % len(pictures)])


def same(found: Detections, other: Detections) -> None:
    strong = other.score > 0.2
    assert strong.any()
    for box, label in zip(other.xyxy[strong], other.label[strong], strict=True):
        near = np.abs(found.xyxy[found.label == label] - box).max(axis=1)
        assert near.min() < 6
