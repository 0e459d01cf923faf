"""What one browser does, against real services."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta, timezone
from typing import NoReturn
from uuid import UUID

import pytest

from api.desk import desk as desk_module
from api.desk.desk import Desk
from api.errors import OutOfSpace, StoreBusy
from api.services import Services
from api.types import Case, CaseStatus, ReviewRequest

CHINA = timezone(timedelta(hours=8))
Accept = Callable[..., Case]


def open_desk(services: Services, operator: str = "li.na") -> Desk:
    desk = Desk(services, "en", operator, CHINA)
    desk.refresh()
    return desk


@pytest.fixture
def three(report: Accept) -> list[str]:
    """Ids of three cases to review, newest first."""
    return [str(report(number).case_id) for number in (1, 2, 3)][::-1]


class NoStore:
    """A store that is down."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self) -> AbstractContextManager[NoReturn]:
        raise self._error

    write = read

    def close(self) -> None: ...


def test_empty(services: Services) -> None:
    desk = open_desk(services)
    assert desk.selected is None
    assert desk.selected_id is None
    assert not desk.can_decide
    desk.confirm("")
    desk.start_rejecting()
    desk.move(1)
    desk.next_picture()
    assert not desk.rejecting


def test_the_newest_case_is_selected_first(services: Services, three: list[str]) -> None:
    desk = open_desk(services)
    assert [str(case.case_id) for case in desk.cases] == three
    assert desk.selected_id == three[0]
    assert desk.counts == {"review": 3, "filed": 0, "rejected": 0, "all": 3}


def test_a_new_case_arrives_and_the_selection_stays(
    services: Services, three: list[str], report: Accept
) -> None:
    desk = open_desk(services)
    desk.move(1)
    assert not desk.refresh()
    newest = str(report(4).case_id)
    assert desk.refresh()
    assert desk.selected_id == three[1]
    assert str(desk.cases[0].case_id) == newest


def test_confirm_goes_on_to_the_next_older_case(services: Services, three: list[str]) -> None:
    desk = open_desk(services)
    desk.confirm(three[0])
    confirmed = services.get_case(UUID(three[0]))
    assert confirmed.status is CaseStatus.CONFIRMED
    assert [review.operator for review in confirmed.reviews] == ["li.na"]
    assert confirmed.dispatch is not None
    assert desk.selected_id == three[1]
    assert (desk.message.text, desk.message.tone) == (
        "Confirmed: Illegal parking, motor vehicle · kerb-east",
        "good",
    )
    assert desk.counts["review"] == 2


def test_after_the_oldest_the_newer_ones_are_next(services: Services, three: list[str]) -> None:
    desk = open_desk(services)
    desk.select(three[2])
    desk.confirm(three[2])
    assert desk.selected_id == three[1]


def test_after_the_last_nothing_is_selected(services: Services, three: list[str]) -> None:
    desk = open_desk(services)
    for case_id in three:
        desk.confirm(case_id)
    assert desk.selected is None
    assert desk.cases == ()
    assert desk.message.text.startswith("Confirmed")


def test_a_verdict_is_for_the_case_that_was_on_the_screen(services: Services, three: list[str]) -> None:
    desk = open_desk(services)
    desk.confirm(three[1])
    assert services.get_case(UUID(three[0])).status is CaseStatus.REPORTED
    assert services.get_case(UUID(three[1])).status is CaseStatus.REPORTED


@pytest.mark.parametrize(
    ("number", "reason"), [(1, "not_an_offence"), (3, "duplicate"), (5, "picture_unclear")]
)
def test_reject_with_a_reason(services: Services, three: list[str], number: int, reason: str) -> None:
    desk = open_desk(services)
    desk.start_rejecting()
    assert desk.rejecting
    desk.reject(three[0], number)
    rejected = services.get_case(UUID(three[0]))
    assert rejected.status is CaseStatus.REJECTED
    assert rejected.reviews[0].reason == reason
    assert not desk.rejecting
    assert desk.selected_id == three[1]


