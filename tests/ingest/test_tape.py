"""The tape: bounded, begins with a key frame, gives back what was seen."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from ingest.sources import SourceSettings, open_source
from ingest.sources.packets import Codec, Coded, Tape
from tests.videos import make_video, regular

CODEC = Codec("h264", b"", Fraction(1, 90_000))


def coded(number: int, *, key: bool, size: int = 1000) -> Coded:
    packet: Any = None
    return Coded(packet, number * 3600, number / 25, key, size, number, stream=1)


def filled(count: int, gap: int, tape: Tape, size: int = 1000) -> Tape:
    tape.begin(CODEC)
    for number in range(count):
        tape.add(coded(number, key=number % gap == 0, size=size))
    return tape


def test_holds_the_last_seconds_and_not_much_more() -> None:
    tape = filled(1000, 50, Tape(keep_s=10.0))
    assert tape.bytes <= (250 + 50) * 1000
    cut = tape.cut((1, 999 * 3600), 10.0)
    assert cut is not None
    assert cut.items[0].key
    assert cut.items[0].pts <= cut.since == (999 - 250) * 3600
    assert cut.items[-1].pts == cut.until == 999 * 3600


def test_cut_holds_no_group_too_many() -> None:
    cut = filled(1000, 50, Tape(keep_s=10.0)).cut((1, 960 * 3600), 1.0)
    assert cut is not None
    assert [cut.items[0].number, cut.items[-1].number] == [900, 960]


def test_bytes_are_bounded_whatever_comes() -> None:
    chance = random.Random(5)
    tape = Tape(keep_s=10.0, bytes_max=200_000)
    tape.begin(CODEC)
    for number in range(5000):
        tape.add(coded(number, key=chance.random() < 0.01, size=chance.randrange(100, 30_000)))
        assert tape.bytes <= 200_000


def test_group_that_is_too_large_is_given_up_until_the_next_key_frame() -> None:
    tape = filled(400, 1000, Tape(keep_s=10.0, bytes_max=200_000))
    assert not tape.holds((1, 399 * 3600))
    assert tape.bytes == 0
    tape.add(coded(400, key=True))
    assert tape.holds((1, 400 * 3600))


def test_pictures_of_another_connection_are_not_found() -> None:
    tape = filled(100, 25, Tape())
    assert tape.holds((1, 90 * 3600))
    tape.begin(CODEC)
    assert not tape.holds((1, 90 * 3600))
    assert tape.cut((1, 90 * 3600), 1.0) is None
    assert tape.key_of((1, 90 * 3600)) is None


def test_times_that_start_again_begin_anew() -> None:
    tape = filled(100, 25, Tape())
    tape.add(replace(coded(0, key=True), seconds=4.0))
    assert not tape.holds((1, 90 * 3600))
    assert tape.holds((1, 0))


@pytest.mark.parametrize("options", [{"bf": "0", "g": "25"}, {"bf": "3", "g": "25"}])
def test_what_is_decoded_from_the_tape_is_what_was_seen(tmp_path: Path, options: dict[str, str]) -> None:
    path = make_video(tmp_path / "a.mp4", regular(100, 25.0), options=options)
    with open_source(str(path), "c", settings=SourceSettings(fps=5.0, tape_s=3.0)) as source:
        frames = list(source.frames())
        assert source.tape is not None
        last = frames[-1]
        cut = source.tape.cut(last.mark, 1.9)
    assert cut is not None
    greys = {
        item.pts: round(float(picture.to_ndarray(format="gray").mean())) for item, picture in cut.pictures()
    }
    for frame in frames[-8:]:
        assert frame.mark is not None
        assert greys[frame.mark[1]] == pytest.approx(float(frame.image.mean()), abs=20)
    assert max(greys) == last.mark[1]
    assert len(greys) == pytest.approx(1.9 * 25, abs=1)
