"""What the looks at a running `serve` mean: ages, drops, what holds, events that became cases. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from ingest.fleet.ages import quantile, share_within

AGE_MAX_S = 1.0
LOST_MAX = 0.01
"""Share of due frames that a camera may lose by being late and still hold."""
WATCHED = frozenset({"running", "degraded"})
LOST_REASONS = ("late", "stale", "overload", "undecodable")
SAME_S = 15.0
"""What comes to a place so soon after something left it is taken for the same thing."""
MATCH_S = 2.5
"""A case's start may differ so much from the truth's, by the wall clock."""

Table = Mapping[str, Any]


def percentiles(values: Sequence[float], of: Sequence[float] = (50, 95, 100)) -> list[float] | None:
    """Give percentiles rounded to ms; None without values.

    >>> percentiles([1.0, 2.0, 3.0], (50, 100))
    [2.0, 3.0]
    """
    return [round(float(v), 3) for v in np.percentile(values, of)] if len(values) else None


def ages(first: Table, last: Table, what: str = "ages") -> dict[str, int]:
    """Give how many frames were analysed between two looks at a camera, by class of age, or of "lags"."""
    grown_by = {end: n - first[what].get(end, 0) for end, n in last[what].items()}
    return {end: n for end, n in grown_by.items() if n > 0}


def summed(rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Give the sums of several counts by name."""
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row)
    return dict(total)


def in_time(counted: Mapping[str, int]) -> float | None:
    """Give the share of the analysed frames that were at most AGE_MAX_S old; None without frames."""
    share = share_within(counted, AGE_MAX_S)
    return None if share is None else round(share, 4)


def grown(first: Table, last: Table) -> dict[str, int]:
    """Give how much a camera's counters grew: frames in, analysed, dropped by reason; 0 if it began anew."""
    dropped: Counter[str] = Counter(last["dropped"])
    dropped.subtract(first["dropped"])
    return {
        "frames_in": max(0, last["frames_in"] - first["frames_in"]),
        "analysed": max(0, last["analysed"] - first["analysed"]),
        **{reason: count for reason, count in dropped.items() if count > 0},
    }


@dataclass(frozen=True)
class LetIn:
    """What admission made of the cameras: ids of those that run, and the sentences of those it refuses."""

    running: tuple[str, ...]
    refused: Mapping[str, str]
    others: Mapping[str, str]

    @property
    def decided(self) -> bool:
        """Every camera runs or is refused."""
        return not self.others


def let_in(cameras: Mapping[str, Table], names: Sequence[str]) -> LetIn:
    """Sort the cameras of a look.

    >>> rows = {"a": {"state": "running", "fault": ""}, "b": {"state": "refused", "fault": "no room: ..."}}
    >>> let_in(rows, ["a", "b", "c"])
    LetIn(running=('a',), refused={'b': 'no room: ...'}, others={'c': 'not in the status'})
    """
    states = {name: cameras[name]["state"] if name in cameras else "not in the status" for name in names}
    return LetIn(
        tuple(name for name, state in states.items() if state in WATCHED),
        {name: cameras[name]["fault"] for name, state in states.items() if state == "refused"},
        {name: state for name, state in states.items() if state not in {*WATCHED, "refused"}},
    )


def watched(looks: Sequence[Mapping[str, Table]]) -> float:
    """Give how many cameras were watched, on average over the looks; 0 without looks."""
    counts = [sum(row["state"] in WATCHED for row in look.values()) for look in looks]
    return round(sum(counts) / len(counts), 2) if counts else 0.0


@dataclass(frozen=True)
class Held:
    """How one camera did.

    Args:
        camera: its id. holds: see `held`. ages, lags: of its analysed frames, by class. lost: share of due
            frames lost. counts: see `grown`. states: all that it was in.
    """

    camera: str
    holds: bool
    ages: dict[str, int]
    lags: dict[str, int]
    lost: float
    counts: dict[str, int]
    states: tuple[str, ...]

    @property
    def age_p95_s(self) -> float | None:
        """95 % of its analysed frames were not older; None without frames."""
        return quantile(self.ages, 0.95)


def held(looks: Sequence[Mapping[str, Table]], camera: str, seconds: float, camera_fps: float = 25.0) -> Held:
    """Say whether a camera held: always running, its frames all came, at most LOST_MAX of those due lost."""
    rows = [look[camera] for look in looks if camera in look]
    if len(rows) < 2 or len(rows) < len(looks):
        states = tuple(sorted({row["state"] for row in rows}))
        return Held(camera, holds=False, ages={}, lags={}, lost=1.0, counts={}, states=states)
    counts = grown(rows[0], rows[-1])
    lost = sum(counts.get(reason, 0) for reason in LOST_REASONS)
    share = lost / max(1, lost + counts["analysed"] + counts.get("still", 0))
    states = tuple(sorted({row["state"] for row in rows}))
    came = counts["frames_in"] >= 0.95 * seconds * camera_fps
    ok = states == ("running",) and came and share <= LOST_MAX
    return Held(
        camera, ok, ages(rows[0], rows[-1]), ages(rows[0], rows[-1], "lags"), round(share, 4), counts, states
    )


