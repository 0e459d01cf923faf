"""Event level: which events of a clip were reported, and how soon. Pure but for reading files.

A clip's truth is `datasets/clips/<clip>.toml`, written by a person who watched the clip, or JSON of the same
shape written by the renderer (datasets/demo/truth.json):

    clip = "street.mp4"            # beside this file, or in ../shared/clips
    site = "street.site.toml"      # site file it is run with, beside this file; this is the default
    seconds = 24.9                 # length
    size = [640, 360]              # width, height; every coordinate below is in these pixels
    labelled_by = "who, how, when"
    notes = "what is hard about it"                              # optional

    [[event]]                      # one per thing to be reported; without any, every case is a false alarm
    kind = "illegal_parking"       # as in the case JSON
    also = []                      # other kinds that are right too; optional
    zone_id = "kerb-east"          # a zone of the site; "" where any is right; optional
    xyxy = [521, 304, 801, 497]    # where it is: left, top, right, bottom
    from_s = 9.0                   # when it is at rest in the zone; 0 if it was there before
    to_s = 45.0                    # when it leaves, or the clip ends
    notes = ""                     # optional
    # instead of xyxy one of
    #   polygon = [[521, 304], [801, 304], [801, 497]]           a place that is no box
    #   track = [{ at_s = 0.0, xyxy = [0, 0, 9, 9] }, ...]       a moving camera, straight lines in between

    [[ignore]]                     # same keys; kind = "*" is every kind. A case here is neither right nor
    kind = "*"                     # wrong: nobody can say whether there is something to report
    xyxy = [0, 0, 100, 100]
    from_s = 0.0
    to_s = 24.9

A case (a line of `kerbwatch run CLIP --site SITE --json`) hits an event when its kind is one of the event's,
its zone too, its box and the event's place overlap (IoU of IOU_MIN or more, or one holds the other's centre)
and it was raised between `from_s` and `to_s`, give or take SLACK_S. Cases are taken in the order they were
raised; one case hits one event, the one it overlaps best, and a second case of the same event is a false
alarm. Time to alarm is `observed_at` less `from_s`; the rule's dwell is part of it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from detector.errors import Failure, WrongUse
from detector.nms import iou_one_to_many
from training.evaluation.intervals import wilson

IOU_MIN = 0.1
SLACK_S = 2.0
ANY_KIND = "*"

Box = tuple[float, float, float, float]
Track = tuple[tuple[float, Box], ...]
"""(seconds, box) in the order of time."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One event of the truth, or a region to ignore.

    Args:
        kinds: what it may be reported as; ANY_KIND for all.
        zone_id: zone, empty for any.
        track: where it is; one entry for a camera that stands still.
        from_s: seconds from the start of the clip.
        to_s: the same.
    """

    kinds: frozenset[str]
    zone_id: str
    track: Track
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class ClipTruth:
    """What is to be reported in a clip.

    Args:
        clip: file name.
        site: file name of the site file.
        size_px: width and height of the coordinates.
        seconds: length.
        events: to be reported.
        ignored: where a case is neither right nor wrong.
    """

    clip: str
    site: str
    size_px: tuple[int, int]
    seconds: float
    events: tuple[Expected, ...]
    ignored: tuple[Expected, ...] = ()


@dataclass(frozen=True, slots=True)
class Raised:
    """One case.

    Args:
        kind: of the event.
        zone_id: zone.
        xyxy: box in pixels of the truth.
        at_s: when it was raised, seconds from the start of the clip.
    """

    kind: str
    zone_id: str
    xyxy: Box
    at_s: float


@dataclass(frozen=True, slots=True)
class ClipScore:
    """How one clip went.

    Args:
        clip: its name.
        delays_s: time to alarm of every event that was reported.
        missed: events that were not.
        false_alarms: cases that are wrong.
        ignored: cases that are neither.
    """

    clip: str
    delays_s: tuple[float, ...]
    missed: tuple[Expected, ...]
    false_alarms: tuple[Raised, ...]
    ignored: int

    def as_json(self) -> dict[str, Any]:
        """Give the figures: counts, shares with 95 % Wilson intervals, time to alarm."""
        return figures(self.delays_s, len(self.missed), len(self.false_alarms)) | {"ignored": self.ignored}


def figures(delays_s: Sequence[float], missed: int, false_alarms: int) -> dict[str, Any]:
    """Give precision and recall with their intervals, None where there is nothing to divide by."""
    hits = len(delays_s)
    row: dict[str, Any] = {"events": hits + missed, "hits": hits, "false_alarms": false_alarms}
    for name, of in (("precision", hits + false_alarms), ("recall", hits + missed)):
        low, high = wilson(hits, of)
        row[name] = round(hits / of, 4) if of else None
        row[f"{name}_low"], row[f"{name}_high"] = round(low, 4), round(high, 4)
    row["seconds_to_alarm_median"] = round(median(delays_s), 2) if delays_s else None
    row["seconds_to_alarm_max"] = round(max(delays_s), 2) if delays_s else None
    return row


def total(scores: Sequence[ClipScore]) -> dict[str, Any]:
    """Give the figures of all clips together."""
    delays = [delay for score in scores for delay in score.delays_s]
    missed = sum(len(score.missed) for score in scores)
    false_alarms = sum(len(score.false_alarms) for score in scores)
    return figures(delays, missed, false_alarms) | {"ignored": sum(score.ignored for score in scores)}


def score_clip(truth: ClipTruth, raised: Sequence[Raised]) -> ClipScore:
    """Match the cases of one clip with its truth, see the module."""
    open_events = list(truth.events)
    delays, false_alarms, ignored = [], [], 0
    for case in sorted(raised, key=lambda one: one.at_s):
        candidates = [event for event in open_events if hits(case, event)]
        if candidates:
            event = max(candidates, key=lambda one: overlap(case.xyxy, place_at(one.track, case.at_s)))
            open_events.remove(event)
            delays.append(case.at_s - event.from_s)
        elif any(hits(case, region) for region in truth.ignored):
            ignored += 1
        else:
            false_alarms.append(case)
    return ClipScore(truth.clip, tuple(delays), tuple(open_events), tuple(false_alarms), ignored)


def hits(case: Raised, event: Expected) -> bool:
    """Say whether a case is this event's: kind, zone, time and place."""
    return (
        (case.kind in event.kinds or ANY_KIND in event.kinds)
        and event.zone_id in ("", case.zone_id)
        and event.from_s - SLACK_S <= case.at_s <= event.to_s + SLACK_S
        and same_place(case.xyxy, place_at(event.track, case.at_s))
    )


