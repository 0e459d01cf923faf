from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest

from api.errors import Conflict, MissingEvidence, NotFound, ReportDiffers, Unacceptable
from api.services import Callback, CaseQuery
from api.settings import Retry, parse_auto_confirm
from api.types import CaseStatus, Receipt, ReviewRequest
from ingest.report import EventEnd

LI = ReviewRequest(verdict="confirm", operator="li", version=1)


def test_twenty_threads_with_one_report_make_one_case(services, make_report):
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(services.accept_report, [make_report()] * 20))
    assert len({case.case_id for case, _ in results}) == 1
    assert sum(created for _, created in results) == 1
    assert len(services.list_cases(CaseQuery()).cases) == 1


def test_two_operators_at_once_make_one_decision(services, make_report):
    case, _ = services.accept_report(make_report())

    def decide(number: int) -> bool:
        verdict = "confirm" if number % 2 else "reject"
        try:
            services.review_case(
                case.case_id, ReviewRequest(verdict=verdict, operator=f"op{number}", version=1)
            )
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(decide, range(10))) == 1
    assert len(services.get_case(case.case_id).reviews) == 1


def test_the_same_id_with_another_payload_is_refused(services, make_report):
    services.accept_report(make_report())
    with pytest.raises(ReportDiffers, match="another payload"):
        services.accept_report(make_report(confidence=0.5))


LATER = {
    "report_id": str(uuid4()),
    "started_at": "2026-11-23T05:00:00Z",
    "observed_at": "2026-11-23T05:03:00Z",
}
NEAR = {"box": {"x0": 0.11, "y0": 0.2, "x1": 0.3, "y1": 0.4}}


def test_a_watcher_that_could_not_ask_opens_no_second_case_of_what_stands_there(services, make_report):
    first, _ = services.accept_report(make_report())
    again = make_report(**LATER, **NEAR, unaware=True)
    assert services.accept_report(make_report(confidence=0.5, unaware=True)) == (first, False), "the same id"
    for _ in range(2):  # sent again after a lost reply
        assert services.accept_report(again) == (first, False)
    end = EventEnd(report_id=first.report.report_id, ended_at=again.observed_at + timedelta(minutes=9))
    ended = services.end_event(end)
    assert services.accept_report(again) == (ended, False), "it was open when the thing was seen"
    assert len(services.list_cases(CaseQuery()).cases) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"unaware": True, "zone_id": "kerb-west"},
        {"unaware": True, "kind": "street_vending"},
        {"unaware": True, "source_id": "cam-2"},
        {"unaware": True, "box": {"x0": 0.25, "y0": 0.2, "x1": 0.45, "y1": 0.4}},
        {"unaware": True, "started_at": "2026-11-23T00:00:00Z"},
    ],
    ids=["asked", "zone", "kind", "camera", "place", "earlier"],
)
def test_another_thing_has_a_case_of_its_own(services, make_report, changes):
    services.accept_report(make_report())
    assert services.accept_report(make_report(**{**LATER, **NEAR, **changes}))[1]


def test_what_had_left_before_is_another_thing(services, make_report):
    first, _ = services.accept_report(make_report())
    services.end_event(EventEnd(report_id=first.report.report_id, ended_at="2026-11-23T04:00:00Z"))
    assert services.accept_report(make_report(**LATER, **NEAR, unaware=True))[1]


def test_a_report_sent_again_in_another_time_zone_is_the_same(services, make_report):
    first, _ = services.accept_report(make_report())
    again, created = services.accept_report(make_report(started_at="2026-11-23T09:15:00+08:00"))
    assert (again.case_id, created) == (first.case_id, False)


def test_missing_evidence_is_named_and_nothing_is_stored(services, make_report, make_picture, jpeg):
    report = make_report(evidence=[make_picture()])
    with pytest.raises(MissingEvidence) as raised:
        services.accept_report(report)
    assert raised.value.extra == {"missing": [jpeg[0]]}
    assert services.list_cases(CaseQuery()).cases == ()
    services.put_evidence(jpeg[0], "image/jpeg", [jpeg[1]], sealed=False)
    assert services.accept_report(report)[1]


