"""Which pictures of a tape a clip shows, and what is decoded for them. Pure: no picture is touched.

The public clip shows key frames, and what was analysed between them as far as the work allows: first how the
thing came, then the latest movement. What was not analysed lay still in every zone; its key frames say so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ingest.sources.packets import Coded, Cut, Mark

DECODED_PX_MAX = 130_000_000
"""Pixels decoded for a public clip besides lone key frames: 2.5 s of 1080p25, all of a substream."""
ALONE_S = 1.0
"""A key frame that nobody analysed is shown where no analysed picture is shown this near to it."""
SOON_S = 0.5
"""What was looked at so soon after a key frame, to see whether something stands, that key frame shows."""

Run: TypeAlias = "tuple[Coded, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is decoded, and what of it is shown.

    Args:
        runs: each a key frame and pictures after it, in decoding order.
        public: marks of the pictures of the public clip. original: of an original that is coded anew.
    """

    runs: tuple[Run, ...]
    public: frozenset[Mark]
    original: frozenset[Mark] = frozenset()


def times_of(cut: Cut, until: datetime) -> dict[int, datetime]:
    """Give the time of each picture of a tape by its presentation time; the last one's is known."""
    step_s = float(cut.codec.time_base)
    return {item.pts: until + timedelta(seconds=(item.pts - cut.until) * step_s) for item in cut.items}


def sparse(
    cut: Cut, analysed: Collection[Mark], came: datetime, until: datetime, wh: tuple[int, int]
) -> Choice:
    """Choose for a public clip alone. The event's own frame is not among it: it is decoded already.

    Args:
        cut: the tape.
        analysed: marks of what was analysed.
        came: when the thing came to rest.
        until: time of the event's own frame.
        wh: width and height of the stream.
    """
    at_of = times_of(cut, until)
    groups = [(group, _moving(group, cut, analysed)) for group in cut.groups()]
    room = DECODED_PX_MAX / (wh[0] * wh[1])
    decoded: set[int] = set()
    coming, others = _by_worth([at_of[group[0].pts] for group, _ in groups], came)
    for number in others:
        group, moving = groups[number]
        groups[number] = group, set() if moving <= _soon_after(group) else moving
    for number in (*coming, *others):
        group, moving = groups[number]
        count = len(_up_to(group, moving))
        if moving and (count <= room or not decoded):
            decoded.add(number)
            room -= count
    shown = {mark for number in decoded for mark in groups[number][1]}
    keys = [group[0] for group, _ in groups if cut.since <= group[0].pts < cut.until]
    shown |= _with_keys(keys, shown, analysed, at_of, until)
    runs = []
    for number, (group, moving) in enumerate(groups):
        if number in decoded:
            runs.append(_up_to(group, moving))
        elif group[0].mark in shown:
            runs.append(group[:1])
    return Choice(tuple(runs), frozenset(shown))


def dense(cut: Cut, analysed: Collection[Mark], until: datetime, step_s: float) -> Choice:
    """Choose for a public clip and for an original that is coded anew: everything is decoded."""
    original = chosen(cut, set(analysed), step_s) - {(cut.items[0].stream, cut.until)}
    at_of = times_of(cut, until)
    shown = {mark for mark in original if mark in analysed}
    keys = [item for item in cut.items if item.key and item.mark in original]
    shown |= _with_keys(keys, shown, analysed, at_of, until)
    return Choice((cut.items,), frozenset(shown), frozenset(original))


def chosen(cut: Cut, analysed: Collection[Mark], step_s: float) -> set[Mark]:
    """Choose the pictures of a full clip: all that were analysed, and others where these are too far apart.

    Args:
        cut: the tape.
        analysed: marks of what was analysed.
        step_s: seconds between two pictures.
    """
    items = sorted((item for item in cut.items if cut.since <= item.pts <= cut.until), key=_pts)
    taken: set[Mark] = set()
    last_s: float | None = None
    upcoming = [item.seconds for item in items if item.mark in analysed]
    for item in items:
        while upcoming and upcoming[0] <= item.seconds:
            upcoming.pop(0)
        next_s = upcoming[0] if upcoming else float("inf")
        due = last_s is None or item.seconds - last_s >= step_s - 0.002
        if item.mark in analysed or (due and next_s - item.seconds >= 0.6 * step_s):
            taken.add(item.mark)
            last_s = item.seconds
    return taken


def _moving(group: Run, cut: Cut, analysed: Collection[Mark]) -> set[Mark]:
    """Give what was analysed of a group besides its key frame and the event's own frame."""
    return {
        item.mark
        for item in group[1:]
        if item.mark in analysed and max(cut.since, group[0].pts) <= item.pts < cut.until
    }


def _up_to(group: Run, wanted: set[Mark]) -> Run:
    """Give a group up to the last picture that is wanted."""
    last = max((place for place, item in enumerate(group) if item.mark in wanted), default=0)
    return group[: last + 1]


def _soon_after(group: Run) -> set[Mark]:
    """Give what hardly differs from a group's key frame, and for which alone nothing need be decoded."""
    return {item.mark for item in group[1:] if item.seconds - group[0].seconds <= SOON_S}


def _by_worth(begins: list[datetime], came: datetime) -> tuple[list[int], list[int]]:
    """Order groups: the one in which the thing came to rest and the one before, then the latest first."""
    there = [number for number, at in enumerate(begins) if at <= came][-1:]
    first = [number for place in there for number in (place, place - 1) if number >= 0]
    return first, [number for number in reversed(range(len(begins))) if number not in first]


def _with_keys(
    keys: list[Coded],
    shown: set[Mark],
    analysed: Collection[Mark],
    at_of: dict[int, datetime],
    until: datetime,
) -> set[Mark]:
    """Add key frames: all that were analysed, others where there is nothing else."""
    taken = shown | {key.mark for key in keys if key.mark in analysed}
    times = [until, *(at_of[pts] for _, pts in taken)]
    alone = timedelta(seconds=ALONE_S)
    for key in keys:
        at = at_of[key.pts]
        if key.mark not in taken and all(abs(at - other) >= alone for other in times):
            taken.add(key.mark)
            times.append(at)
    return taken


def _pts(item: Coded) -> int:
    return item.pts
