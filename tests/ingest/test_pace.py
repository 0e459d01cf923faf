"""A live camera's reader lets pictures that are not due collect, and is there when one is."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from ingest.gate import Rate
from ingest.sources import SourceSettings
from ingest.sources.packets import Coded
from ingest.sources.rtsp import REST_S, RtspSource


def coded(seconds: float, *, fresh: bool = True) -> Coded:
    return Coded(cast(Any, None), 0, seconds, key=False, size=1, fresh=fresh)


def test_asking_for_the_next_slot_begins_none() -> None:
    rate = Rate(5.0)
    assert rate.next_s(101.0) == pytest.approx(101.2)
    assert rate.awaits(100.0)
    assert rate.due(100.0)  # an earlier frame that is looked at later
    assert rate.next_s(100.0) == pytest.approx(100.2)


def test_the_next_slot_begins_where_due_says_so() -> None:
    rate = Rate(5.0)
    assert rate.due(100.0)
    assert [round(rate.next_s(at), 6) for at in (100.0, 100.16, 100.2)] == [100.2, 100.2, 100.4]
    assert not rate.due(100.19)
    assert rate.due(rate.next_s(100.16))


def took(source: RtspSource, picture: Coded) -> float:
    began = time.perf_counter()
    source._rest(picture)
    return time.perf_counter() - began


def test_a_reader_that_has_caught_up_rests_until_the_next_picture_is_due() -> None:
    source = RtspSource("rtsp://127.0.0.1:1/", "a", SourceSettings(fps=5.0))
    now = time.time()
    source._rate.due(now)
    assert took(source, coded(now)) >= REST_S[1] / 2


@pytest.mark.parametrize(("behind_s", "fresh"), [(1.0, True), (0.0, False)], ids=["behind", "old pictures"])
def test_a_reader_that_has_not_goes_on(behind_s: float, fresh: bool) -> None:
    source = RtspSource("rtsp://127.0.0.1:1/", "a", SourceSettings(fps=5.0))
    now = time.time()
    source._rate.due(now - behind_s)
    assert min(took(source, coded(now - behind_s, fresh=fresh)) for _ in range(5)) < REST_S[0]


def test_one_that_is_stopped_does_not_rest() -> None:
    source = RtspSource("rtsp://127.0.0.1:1/", "a", SourceSettings(fps=1.0))
    source.stop()
    now = time.time()
    source._rate.due(now)
    assert min(took(source, coded(now)) for _ in range(5)) < REST_S[0]
