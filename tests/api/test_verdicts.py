"""Decisions that teach: reason codes, corrections, and the list that the training reads."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from api.correction import REASON_CODES
from api.desk.views import REASONS
from api.errors import Conflict
from api.services import Services
from api.settings import parse_auto_confirm
from api.store import open_store
from api.store.sql import upgrade
from api.types import ReviewRequest, VerdictQuery

BOX = {"x0": 0.12, "y0": 0.2, "x1": 0.3, "y1": 0.45}


def review(client, case_id, **changes):
    return client.post(f"/v1/cases/{case_id}/reviews", json={"operator": "li.na", **changes})


def opened(client, make_payload, number=1, **changes):
    return client.post("/v1/reports", json=make_payload(number, **changes)).json()["case_id"]


def verdicts(client, **params):
    answer = client.get("/v1/verdicts", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_correction_is_kept_and_shown(client, open_case_id):
    answer = review(client, open_case_id, verdict="confirm", correction={"box": BOX, "label": "truck"})
    assert answer.status_code == 200
    (shown,) = answer.json()["reviews"]
    assert shown["correction"] == {"box": BOX, "label": "truck", "kind": None}
    assert shown["reason_code"] is None
    assert answer.json()["box"] != BOX  # what was claimed stays as it was
    (verdict,) = verdicts(client)["verdicts"]
    assert verdict["correction"] == shown["correction"]
    assert (verdict["verdict"], verdict["by"], verdict["label"]) == ("confirm", "person", "car")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reason_code": "because"}, "reason_code: "),
        ({"reason_code": "not_there", "correction": {"box": BOX}}, "needs one of the reason codes"),
        ({"correction": {"box": BOX}}, "needs one of the reason codes"),
        (
            {"reason_code": "permitted", "correction": {"kind": "road_litter"}},
            "needs the reason code wrong_kind",
        ),
        ({"verdict": "confirm", "reason_code": "permitted"}, "a confirmation has none"),
        ({"verdict": "confirm", "correction": {"kind": "road_litter"}}, "reject it as wrong_kind"),
        ({"reason_code": "wrong_kind", "correction": {"kind": "jaywalking"}}, "correction.kind: "),
        ({"reason_code": "wrong_kind", "correction": {"label": "a car"}}, "correction.label: "),
        ({"reason_code": "wrong_kind", "correction": {"label": "../car"}}, "correction.label: "),
        ({"reason_code": "wrong_kind", "correction": {}}, "correction: give a box, a label or a kind"),
        ({"verdict": "confirm", "correction": {"box": {**BOX, "x1": 0.12}}}, "x1 must be greater than x0"),
        ({"verdict": "confirm", "correction": {"box": {**BOX, "y1": 1.5}}}, "correction.box.y1: "),
        ({"verdict": "confirm", "correction": {"box": BOX, "colour": "red"}}, "correction.colour: "),
    ],
)
def test_a_decision_that_contradicts_itself_is_refused_in_one_sentence(client, open_case_id, change, said):
    answer = review(client, open_case_id, **{"verdict": "reject", **change})
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert said in detail
    assert "\n" not in detail
    assert "Value error" not in detail
    assert verdicts(client)["verdicts"] == []


def test_a_number_that_is_none_is_refused(client, open_case_id):
    body = json.dumps({"verdict": "confirm", "operator": "li", "correction": {"box": BOX}})
    answer = client.post(
        f"/v1/cases/{open_case_id}/reviews",
        content=body.replace("0.45", "NaN"),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422


def test_the_page_writes_codes_as_text(services: Services, make_report):
    """The page is not changed by this: what it writes is understood."""
    assert set(REASONS) < set(REASON_CODES)
    for number, reason in enumerate((*REASONS, "a loading permit")):
        case, _ = services.accept_report(make_report(number))
        services.review_case(case.case_id, ReviewRequest(verdict="reject", operator="li", reason=reason))
    codes = [one.review.reason_code for one in services.verdicts(VerdictQuery()).verdicts]
    assert codes == [*REASONS, None]


def test_a_code_alone_is_shown_as_the_reason(services: Services, make_report):
    case, _ = services.accept_report(make_report())
    request = ReviewRequest(verdict="reject", operator="li", reason_code="not_there")
    case = services.review_case(case.case_id, request)
    assert case.reviews[0].reason == services.history(case.case_id)[-1].note == "not_there"


def test_a_code_given_wins_over_a_text_that_looks_like_one(services: Services, make_report):
    case, _ = services.accept_report(make_report())
    request = ReviewRequest(verdict="reject", operator="li", reason="duplicate", reason_code="not_there")
    assert services.review_case(case.case_id, request).reviews[0].reason_code == "not_there"


def test_the_same_decision_again_counts_once_but_a_late_correction_is_not_lost(services, make_report):
    case, _ = services.accept_report(make_report())
    corrected = ReviewRequest(verdict="confirm", operator="li", correction={"box": BOX})
    first = services.review_case(case.case_id, corrected)
    assert services.review_case(case.case_id, corrected) == first
    assert services.review_case(case.case_id, ReviewRequest(verdict="confirm", operator="li")) == first
    other = ReviewRequest(verdict="confirm", operator="li", correction={"label": "truck"})
    with pytest.raises(Conflict, match="confirm is not possible"):
        services.review_case(case.case_id, other)


def test_verdicts_come_oldest_first_page_by_page(client, make_payload):
    ids = [opened(client, make_payload, number) for number in range(5)]
    for case_id in reversed(ids):
        review(client, case_id, verdict="confirm")
    first = verdicts(client, limit=2)
    second = verdicts(client, limit=2, after=first["next_after"])
    third = verdicts(client, limit=2, after=second["next_after"])
    assert third["next_after"] is None
    pages = [*first["verdicts"], *second["verdicts"], *third["verdicts"]]
    assert [verdict["case_id"] for verdict in pages] == list(reversed(ids))
    assert verdicts(client, after=pages[-1]["entry"])["verdicts"] == []


def test_verdicts_since(client, make_payload, clock):
    review(client, opened(client, make_payload, 1), verdict="confirm")
    clock.forward(3600)
    late = opened(client, make_payload, 2)
    review(client, late, verdict="reject", reason_code="not_there")
    since = (clock() - timedelta(minutes=1)).isoformat()
    (verdict,) = verdicts(client, since=since)["verdicts"]
    assert (verdict["case_id"], verdict["reason_code"]) == (late, "not_there")
    assert client.get("/v1/verdicts", params={"since": "2026-11-23T01:00:00"}).status_code == 422


def test_a_verdict_names_the_sealed_original_and_no_operator(client, make_payload, make_picture, jpeg):
    for sealed in (False, True):
        client.put(f"/v1/evidence/{jpeg[0]}", content=jpeg[1], params={"sealed": sealed})
    stills = [make_picture(), make_picture(sealed=True)]
    case_id = opened(client, make_payload, evidence=stills)
    review(
        client, case_id, verdict="reject", reason="seen by Wang Wei, plate A12345", reason_code="permitted"
    )
    (verdict,) = verdicts(client)["verdicts"]
    assert [(still["role"], still["sealed"]) for still in verdict["stills"]] == [
        ("far", False),
        ("far", True),
    ]
    assert "li.na" not in json.dumps(verdict)
    assert "Wang" not in json.dumps(verdict)


def test_what_no_person_saw_says_so(make_services, make_client, make_payload):
    client = make_client(services=make_services(auto_confirm=parse_auto_confirm(["illegal_parking:0.8"])))
    opened(client, make_payload)
    assert [verdict["by"] for verdict in verdicts(client)["verdicts"]] == ["auto"]


def test_the_list_wants_the_token(make_client):
    assert make_client(token="secret").get("/v1/verdicts").status_code == 401


def test_a_store_of_the_first_version_is_brought_up_with_its_decisions(tmp_path, make_report):
    """0001 with a confirmed and three rejected cases, as the page and a client wrote them."""
    url = f"sqlite:///{tmp_path}/cases.db"
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("PRAGMA journal_mode=WAL"))
    upgrade(engine, "0001")
    engine.dispose()
    reasons = ("confirm", ""), ("reject", "permitted"), ("reject", "loading permit"), ("confirm", "permitted")
    with sqlite3.connect(tmp_path / "cases.db") as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(reviews)")]
        assert "correction" not in columns
        for number, (verdict, reason) in enumerate(reasons):
            add_old(connection, number, make_report(number), verdict, reason)
    connection.close()
    store = open_store(url)
    with store.read() as tx:
        found = tx.verdicts(VerdictQuery()).verdicts
    store.close()
    said = [(one.review.verdict, one.review.reason, one.review.reason_code) for one in found]
    assert said == [
        ("confirm", "", None),
        ("reject", "permitted", "permitted"),
        ("reject", "loading permit", None),
        ("confirm", "permitted", None),
    ]
    assert all(one.review.correction is None for one in found)


def add_old(connection, number, report, verdict, reason):
    """Write a case and its decision as revision 0001 kept them."""
    case_id, at = f"{number:032x}", "2026-11-23 02:00:00.000000"
    status = {"confirm": "confirmed", "reject": "rejected"}[verdict]
    connection.execute(
        "INSERT INTO cases (case_id, report_id, kind, source_id, observed_at, status, version, received_at,"
        " updated_at, digest, report) VALUES (?, ?, ?, ?, ?, ?, 2, ?, ?, '', ?)",
        (
            case_id,
            report.report_id.hex,
            report.kind,
            report.source_id,
            at,
            status,
            at,
            at,
            report.model_dump_json(),
        ),
    )
    connection.execute(
        "INSERT INTO reviews (case_id, verdict, operator, reason, at) VALUES (?, ?, 'li', ?, ?)",
        (case_id, verdict, reason, at),
    )
