"""Fair share: nobody starves, nobody gets more than it wants, and rates do not flap."""

from __future__ import annotations

import doctest
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.fleet import fair
from ingest.fleet.fair import RAISE_AFTER_S, Demand, Governor, Swings, level_of, rates_of

cores = st.floats(0, 0.5)
demand = st.builds(Demand, st.floats(0.1, 60), st.floats(0.1, 60), cores, st.floats(0.0001, 0.2))
demands = st.dictionaries(st.integers(0, 30).map(str), demand, min_size=1, max_size=30)


def used(demands, rates):
    return sum(demand.cost(rates[name]) for name, demand in demands.items())


def test_the_examples_are_right():
    assert doctest.testmod(fair).failed == 0


@given(demands, st.floats(0, 20))
def test_every_rate_lies_between_what_is_declared_and_what_is_wanted(demands, capacity):
    for name, rate in rates_of(demands, level_of(demands, capacity)).items():
        assert min(demands[name].fps_min, demands[name].fps) <= rate <= demands[name].fps


@given(demands, st.floats(0, 20))
def test_the_load_fits_wherever_the_lower_rates_do(demands, capacity):
    rates = rates_of(demands, level_of(demands, capacity))
    lowest = used(demands, rates_of(demands, 0.0))
    assert used(demands, rates) <= max(capacity, lowest) * (1 + 1e-9) + 1e-9


@given(demands, st.floats(0, 20))
def test_what_is_left_over_would_not_raise_anybody(demands, capacity):
    """Max-min fair: whoever is below what it wants is at the level, and a higher level does not fit."""
    level = level_of(demands, capacity)
    rates = rates_of(demands, level)
    short = [name for name, one in demands.items() if rates[name] < one.fps]
    for name in short:
        assert rates[name] == pytest.approx(max(level, demands[name].fps_min))
    lowest = used(demands, rates_of(demands, 0.0))
    if short and lowest <= capacity:
        assert used(demands, rates_of(demands, level * 1.01 + 0.001)) > capacity


@given(demands, st.floats(0, 20), st.floats(0, 5))
def test_more_capacity_lowers_nobody(demands, capacity, more):
    before, after = (rates_of(demands, level_of(demands, size)) for size in (capacity, capacity + more))
    assert all(after[name] >= before[name] - 1e-9 for name in demands)


def test_equal_cameras_are_treated_equally():
    demands = {name: Demand(5, 1, 0.05, 0.05) for name in "abcd"}
    assert rates_of(demands, level_of(demands, 0.8)) == pytest.approx(dict.fromkeys("abcd", 3.0))


def test_rates_fall_at_once_and_rise_late():
    demands = {name: Demand(5, 1, 0.0, 0.05) for name in "abcd"}
    governor = Governor()
    assert governor.decide(demands, 1.0, 0.0)["a"] == 5.0
    assert governor.decide(demands, 0.5, 1.0)["a"] == pytest.approx(2.5)
    assert governor.decide(demands, 1.0, 2.0)["a"] == pytest.approx(2.5)
    assert governor.decide(demands, 1.0, 2.0 + RAISE_AFTER_S - 1)["a"] == pytest.approx(2.5)
    assert governor.decide(demands, 1.0, 2.0 + RAISE_AFTER_S)["a"] == 5.0
    assert governor.level is None


@given(st.lists(st.floats(0.96, 1.04), min_size=2, max_size=60))
def test_noise_of_four_percent_does_not_make_rates_rise_and_fall(noise):
    demands = {name: Demand(5, 1, 0.0, 0.1) for name in "ab"}
    governor = Governor()
    levels = [governor.decide(demands, 0.6 * factor, float(at))["a"] for at, factor in enumerate(noise)]
    assert all(later <= before for before, later in pairwise(levels))
    assert all(2.8 <= level <= 3.2 for level in levels)


def test_what_is_kept_free_serves_bursts_and_rates_fall_to_what_may_be_used_above_it():
    governor = Governor()
    calm, burst, rush = ({name: Demand(5, 1, 0.0, cost) for name in "ab"} for cost in (0.08, 0.095, 0.11))
    assert governor.decide(calm, 0.85, 0.0, most=0.98)["a"] == 5.0
    assert governor.decide(burst, 0.85, 1.0, most=0.98)["a"] == 5.0
    assert governor.decide(rush, 0.85, 2.0, most=0.98)["a"] == pytest.approx(0.85 / 0.22)


def test_a_load_that_does_not_swing_keeps_nothing_free():
    swings = Swings()
    for second in range(300):
        swings.note(0.7, 0.7, float(second))
    assert swings.cores == 0.0
