"""Hanging cables: through both ends, below the chord, as long as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training.scenes.wires.catenary import catenary, laid_on, spiral, wobbled

PIXEL = st.floats(-500, 1500)
SLACK = st.floats(0.001, 0.6)


@given(x0=PIXEL, y0=PIXEL, x1=PIXEL, y1=PIXEL, slack=SLACK)
def test_it_hangs_between_its_ends_and_below_the_chord(x0, y0, x1, y1, slack) -> None:
    assume(np.hypot(x1 - x0, y1 - y0) > 2)
    curve = catenary((x0, y0), (x1, y1), slack, 40)
    assert np.isfinite(curve).all()
    assert curve[0].tolist() == [x0, y0]
    assert curve[-1].tolist() == [x1, y1]
    if abs(x1 - x0) > 0.02 * np.hypot(x1 - x0, y1 - y0):
        share = (curve[:, 0] - x0) / (x1 - x0)
        assert (share > -1e-6).all()
        assert (share < 1 + 1e-6).all()
        assert (curve[:, 1] >= y0 + share * (y1 - y0) - 1e-6 * (1 + np.abs(curve[:, 1]))).all()  # y is down


@given(x1=st.floats(20, 800), y1=st.floats(-300, 300), slack=SLACK)
def test_its_length_is_the_chord_and_the_slack(x1, y1, slack) -> None:
    assume(x1 > 0.05 * np.hypot(x1, y1))
    curve = catenary((0, 0), (x1, y1), slack, 4000)
    length = float(np.hypot(*np.diff(curve, axis=0).T).sum())
    assert length == pytest.approx(np.hypot(x1, y1) * (1 + slack), rel=1e-3)


@given(x1=st.floats(20, 500), slack=SLACK)
def test_more_slack_sags_more_and_mirrors(x1, slack) -> None:
    low = [catenary((0, 0), (x1, 0), s, 41)[:, 1].max() for s in (slack, slack * 1.5)]
    assert low[1] > low[0]
    there, back = catenary((0, 0), (x1, 30), slack, 41), catenary((x1, 30), (0, 0), slack, 41)
    assert np.allclose(there, back[::-1], atol=1e-5 * x1)


@pytest.mark.parametrize(("end", "slack"), [((0, 0), 0.1), ((5, 5), 0.0), ((5, 5), -1.0)])
def test_no_cable_is_refused(end, slack) -> None:
    with pytest.raises(ValueError, match="slack above 0"):
        catenary((0, 0), end, slack)


@given(floor=st.floats(120, 300), slack=SLACK)
def test_nothing_hangs_below_the_ground(floor, slack) -> None:
    curve = catenary((0, 0), (200, 100), slack, 50)
    laid = laid_on(curve, (0, floor), (200, floor))
    assert laid[:, 1].max() <= floor + 1e-9
    above = curve[:, 1] <= floor
    assert np.allclose(laid[above], curve[above])


def test_bends_leave_the_ends_alone() -> None:
    curve = catenary((0, 0), (200, 40), 0.1, 50)
    bent = wobbled(curve, 2.0, np.random.default_rng(1))
    assert np.allclose(bent[[0, -1]], curve[[0, -1]])
    assert not np.allclose(bent, curve)


def test_a_coil_lies_around_its_middle() -> None:
    coil = spiral((50, 80), 10, 3, 0.4, np.random.default_rng(2))
    assert np.abs(coil.mean(0) - [50, 80]).max() < 8
    assert np.ptp(coil[:, 0]) > 1.4 * np.ptp(coil[:, 1])