def same_place(one: Box, other: Box) -> bool:
    """Say whether two boxes overlap by IOU_MIN, or one holds the other's centre.

    >>> same_place((0, 0, 100, 100), (40, 40, 50, 50)), same_place((0, 0, 10, 10), (9, 9, 30, 30))
    (True, False)
    """
    return overlap(one, other) >= IOU_MIN or _holds_centre(one, other) or _holds_centre(other, one)


def overlap(one: Box, other: Box) -> float:
    """Give the IoU of two boxes."""
    return float(iou_one_to_many(np.array(one, np.float64), np.array([other], np.float64))[0])


def place_at(track: Track, at_s: float) -> Box:
    """Give the box at a time, straight lines between those given, the first and last one beyond.

    >>> place_at(((0.0, (0, 0, 10, 10)), (2.0, (10, 0, 20, 10))), 1.0)
    (5.0, 0.0, 15.0, 10.0)
    """
    times = [time for time, _ in track]
    left, top, right, bottom = (
        float(np.interp(at_s, times, [box[side] for _, box in track])) for side in range(4)
    )
    return left, top, right, bottom


def read_truth(path: Path) -> ClipTruth:
    """Read a clip's truth, TOML or JSON.

    Raises:
        WrongUse: the file cannot be read, or a key is missing or makes no sense.
    """
    document = _read_document(path)
    try:
        width, height = (int(side) for side in document["size"])
        events = document.get("event", document.get("events", []))
        return ClipTruth(
            clip=str(document["clip"]),
            site=str(
                document.get("site", "site.toml" if path.suffix == ".json" else f"{path.stem}.site.toml")
            ),
            size_px=(width, height),
            seconds=float(document["seconds"]),
            events=tuple(_expected(entry) for entry in events),
            ignored=tuple(_expected(entry) for entry in document.get("ignore", [])),
        )
    except KeyError as error:
        raise WrongUse(f"{path}: the key {error} is missing; see training/evaluation/events.py.") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise WrongUse(f"{path}: {error}; see training/evaluation/events.py for the format.") from error


