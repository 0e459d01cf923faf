# ruff: noqa: DTZ001 - naive local times are what a site file may hold
from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.schedule import ALWAYS, DAYS, Exemption, Schedule, Window, enforced, parse_schedule

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


def shanghai(day, hour, minute=0):
    """Give a time in the week of Monday 2026-11-23."""
    return datetime(2026, 11, 23 + day, hour, minute, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("Mon-Sun 07:00-22:00", [(0, 7), (6, 21, 59)], [(0, 6, 59), (0, 22), (6, 0)]),
        ("07:00-22:00", [(3, 12)], [(3, 23)]),
        ("Mon-Fri 07:00-09:00,16:30-19:00; Sat 22:00-02:00", [(0, 8), (4, 16, 30), (5, 23), (6, 1)], [(0, 10), (5, 1), (6, 2), (6, 23)]),
        ("Sat-Sun", [(5, 0), (6, 23, 59)], [(0, 0), (4, 23)]),
        ("Fri-Mon 10:00-11:00", [(4, 10), (6, 10), (0, 10)], [(1, 10), (3, 10)]),
        ("Mon,Wed 00:00-24:00", [(0, 0), (2, 23, 59)], [(1, 0), (3, 0)]),
        ("sun 23:00-01:00", [(6, 23), (0, 0, 30)], [(6, 0, 30), (0, 23)]),
        ("Monday-Friday 08:00-09:00", [(0, 8)], [(5, 8)]),
        ("always", [(0, 0), (6, 23)], []),
        ("24/7", [(0, 0)], []),
    ],
)  # fmt: skip
def test_windows(text, inside, outside):
    schedule = parse_schedule(text)
    assert all(schedule.active(shanghai(*when), SHANGHAI) for when in inside)
    assert not any(schedule.active(shanghai(*when), SHANGHAI) for when in outside)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "''"),
        ("Mon-Son 07:00-22:00", "'Son' is not a weekday"),
        ("Mon 7-22", "'7' is not a time"),
        ("Mon 07:00", "not of the form 07:00-22:00"),
        ("Mon 07:00-25:00", "'25:00'"),
        ("Mon 07:60-08:00", "'07:60'"),
        ("Mon 24:00-02:00", "24:00"),
        ("Mon 07:00-07:00", "no length"),
        ("Mon 07:00-22:00;", "''"),
        ("whenever!", "whenever!"),
        ("Mon 07:00-22:00 Tue", "Tue"),
    ],
)
def test_bad_text_says_which_part(text, says):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_schedule(text)
    assert says in str(caught.value)


@given(
    MOMENTS,
    st.integers(0, 6),
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.sampled_from([SHANGHAI, BERLIN, UTC]),
)
def test_a_window_agrees_with_a_walk_back_through_the_wall_clock(at, day, start, end, tz):
    if start == end:
        return
    window = Window(frozenset({day}), start, end)
    local = at.astimezone(tz).replace(tzinfo=None)
    began = [
        datetime.combine(local.date() - timedelta(days=back), time()) + timedelta(minutes=start)
        for back in (0, 1)
        if (local.date() - timedelta(days=back)).weekday() == day
    ]
    length = timedelta(minutes=(end - start) % 1440 or 1440)
    expected = any(first <= local < first + length for first in began)
    assert Schedule((window,)).active(at, tz) == expected


@given(MOMENTS)
def test_the_offset_of_the_time_does_not_matter(at):
    schedule = parse_schedule("Mon-Fri 07:00-09:00; Sat 22:00-02:00")
    assert schedule.active(at, BERLIN) == schedule.active(at.astimezone(SHANGHAI), BERLIN)
    assert ALWAYS.active(at, BERLIN)


def test_the_nights_on_which_clocks_change():
    night = parse_schedule("01:00-04:00")
    spring = [datetime(2026, 3, 29, 0, 30, tzinfo=UTC) + timedelta(minutes=10 * step) for step in range(12)]
    autumn = [datetime(2026, 10, 24, 23, 0, tzinfo=UTC) + timedelta(minutes=10 * step) for step in range(24)]
    assert sum(night.active(at, BERLIN) for at in spring) == 9  # 01:30 to 02:00, then 03:00 to 04:00
    assert sum(night.active(at, BERLIN) for at in autumn) == 24  # four hours by the sun


def test_exemptions():
    market = Exemption(date(2026, 5, 1), date(2026, 5, 5), note="market")
    assert market.holds(datetime(2026, 5, 5, 23, 59, tzinfo=SHANGHAI), SHANGHAI)
    assert not market.holds(datetime(2026, 5, 6, 0, 0, tzinfo=SHANGHAI), SHANGHAI)
    assert market.holds(datetime(2026, 4, 30, 16, 0, tzinfo=UTC), SHANGHAI)
    works = Exemption(datetime(2026, 5, 1, 8), datetime(2026, 5, 1, 12))
    assert works.holds(datetime(2026, 5, 1, 0, 0, tzinfo=UTC), SHANGHAI)
    assert not works.holds(datetime(2026, 5, 1, 12, tzinfo=SHANGHAI), SHANGHAI)
    absolute = Exemption(datetime(2026, 5, 1, 8, tzinfo=UTC), datetime(2026, 5, 1, 9, tzinfo=UTC))
    assert absolute.holds(datetime(2026, 5, 1, 16, 30, tzinfo=SHANGHAI), SHANGHAI)
    night = Exemption(time(18), time(6))
    assert night.holds(shanghai(0, 23), SHANGHAI)
    assert night.holds(shanghai(0, 5), SHANGHAI)
    assert not night.holds(shanghai(0, 6), SHANGHAI)
    weekly = Exemption(schedule=parse_schedule("Sat 17:00-22:00"))
    assert enforced(ALWAYS, (weekly,), shanghai(5, 16), SHANGHAI)
    assert not enforced(ALWAYS, (weekly,), shanghai(5, 18), SHANGHAI)


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        (date(2026, 5, 5), date(2026, 5, 1), "before it starts"),
        (date(2026, 5, 5), time(8), "both be dates"),
        (date(2026, 5, 5), None, "`from` and `to`"),
        (datetime(2026, 5, 5), datetime(2026, 5, 5, tzinfo=UTC), "offset"),
        (datetime(2026, 5, 5), datetime(2026, 5, 5), "before it starts"),
    ],
)
def test_exemptions_that_make_no_sense(start, end, says):
    with pytest.raises(ValueError, match=says):
        Exemption(start, end)


def test_days_are_the_iso_week():
    assert [parse_schedule(day).windows[0].days for day in DAYS] == [frozenset({day}) for day in range(7)]