def test_a_public_copy_does_not_stand_for_the_sealed_original(services, make_report, make_picture, jpeg):
    services.put_evidence(jpeg[0], "image/jpeg", [jpeg[1]], sealed=False)
    with pytest.raises(MissingEvidence):
        services.accept_report(make_report(evidence=[make_picture(sealed=True)]))


@pytest.mark.parametrize("change", [{"size_bytes": 7}, {"media_type": "video/mp4"}])
def test_a_report_that_contradicts_its_evidence_is_refused(services, make_report, make_picture, jpeg, change):
    services.put_evidence(jpeg[0], "image/jpeg", [jpeg[1]], sealed=False)
    with pytest.raises(Unacceptable, match="the report says"):
        services.accept_report(make_report(evidence=[make_picture(**change)]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"observed_at": "2026-11-23T01:00:00Z"}, "before it started"),
        ({"site": "a\x00b"}, "NUL"),
        ({"location": {"lat": 1, "lon": 1, "error_m": float("inf"), "method": "homography"}}, "not finite"),
    ],
)
def test_a_senseless_report_is_refused(services, make_report, change, said):
    try:
        report = make_report(**change)
    except ValueError:
        return  # the wire format refuses it already
    with pytest.raises(Unacceptable, match=said):
        services.accept_report(report)


def test_auto_confirm_is_recorded_as_such(make_services, make_report):
    services = make_services(auto_confirm=parse_auto_confirm(["illegal_parking:0.8"]))
    case, _ = services.accept_report(make_report())
    assert case.status is CaseStatus.CONFIRMED
    assert (case.reviews[0].operator, case.reviews[0].reason) == ("auto", "auto-confirm illegal_parking:0.8")
    assert case.dispatch.state == "pending"


def test_auto_confirm_leaves_the_less_certain_and_other_kinds(make_services, make_report):
    services = make_services(auto_confirm=parse_auto_confirm(["illegal_parking:0.95"]))
    assert services.accept_report(make_report())[0].status is CaseStatus.REPORTED
    assert services.accept_report(make_report(2, kind="flying_wire", confidence=1.0))[0].reviews == ()


def test_a_person_cannot_pass_for_auto(services, make_report):
    case, _ = services.accept_report(make_report())
    with pytest.raises(Unacceptable, match="not of a person"):
        services.review_case(case.case_id, ReviewRequest(verdict="confirm", operator="auto"))


def test_the_same_decision_again_is_fine_and_counts_once(services, make_report):
    case, _ = services.accept_report(make_report())
    first = services.review_case(case.case_id, LI)
    assert services.review_case(case.case_id, LI) == first
    assert len(first.reviews) == 1


def test_another_decision_afterwards_is_a_conflict(services, make_report):
    case, _ = services.accept_report(make_report())
    services.review_case(case.case_id, LI)
    with pytest.raises(Conflict, match="confirmed: reject is not possible"):
        services.review_case(case.case_id, ReviewRequest(verdict="reject", operator="li"))
    with pytest.raises(Conflict, match="version 2"):
        services.review_case(case.case_id, ReviewRequest(verdict="confirm", operator="wu", version=1))


def test_a_rejected_case_is_never_sent(services, make_report):
    case, _ = services.accept_report(make_report())
    services.review_case(case.case_id, ReviewRequest(verdict="reject", operator="li"))
    assert services.due_dispatches() == []


def test_unknown_things_are_not_found(services):
    for call in (services.get_case, services.history):
        with pytest.raises(NotFound):
            call(uuid4())
    with pytest.raises(NotFound):
        services.review_case(uuid4(), LI)
    with pytest.raises(NotFound):
        services.redrive(uuid4(), "li")


