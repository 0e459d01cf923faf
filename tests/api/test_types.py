from __future__ import annotations

from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.settings import AutoConfirm, Retry, parse_auto_confirm
from api.types import LEGAL_STEPS, STAGE_OF, CaseStatus, Step, after, case_id_of, idempotency_key_of
from detector.errors import WrongUse


def test_every_status_stands_in_a_stage():
    assert set(STAGE_OF) == set(CaseStatus)


def test_every_status_can_be_reached_from_reported():
    seen, new = set(), {CaseStatus.REPORTED}
    while new:
        seen |= new
        new = {after(status, step) for status, step in product(seen, Step)} - seen - {None}
    assert seen == set(CaseStatus)


def test_rejected_and_closed_are_ends():
    left = {status for status, _ in LEGAL_STEPS}
    assert set(CaseStatus) - left == {CaseStatus.REJECTED, CaseStatus.RETURNED, CaseStatus.CLOSED}


def test_nothing_is_dispatched_that_was_not_confirmed():
    sources = {status for (status, step) in LEGAL_STEPS if step is Step.DISPATCH}
    assert sources == {CaseStatus.CONFIRMED}


def test_ids_are_fixed_for_ever():
    report_id = UUID("0b7c2f0e-54cf-5a31-9f3b-4a5a2e6c7d10")
    assert case_id_of(report_id) == UUID("621ca81d-514c-5ec7-b25e-6ca94c735f7b")
    assert idempotency_key_of(case_id_of(report_id), "file") == UUID("e74fffb3-9faf-5638-b339-7426610c1f93")


@pytest.mark.parametrize(
    ("word", "rule"),
    [
        ("illegal_parking", AutoConfirm("illegal_parking", 0.0)),
        ("bin_overflow:0.75", AutoConfirm("bin_overflow", 0.75)),
        ("bin_overflow:1", AutoConfirm("bin_overflow", 1.0)),
    ],
)
def test_auto_confirm_is_read(word, rule):
    assert parse_auto_confirm([word]) == (rule,)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("flying_wire", "always reviewed by a person"),
        ("flying_wire:0.99", "always reviewed by a person"),
        ("parking", "there is no kind 'parking'"),
        ("illegal_parking:", "from 0 to 1"),
        ("illegal_parking:much", "from 0 to 1"),
        ("illegal_parking:1.5", "from 0 to 1"),
        ("illegal_parking:nan", "from 0 to 1"),
        ("", "there is no kind ''"),
    ],
)
def test_auto_confirm_refuses(word, said):
    with pytest.raises(WrongUse, match=said):
        parse_auto_confirm([word])


@given(
    attempt=st.integers(1, 10_000),
    chance=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.floats(0, 1e9),
)
def test_back_off_stays_between_its_bounds(attempt, chance, asked):
    retry = Retry(base_s=1.0, cap_s=600.0, retry_after_cap_s=3600.0)
    pause = retry.delay_s(attempt, chance, asked)
    assert 0.5 <= pause <= 3600.0
    if asked is None:
        assert pause <= 600.0
    else:
        assert pause >= min(asked, 3600.0)