def test_a_number_alone_rejects_nothing(services: Services, three: list[str]) -> None:
    desk = open_desk(services)
    desk.reject(three[0], 1)
    desk.start_rejecting()
    desk.reject(three[0], 6)
    desk.stop_rejecting()
    desk.reject(three[0], 1)
    assert services.get_case(UUID(three[0])).status is CaseStatus.REPORTED


def test_moving_on_forgets_a_half_made_rejection(services: Services, three: list[str]) -> None:
    desk = open_desk(services)
    desk.start_rejecting()
    desk.move(1)
    assert not desk.rejecting
    desk.start_rejecting()
    desk.start_rejecting()
    assert not desk.rejecting


def test_someone_else_was_faster(services: Services, three: list[str]) -> None:
    desk = open_desk(services)
    services.review_case(UUID(three[0]), ReviewRequest(verdict="reject", operator="wang.wei", reason="x"))
    desk.confirm(three[0])
    assert desk.message.tone == "bad"
    assert (
        desk.message.text == "Someone else was faster: this case is already “Rejected”. Nothing was changed."
    )
    assert desk.selected_id == three[0]
    assert not desk.can_decide
    assert [str(case.case_id) for case in desk.cases] == three[1:]
    desk.move(1)
    assert (desk.selected_id, desk.message.text) == (three[1], "")


def test_without_a_name_the_operator_is_the_operator(services: Services, three: list[str]) -> None:
    desk = open_desk(services, operator="  ")
    desk.confirm(three[0])
    assert services.get_case(UUID(three[0])).reviews[0].operator == "operator"


def test_a_name_that_is_not_allowed_is_said(services: Services, three: list[str]) -> None:
    desk = open_desk(services, operator="auto")
    desk.confirm(three[0])
    assert desk.message.tone == "bad"
    assert desk.message.text.startswith("Not saved: operator: 'auto'")
    assert desk.selected_id == three[0]


def test_tabs_and_kinds(services: Services, three: list[str], report: Accept) -> None:
    bin_id = str(report(7, kind="bin_overflow").case_id)
    desk = open_desk(services)
    desk.choose_kind("bin_overflow")
    assert [str(case.case_id) for case in desk.cases] == [bin_id]
    desk.confirm(bin_id)
    desk.choose_tab("filed")
    assert desk.selected_id == bin_id
    desk.choose_kind("")
    desk.choose_tab("all")
    assert len(desk.cases) == 4
    desk.choose_tab("nonsense")
    desk.choose_kind("nonsense")
    assert (desk.tab, desk.kind) == ("all", "")


def test_under_all_the_decided_case_stays_when_it_was_the_last(services: Services, report: Accept) -> None:
    only = str(report(1).case_id)
    desk = open_desk(services)
    desk.choose_tab("all")
    desk.confirm(only)
    assert desk.selected_id == only
    assert desk.selected is not None
    assert desk.selected.status is CaseStatus.CONFIRMED


def test_pictures_go_round_and_start_again(services: Services, three: list[str]) -> None:
    desk = open_desk(services)
    desk.next_picture()
    assert desk.picture == 0
    desk.picture = 2
    desk.move(1)
    assert desk.picture == 0


@pytest.mark.parametrize("error", [StoreBusy("the database did not do it: send again."), OutOfSpace("full.")])
def test_trouble_is_said_and_passes(services: Services, three: list[str], error: Exception) -> None:
    desk = open_desk(services)
    desk._services = replace(services, store=NoStore(error))
    assert desk.refresh()
    assert desk.trouble == str(error)
    assert not desk.refresh()
    desk.confirm(three[0])
    assert desk.message.text == f"Not saved: {error}"
    desk.move(1)
    desk._services = services
    assert desk.refresh()
    assert desk.trouble == ""
    assert services.get_case(UUID(three[0])).status is CaseStatus.REPORTED


def test_long_lists_are_cut_but_counted(
    services: Services, report: Accept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "SHOWN_LIMIT", 5)
    for number in range(1, 8):
        report(number)
    desk = open_desk(services)
    assert (len(desk.cases), desk.has_older, desk.counts["review"]) == (5, True, 7)


def test_the_language_changes(services: Services, three: list[str]) -> None:
    desk = open_desk(services)
    desk.confirm(three[0])
    desk.speak("zh")
    assert (desk.lang, desk.message.text) == ("zh", "")
