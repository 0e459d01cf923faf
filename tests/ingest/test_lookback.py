"""The state machine alone: whatever comes, nothing that is needed is lost and nothing grows."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.lookback import Do, LookBack, Mode


@dataclass(frozen=True)
class Item:
    number: int
    seconds: float
    key: bool
    size: int = 1000


def stream(gaps: list[int], fps: float = 25.0) -> list[Item]:
    """Give groups of so many pictures each."""
    items: list[Item] = []
    for gap in gaps:
        items += [Item(len(items) + place, (len(items) + place) / fps, place == 0) for place in range(gap)]
    return items


def settled(look: LookBack[Item], items: list[Item]) -> list[Item]:
    """Take two groups and rest."""
    for item in items[:51]:
        look.take(item)
    assert look.rest()
    return items[51:]


def test_follows_until_it_may_rest() -> None:
    look: LookBack[Item] = LookBack()
    assert {look.take(item) for item in stream([25] * 3)} == {Do.DECODE}
    assert look.rest()
    assert look.mode is Mode.LOOK


def test_does_not_rest_while_key_frames_are_far_apart() -> None:
    look: LookBack[Item] = LookBack(gap_max_s=3.0)
    items = stream([100, 25, 25])
    for item in items[:101]:
        look.take(item)
    assert not look.rest()
    for item in items[101:126]:
        look.take(item)
    assert look.rest()


def test_only_key_frames_are_looked_at() -> None:
    look: LookBack[Item] = LookBack()
    rest = settled(look, stream([25] * 6))
    said = []
    for item in rest:
        said.append(look.take(item))
        if said[-1] is Do.PROBE:
            look.unchanged()
    assert said.count(Do.PROBE) == 3
    assert said.count(Do.KEEP) == len(rest) - 3


def test_change_gives_back_all_since_the_key_frame_before() -> None:
    look: LookBack[Item] = LookBack()
    rest = settled(look, stream([25] * 5))
    for item in rest:
        if look.take(item) is Do.PROBE:
            break
    replay = look.changed()
    assert [item.number for item in replay] == list(range(50, 76))
    assert look.mode is Mode.FOLLOW
    assert look.take(rest[rest.index(item) + 1]) is Do.DECODE


def test_long_group_is_not_waited_for() -> None:
    look: LookBack[Item] = LookBack(gap_max_s=3.0)
    rest = settled(look, stream([25, 25, 400]))
    place = next(place for place, item in enumerate(rest) if look.take(item) is Do.REPLAY)
    assert rest[place].seconds == pytest.approx(2.0 + 3.04, abs=0.05)
    assert [item.number for item in look.replay()] == list(range(50, rest[place].number + 1))
    assert {look.take(item) for item in rest[place + 1 :]} == {Do.DECODE}
    assert not look.rest()


def test_zero_gap_always_follows() -> None:
    look: LookBack[Item] = LookBack(gap_max_s=0.0)
    assert {look.take(item) for item in stream([25] * 3)} == {Do.DECODE}
    assert not look.rest()


def test_begins_with_a_key_frame_unless_none_comes() -> None:
    look: LookBack[Item] = LookBack()
    items = [Item(number, number / 25, key=False) for number in range(120)]
    said = [look.take(item) for item in items]
    assert said[:75] == [Do.DROP] * 75
    assert said[-1] is Do.DECODE


def test_thin_looks_at_key_frames_and_resumes_at_one() -> None:
    look: LookBack[Item] = LookBack()
    items = stream([25] * 4)
    look.take(items[0])
    look.thin()
    assert [look.take(item) for item in items[1:26]] == [Do.DROP] * 24 + [Do.PROBE]
    look.unchanged()
    assert look.mode is Mode.THIN
    look.resume()
    assert [look.take(item) for item in items[26:51]] == [Do.DROP] * 24 + [Do.DECODE]


@given(
    gaps=st.lists(st.integers(1, 200), min_size=1, max_size=12),
    answers=st.lists(st.sampled_from(["changed", "unchanged"]), min_size=1, max_size=20),
    rests=st.sets(st.integers(0, 600), max_size=40),
    size=st.integers(10, 60_000),
)
def test_everything_decoded_is_decodable_and_memory_is_bounded(
    gaps: list[int], answers: list[str], rests: set[int], size: int
) -> None:
    """Every picture decoded has been preceded by all others since its key frame; what is kept is bounded."""
    items = [Item(item.number, item.seconds, item.key, size) for item in stream(gaps)]
    look: LookBack[Item] = LookBack(bytes_max=2_000_000, count_max=100)
    decoder: list[int] = []
    probes = 0
    for item in items:
        said = look.take(item)
        if said is Do.DECODE:
            assert item.key or decoder[-1] == item.number - 1
            decoder.append(item.number)
        elif said is Do.PROBE:
            probes += 1
            if answers[probes % len(answers)] == "changed":
                replay = look.changed()
                assert replay[0].key
                assert [one.number for one in replay] == list(range(replay[0].number, item.number + 1))
                decoder += [one.number for one in replay]
            else:
                look.unchanged()
        elif said is Do.REPLAY:
            replay = look.replay()
            assert replay[0].key
            assert [one.number for one in replay] == list(range(replay[0].number, item.number + 1))
            decoder += [one.number for one in replay]
        if item.number in rests:
            look.rest()
        assert look.kept_bytes <= 2_000_000 + 2 * size
        assert len(look._kept) <= 102


@given(st.lists(st.integers(1, 75), min_size=4, max_size=10), st.integers(0, 9))
def test_what_changes_is_seen_from_the_key_frame_before_it(gaps: list[int], changed_group: int) -> None:
    """Wherever a change happens while resting, all pictures since the key frame before it are decoded."""
    items = stream(gaps)
    look: LookBack[Item] = LookBack()
    keys = [item.number for item in items if item.key]
    change_at = keys[changed_group % len(keys)] + 1
    seen: set[int] = set()
    for item in items:
        said = look.take(item)
        if said is Do.DECODE:
            seen.add(item.number)
        elif said is Do.PROBE:
            if item.number >= change_at:
                seen |= {one.number for one in look.changed()}
            else:
                look.unchanged()
        if item.number < change_at:
            look.rest()
    following = [key for key in keys if key >= change_at]
    if following:
        assert set(range(change_at, following[0] + 1)) <= seen
