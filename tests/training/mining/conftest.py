from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from detector.types import Detections

NAMES = ("car", "litter")


def noise(seed: int, size_px=(96, 64), colour=(90, 90, 90)) -> np.ndarray:
    """Give a picture of coarse blocks, another for every seed."""
    blocks = np.random.default_rng(seed).integers(0, 160, (8, 12, 3))
    small = np.clip(blocks + np.array(colour) - 80, 0, 255).astype(np.uint8)
    return cv2.resize(small, size_px, interpolation=cv2.INTER_NEAREST)


def detections(*rows) -> Detections:
    """Give boxes from (name, score, xyxy)."""
    return Detections(
        np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([NAMES.index(row[0]) for row in rows], np.int64),
        NAMES,
    )


def write_clip(path, images, fps=10) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "18"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())


@pytest.fixture(name="noise")
def noise_fixture():
    return noise


@pytest.fixture(name="detections")
def detections_fixture():
    return detections


@pytest.fixture(name="write_clip")
def write_clip_fixture():
    return write_clip