def test_the_end_of_an_event_is_noted_once(services, make_report):
    report = make_report()
    case, _ = services.accept_report(report)
    end = EventEnd(report_id=report.report_id, ended_at=report.observed_at + timedelta(minutes=5))
    assert services.end_event(end).ended_at == end.ended_at
    later = end.model_copy(update={"ended_at": end.ended_at + timedelta(minutes=1)})
    assert services.end_event(later).ended_at == end.ended_at
    assert services.get_case(case.case_id).version == 1
    assert [entry.what for entry in services.history(case.case_id)] == ["reported", "ended"]


def test_an_end_needs_a_report_and_cannot_come_before_it(services, make_report):
    report = make_report()
    end = EventEnd(report_id=report.report_id, ended_at=report.started_at - timedelta(seconds=1))
    with pytest.raises(NotFound):
        services.end_event(end)
    services.accept_report(report)
    with pytest.raises(Unacceptable, match="cannot end before it started"):
        services.end_event(end)


def test_pages_come_newest_first_and_miss_nothing(services, make_report):
    for number in range(25):
        services.accept_report(make_report(number, kind="road_litter" if number % 5 else "bin_overflow"))
    seen, before = [], None
    while True:
        page = services.list_cases(CaseQuery(limit=10, before=before))
        seen += [case.report.report_id for case in page.cases]
        before = page.next_before
        if before is None:
            break
    assert seen == [make_report(number).report_id for number in reversed(range(25))]
    assert len(services.list_cases(CaseQuery(kinds=("bin_overflow",))).cases) == 5
    assert services.list_cases(CaseQuery(source_ids=("cam-9",))).cases == ()
    assert services.list_cases(CaseQuery(since=make_report().observed_at + timedelta(seconds=1))).cases == ()
    assert len(services.list_cases(CaseQuery(statuses=(CaseStatus.REPORTED,), limit=50)).cases) == 25


def test_statistics_count(services, make_report):
    services.accept_report(make_report(1))
    case, _ = services.accept_report(make_report(2, source_id="cam-2"))
    services.review_case(case.case_id, LI)
    counts = services.statistics()
    assert counts.by_status == {"confirmed": 1, "reported": 1}
    assert counts.by_source == {"cam-1": 1, "cam-2": 1}
    assert counts.by_dispatch_state == {"pending": 1}


def test_changes_can_be_followed(services, make_report):
    assert services.last_change() == 0
    case, _ = services.accept_report(make_report())
    services.review_case(case.case_id, LI)
    entries = services.changes(after=1)
    assert [(entry.what, entry.actor) for entry in entries] == [("confirm", "li")]
    assert services.last_change() == entries[-1].entry


# -- dispatch --


def confirmed(services, make_report, number=1):
    case, _ = services.accept_report(make_report(number))
    return services.review_case(case.case_id, LI)


def test_a_lease_keeps_others_away_until_it_ends(services, make_report, clock):
    confirmed(services, make_report)
    assert len(services.due_dispatches()) == 1
    assert services.due_dispatches() == []
    clock.forward(Retry().lease_s)
    assert len(services.due_dispatches()) == 1


def test_failures_back_off_and_end_as_a_dead_letter(make_services, make_report, clock):
    services = make_services(retry=Retry(base_s=2.0, attempts_max=3))
    case = confirmed(services, make_report)
    for _ in range(3):
        (job,) = services.due_dispatches()
        services.record_failure(job.dispatch.dispatch_id, "HTTP 503", permanent=False)
        assert services.due_dispatches() == []
        clock.forward(60)
    assert services.due_dispatches() == []
    (dead,) = services.dead_letters()
    assert (dead.case_id, dead.dispatch.attempts, dead.dispatch.last_error) == (case.case_id, 3, "HTTP 503")
    assert services.get_case(case.case_id).status is CaseStatus.CONFIRMED
    assert services.get_case(case.case_id).dispatch.state == "dead"