def read_cases(lines: Sequence[str], starts_at: datetime, size_px: tuple[int, int]) -> list[Raised]:
    """Read what `kerbwatch run --json` printed, a case a line.

    Args:
        lines: JSON, blank lines left out.
        starts_at: when the clip starts, aware, as the camera of the site says.
        size_px: width and height that the truth is in.

    Raises:
        Failure: a line is no case.
    """
    cases = []
    for line in filter(str.strip, lines):
        try:
            case = json.loads(line)
            box = [float(case["box"][side]) for side in ("x0", "y0", "x1", "y1")]
            at_s = (datetime.fromisoformat(case["observed_at"]) - starts_at).total_seconds()
            cases.append(Raised(case["kind"], case["zone_id"], _in_pixels(box, size_px), at_s))
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(f"wanted the JSON of a case, got {line.strip()[:60]!r} ({error}).") from error
    return cases


def _read_document(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise WrongUse(f"{path}: cannot be read ({error.strerror}); give a clip's truth.") from error
    except ValueError as error:
        raise WrongUse(f"{path}: is not valid {path.suffix.lstrip('.').upper()}: {error}.") from error
    if not isinstance(document, dict):
        raise WrongUse(f"{path}: wanted keys such as clip and size, got a {type(document).__name__}.")
    return document


def _expected(entry: Mapping[str, Any]) -> Expected:
    event = Expected(
        kinds=frozenset((str(entry["kind"]), *map(str, entry.get("also", [])))),
        zone_id=str(entry.get("zone_id", "")),
        track=_track(entry),
        from_s=float(entry["from_s"]),
        to_s=float(entry["to_s"]),
    )
    if not 0 <= event.from_s < event.to_s:
        raise ValueError(f"from_s {event.from_s:g} and to_s {event.to_s:g}: wanted 0 <= from_s < to_s")
    return event


def _track(entry: Mapping[str, Any]) -> Track:
    given = [key for key in ("xyxy", "polygon", "track") if key in entry]
    if len(given) != 1:
        raise ValueError(f"{entry['kind']}: wanted one of xyxy, polygon and track, got {given}")
    if "polygon" in entry:
        x, y = ([float(point[side]) for point in entry["polygon"]] for side in (0, 1))
        return ((0.0, _box([min(x), min(y), max(x), max(y)])),)
    if "xyxy" in entry:
        return ((0.0, _box(entry["xyxy"])),)
    track = tuple((float(at["at_s"]), _box(at["xyxy"])) for at in entry["track"])
    if not track or any(late[0] <= early[0] for early, late in pairwise(track)):
        raise ValueError(f"{entry['kind']}: wanted a track whose at_s grow")
    return track


def _box(sides: Sequence[float]) -> Box:
    left, top, right, bottom = (float(side) for side in sides)
    if not (left < right and top < bottom):
        raise ValueError(f"box {list(sides)}: wanted left < right and top < bottom")
    return left, top, right, bottom


def _in_pixels(box: Sequence[float], size_px: tuple[int, int]) -> Box:
    width, height = size_px
    return box[0] * width, box[1] * height, box[2] * width, box[3] * height


def _holds_centre(outer: Box, inner: Box) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]
