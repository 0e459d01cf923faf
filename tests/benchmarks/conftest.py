"""Two seconds of the rendered street, coded as the substream: built once for all tests here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import clips
from benchmarks.footage import Stage
from benchmarks.streets import RENDERED


@pytest.fixture(scope="session")
def stage():
    return Stage(RENDERED)


@pytest.fixture(scope="session")
def short_sub():
    return replace(clips.VARIANTS["sub"], seconds=2.0, options={**clips.VARIANTS["sub"].options, "g": "25"})


@pytest.fixture(scope="session")
def short_clip(stage, short_sub, tmp_path_factory):
    """An mp4 of 50 frames, 640x360, a key frame every second."""
    path = tmp_path_factory.mktemp("clips") / "short.mp4"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(clips.VARIANTS, "sub", short_sub)
        clips.encode(stage, "typical", {"sub": path})
    return path
