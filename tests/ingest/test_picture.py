"""A picture that is kept moves into memory of its own and stays what it was."""

from pathlib import Path

import av
import numpy as np
import pytest

from ingest.sources.picture import DecodedPicture
from tests.videos import make_video, regular


def first_of(path: Path) -> DecodedPicture:
    with av.open(str(path)) as container:
        return DecodedPicture(next(container.decode(video=0)))


@pytest.mark.parametrize("wh", [(320, 180), (318, 178)])
def test_a_settled_picture_is_the_same(tmp_path: Path, wh: tuple[int, int]) -> None:
    path = make_video(tmp_path / "a.mp4", regular(3, 25), wh, corner=True)
    one, other = first_of(path), first_of(path)
    other.settle()
    other.settle()
    assert other.wh == one.wh
    assert other.matrix == one.matrix
    assert np.array_equal(one.bgr(), other.bgr())
    assert np.array_equal(one.luma(), other.luma())
    assert np.array_equal(one.i420((160, 90)), other.i420((160, 90)))
    assert one.luma().ctypes.data != other.luma().ctypes.data


@pytest.mark.parametrize("wh", [(320, 180), (642, 362), (318, 178)])
def test_planes_as_a_gpu_gives_them_are_read_as_those_of_a_cpu(tmp_path: Path, wh: tuple[int, int]) -> None:
    path = make_video(tmp_path / "a.mp4", regular(3, 25), wh, corner=True)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    planar, paired = DecodedPicture(frame), DecodedPicture(frame.reformat(format="nv12"))
    assert np.array_equal(planar.luma(), paired.luma())
    for one, other in (
        (planar.i420((160, 90)), paired.i420((160, 90))),
        (planar.canvas(160, 32)[0], paired.canvas(160, 32)[0]),
        (planar.smaller(100), paired.smaller(100)),
    ):
        assert np.abs(one.astype(int) - other).max() <= 3  # two planes are made small in one go
    for _ in range(2):  # swscale rounds the colours of pairs another way, and not the same in other memory
        assert np.abs(planar.bgr().astype(int) - paired.bgr()).mean() < 1
        paired.settle()
