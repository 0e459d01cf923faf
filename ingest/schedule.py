"""When a zone is enforced: local wall-clock windows by weekday, and dates that are exempt. Pure, no clock.

    "always"                                            day and night
    "Mon-Sun 07:00-22:00"                               every day
    "Mon-Fri 07:00-09:00,16:30-19:00; Sat 22:00-02:00"  Saturday's window runs into Sunday

Windows are wall-clock times, like those of a sign on a pole: on the night the clocks change, "01:00-04:00"
lasts two or four hours. The end of a window is outside it. A window over midnight belongs to the weekday on
which it starts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from typing import TypeAlias

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_MINUTES = 24 * 60

Moment: TypeAlias = date | datetime | time
"""A bound of an exemption: a local date, a local or absolute time, or a time of day."""


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of the day, minutes since local midnight.

    Args:
        days: weekdays on which it starts, 0 is Monday.
        start_min: first minute inside.
        end_min: first minute outside; not above start_min means over midnight.
    """

    days: frozenset[int]
    start_min: int
    end_min: int

    def holds(self, weekday: int, minute: float) -> bool:
        """Say whether a local weekday and minute lie inside."""
        if self.start_min < self.end_min:
            return weekday in self.days and self.start_min <= minute < self.end_min
        if weekday in self.days and minute >= self.start_min:
            return True
        return (weekday - 1) % 7 in self.days and minute < self.end_min


@dataclass(frozen=True, slots=True)
class Schedule:
    """Any of the windows; none at all means always."""

    windows: tuple[Window, ...] = ()
    text: str = "always"

    def active(self, at: datetime, tz: tzinfo) -> bool:
        """Say whether the schedule is in force at an aware time, in local time of `tz`.

        >>> from zoneinfo import ZoneInfo
        >>> sunday_one = datetime(2026, 11, 22, 1, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
        >>> parse_schedule("Sat 22:00-02:00").active(sunday_one, sunday_one.tzinfo)
        True
        """
        if not self.windows:
            return True
        local = at.astimezone(tz)
        minute = local.hour * 60 + local.minute + local.second / 60
        return any(window.holds(local.weekday(), minute) for window in self.windows)


ALWAYS = Schedule()


def parse_schedule(text: str) -> Schedule:
    """Read a schedule.

    Args:
        text: clauses joined by ";", each weekdays, times or both: "Mon-Fri 07:00-09:00,16:30-19:00; Sat".

    Raises:
        ValueError: the text cannot be read; the message says which part and what was expected.
    """
    if text.strip().lower() in {"always", "24/7"}:
        return ALWAYS
    windows = tuple(window for clause in text.split(";") for window in _clause(clause.strip()))
    return Schedule(windows, text)


def _clause(clause: str) -> list[Window]:
    match = re.fullmatch(r"(?P<days>[A-Za-z][A-Za-z,\- ]*?)?\s*(?P<times>\d[\d:,\- ]*)?", clause)
    if not match or not clause:
        raise ValueError(f"{clause!r} is not of the form 'Mon-Fri 07:00-22:00'")
    days = _weekdays(match["days"]) if match["days"] else frozenset(range(7))
    if not match["times"]:
        return [Window(days, 0, DAY_MINUTES)]
    return [_window(days, part.strip()) for part in match["times"].split(",")]


def _window(days: frozenset[int], text: str) -> Window:
    start, dash, end = text.partition("-")
    if not dash:
        raise ValueError(f"{text!r} is not of the form 07:00-22:00")
    start_min, end_min = _minute(start), _minute(end)
    if start_min == DAY_MINUTES:
        raise ValueError(f"{text!r} starts at 24:00; write 00:00 of the next day")
    if start_min == end_min:
        raise ValueError(f"{text!r} has no length; for the whole day write 00:00-24:00")
    return Window(days, start_min, end_min)


def _minute(text: str) -> int:
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", text.strip())
    hour, minute = (int(match[1]), int(match[2])) if match else (99, 99)
    if hour * 60 + minute > DAY_MINUTES or minute > 59:
        raise ValueError(f"{text.strip()!r} is not a time between 00:00 and 24:00")
    return hour * 60 + minute


def _weekdays(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        start = _weekday(first)
        end = _weekday(last) if dash else start
        days.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(days)


def _weekday(text: str) -> int:
    name = text.strip().lower()
    for index, (short, full) in enumerate(zip(DAYS, FULL_DAYS, strict=True)):
        if name in {short, full}:
            return index
    raise ValueError(f"{text!r} is not a weekday; use {', '.join(day.title() for day in DAYS)}")


@dataclass(frozen=True, slots=True)
class Exemption:
    """A time in which a zone is not enforced: a permit, a holiday, a night market.

    Args:
        start: a date, a date-time (a naive one is local time) or a time of day.
        end: the same kind of thing: the last whole day, or the first moment outside; times of day may run
            over midnight.
        schedule: instead of the two, a weekly schedule of permitted hours.
        note: who permitted it and why; for people.
    """

    start: Moment | None = None
    end: Moment | None = None
    schedule: Schedule | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.schedule is not None:
            return
        if self.start is None or self.end is None:
            raise ValueError("wanted `from` and `to`")
        if type(self.start) is not type(self.end):
            raise ValueError("`from` and `to` must both be dates, both date-times or both times of day")
        if isinstance(self.start, time):
            return
        if self._backwards():
            raise ValueError(f"ends ({self.end.isoformat()}) before it starts ({self.start.isoformat()})")

    def _backwards(self) -> bool:
        if isinstance(self.start, datetime) and isinstance(self.end, datetime):
            if (self.start.tzinfo is None) != (self.end.tzinfo is None):
                raise ValueError("`from` and `to` must both or neither have an offset from UTC")
            return self.end <= self.start
        return isinstance(self.start, date) and isinstance(self.end, date) and self.end < self.start

    def holds(self, at: datetime, tz: tzinfo) -> bool:
        """Say whether an aware time lies inside, with local time of `tz`."""
        if self.schedule is not None:
            return self.schedule.active(at, tz)
        local = at.astimezone(tz)
        if isinstance(self.start, datetime) and isinstance(self.end, datetime):
            moment = at if self.start.tzinfo else local.replace(tzinfo=None)
            return self.start <= moment < self.end
        if isinstance(self.start, time) and isinstance(self.end, time):
            clock = local.time()
            inside = self.start <= clock, clock < self.end
            return all(inside) if self.start < self.end else any(inside)
        if isinstance(self.start, date) and isinstance(self.end, date):
            return self.start <= local.date() <= self.end
        return False


def enforced(schedule: Schedule, exemptions: tuple[Exemption, ...], at: datetime, tz: tzinfo) -> bool:
    """Say whether the schedule is in force and nothing exempts the moment."""
    return schedule.active(at, tz) and not any(exemption.holds(at, tz) for exemption in exemptions)