def keep_up(rows: Sequence[Held]) -> bool:
    """Say whether every camera holds and 95 % of all analyses were at most AGE_MAX_S behind the camera.

    This is what more cameras change; ages of frames that were looked back on are old with one camera, too.
    """
    share = in_time(summed(row.lags for row in rows))
    return all(row.holds for row in rows) and share is not None and share >= 0.95


def all_hold(rows: Sequence[Held]) -> bool:
    """Say whether a rate is held: by every camera, and 95 % of all analysed frames in time."""
    share = in_time(summed(row.ages for row in rows))
    return all(row.holds for row in rows) and share is not None and share >= 0.95


def largest(holds: Callable[[int], bool], first: int, most: int, step: int) -> int:
    """Find the largest number for which `holds` is true, if it is true up to some number and false above.

    Doubles from `first` on, then halves the distance until it is `step` or less. 0: not even 1 holds.

    >>> asked = []
    >>> largest(lambda n: asked.append(n) or n <= 22, first=8, most=64, step=2), asked
    (22, [8, 16, 32, 24, 20, 22])
    """
    good, bad, n = 0, most + 1, min(first, most)
    while bad - good > 1:
        if holds(n):
            good = n
        else:
            bad = n
        if good and bad - good <= step:
            break
        n = min(2 * n, most) if bad > most else (good + bad) // 2
    return good


@dataclass(frozen=True)
class Due:
    """An event that must become a case; when it began and when its dwell was over, by the wall clock."""

    camera: str
    kind: str
    zone_id: str
    started: float
    dwell_over: float


def dues(
    camera: str,
    events: Sequence[Table],
    zero: float,
    window: tuple[float, float],
    length_s: float,
    dwell_s: float,
) -> list[Due]:
    """Give the events whose dwell is over within a time.

    What stands where something stood at the end of the round before, or a moment after, goes on being the
    same event to whoever watches, and is none here.

    Args:
        camera: its id.
        events: of the clip's truth.
        zero: wall-clock second at which the camera was at the clip's beginning.
        window: wall-clock seconds; an event must also have begun within it.
        length_s: of the clip, which is shown again and again.
        dwell_s: of the zones.
    """
    found = []
    first, last = (int((at - zero) // length_s) for at in window)
    for lap in range(first, last + 1):
        for event in events:
            if _goes_on(event, events, length_s):
                continue
            began = zero + lap * length_s + event["from_s"]
            if began >= window[0] and began + dwell_s <= window[1]:
                found.append(Due(camera, event["kind"], event["zone_id"], began, began + dwell_s))
    return sorted(found, key=lambda due: due.dwell_over)


def _goes_on(event: Table, events: Sequence[Table], length_s: float) -> bool:
    """Say whether an event would be taken for one that stood at the end of the round before."""
    return event["from_s"] < SAME_S and any(
        other["to_s"] >= length_s and _overlap(event["xyxy"], other["xyxy"]) for other in events
    )


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(one[3], other[3])


def delays(
    due: Sequence[Due], cases: Sequence[Table], seen_at: Mapping[str, float]
) -> tuple[list[float], list[Due], list[str]]:
    """Give how long after its dwell each event was a listed case, in seconds.

    Returns:
        delays; events without a case; ids of second cases of one event.
    """
    free = list(cases)
    found, missing, twice = [], [], []
    for one in due:
        fits = [case for case in free if _is(case, one)]
        if not fits:
            missing.append(one)
            continue
        best = min(fits, key=lambda case: seen_at[case["case_id"]])
        found.append(seen_at[best["case_id"]] - one.dwell_over)
        twice += [case["case_id"] for case in fits if case is not best]
        free = [case for case in free if case not in fits]
    return found, missing, twice


def _is(case: Table, due: Due) -> bool:
    same = (case["source_id"], case["kind"], case["zone_id"]) == (due.camera, due.kind, due.zone_id)
    started = datetime.fromisoformat(case["started_at"]).timestamp()
    return same and abs(started - due.started) <= MATCH_S


def analysed_fps(looks: Sequence[Mapping[str, Table]], camera: str) -> float:
    """Give how many frames a second were analysed, by the frames' own times; 0 if none was.

    Counters and the last frame's time belong together; the time of asking does not.
    """
    rows = [look[camera] for look in looks if camera in look and look[camera]["last_frame_at"]]
    if not rows:
        return 0.0
    first, last = (datetime.fromisoformat(row["last_frame_at"]).timestamp() for row in (rows[0], rows[-1]))
    return (rows[-1]["analysed"] - rows[0]["analysed"]) / (last - first) if last > first else 0.0


def change(before: Mapping[str, float], during: Mapping[str, float]) -> float:
    """Give by which share the sum of the rates changed.

    >>> change({"a": 5.0, "b": 5.0}, {"a": 5.05, "b": 4.9})
    -0.005
    """
    total = sum(before.values())
    return round((sum(during[camera] for camera in before) - total) / total, 4) if total else 0.0