def test_retry_after_is_honoured(services, make_report, clock):
    confirmed(services, make_report)
    (job,) = services.due_dispatches()
    services.record_failure(job.dispatch.dispatch_id, "HTTP 429", permanent=False, retry_after_s=90.0)
    clock.forward(89)
    assert services.due_dispatches() == []
    clock.forward(1)
    assert len(services.due_dispatches()) == 1


def test_a_dead_letter_is_sent_again_under_the_same_key(services, make_report):
    case = confirmed(services, make_report)
    (job,) = services.due_dispatches()
    services.record_failure(job.dispatch.dispatch_id, "HTTP 400", permanent=True)
    services.redrive(job.dispatch.dispatch_id, "li")
    with pytest.raises(Conflict, match="not a dead letter"):
        services.redrive(job.dispatch.dispatch_id, "li")
    (again,) = services.due_dispatches()
    assert again.dispatch.idempotency_key == job.dispatch.idempotency_key
    assert again.body == job.body
    services.record_receipt(again.dispatch.dispatch_id, Receipt(receipt_id="SZ1"))
    assert services.get_case(case.case_id).status is CaseStatus.DISPATCHED
    assert services.dead_letters() == []


def test_a_receipt_counts_once(services, make_report):
    confirmed(services, make_report)
    (job,) = services.due_dispatches()
    services.record_receipt(job.dispatch.dispatch_id, Receipt(receipt_id="SZ1"))
    case = services.record_receipt(job.dispatch.dispatch_id, Receipt(receipt_id="SZ2"))
    assert case.dispatch.receipt.receipt_id == "SZ1"
    services.record_failure(job.dispatch.dispatch_id, "too late", permanent=True)
    assert services.get_case(case.case_id).dispatch.state == "delivered"


def said(case, status, receipt_id="SZ1"):
    return Callback(case_id=case.case_id, receipt_id=receipt_id, status=status, at=case.updated_at)


def test_a_callback_moves_the_case_once(services, make_report):
    case = confirmed(services, make_report)
    services.record_receipt(case.dispatch.dispatch_id, Receipt(receipt_id="SZ1"))
    for _ in range(3):
        assert services.handle_callback("m1", said(case, "handled")).status is CaseStatus.HANDLED
    assert services.handle_callback("m2", said(case, "handled")).status is CaseStatus.HANDLED
    assert services.handle_callback("m3", said(case, "closed")).status is CaseStatus.CLOSED
    assert [entry.what for entry in services.history(case.case_id)] == [
        "reported",
        "confirm",
        "dispatch",
        "handle",
        "close",
    ]


def test_a_callback_may_overtake_the_answer(services, make_report):
    case = confirmed(services, make_report)
    (job,) = services.due_dispatches()
    assert services.handle_callback("m1", said(case, "handled")).status is CaseStatus.HANDLED
    after = services.record_receipt(job.dispatch.dispatch_id, Receipt(receipt_id="SZ1"))
    assert (after.status, after.dispatch.state) == (CaseStatus.HANDLED, "delivered")


def test_a_callback_that_fits_nothing_is_refused_and_may_come_again(services, make_report):
    case, _ = services.accept_report(make_report())
    with pytest.raises(Conflict, match="never sent"):
        services.handle_callback("m1", said(case, "handled"))
    with pytest.raises(NotFound):
        services.handle_callback("m1", said(case, "handled").model_copy(update={"case_id": uuid4()}))
    case = services.review_case(case.case_id, LI)
    services.record_receipt(case.dispatch.dispatch_id, Receipt(receipt_id="SZ1"))
    with pytest.raises(Conflict, match="has the receipt 'SZ1'"):
        services.handle_callback("m1", said(case, "handled", "SZ9"))
    assert services.handle_callback("m1", said(case, "returned")).status is CaseStatus.RETURNED
