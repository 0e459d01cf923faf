"""Which version may take over from which."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.gate import incomparable, objections


def row(ap50: float, low: float = 0.0, high: float = 1.0, **changed: Any) -> dict[str, Any]:
    plain = {"ap50": ap50, "ap50_low": low, "ap50_high": high, "n": 30, "pictures": 12, "sets": ["a", "b"]}
    return {**plain, **changed}


def version(number: int, **classes: dict[str, Any]) -> dict[str, Any]:
    return {"model": f"street@{number}", "classes": classes}


def test_a_loss_within_the_interval_passes() -> None:
    assert objections(version(1, bin=row(0.8, 0.7, 0.9)), version(2, bin=row(0.7))) == []


def test_every_class_that_is_worse_is_named() -> None:
    old = version(1, bin=row(0.8, 0.7, 0.9), car=row(0.5, 0.4, 0.6), bus=row(0.5, 0.4, 0.6))
    assert objections(old, version(2, bin=row(0.69), car=row(0.39), bus=row(0.4))) == [
        "bin has AP50 0.690, below the 0.700 to 0.900 of street@1",
        "car has AP50 0.390, below the 0.400 to 0.600 of street@1",
    ]


def test_a_class_that_is_gone_is_worse_and_a_new_one_is_fine() -> None:
    old = version(1, bin=row(0.8), car=row(0.5))
    assert objections(old, version(2, bin=row(0.8), wire=row(0.1))) == [
        "car is not among its classes (AP50 0.500 in street@1)"
    ]
    assert objections(old, version(2, bin=row(0.8), car=row(0.5), wire=row(0.1))) == []


@pytest.mark.parametrize("changed", [{"n": 31}, {"pictures": 13}, {"sets": ["a"]}])
def test_other_val_pictures_are_not_compared(changed: dict[str, Any]) -> None:
    old = version(1, bin=row(0.8, 0.7, 0.9), car=row(0.5))
    new = version(2, bin=row(0.1, **changed), car=row(0.5, sets=["b", "a"]))
    assert objections(old, new) == []
    assert incomparable(old, new) == ["bin"]


def test_nothing_comparable_is_refused() -> None:
    old = version(1, bin=row(0.8))
    assert objections(old, version(2, bin=row(0.9, n=500))) == [
        "no class was measured on the same val pictures as in street@1, so nothing can be compared"
    ]
    assert len(objections(old, version(2, car=row(0.9)))) == 2


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_low_end_of_the_interval_decides(low: float, ap50: float) -> None:
    refused = objections(version(1, bin=row(1.0, low, 1.0)), version(2, bin=row(ap50)))
    assert bool(refused) == (ap50 < low)
