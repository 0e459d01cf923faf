from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from api.dispatch.signature import new_secret, signed
from api.http import COOKIE
from api.services import Services, utc_now
from api.settings import Limits
from api.store import CaseStore

PROBLEM = "application/problem+json"


def put_jpeg(client, jpeg, **params):
    return client.put(
        f"/v1/evidence/{jpeg[0]}", content=jpeg[1], params=params, headers={"content-type": "image/jpeg"}
    )


def problem(answer, status, slug):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert (body["status"], body["type"]) == (status, f"urn:kerbwatch:problem:{slug}")
    assert body["detail"]
    assert "\n" not in body["detail"]
    return body


# -- reports --


def test_a_report_becomes_a_case(client, make_payload, make_picture, jpeg):
    assert put_jpeg(client, jpeg).status_code == 201
    answer = client.post("/v1/reports", json=make_payload(evidence=[make_picture()]))
    assert answer.status_code == 201
    case = answer.json()
    assert answer.headers["location"] == f"/v1/cases/{case['case_id']}"
    assert client.get(answer.headers["location"]).json() == case
    wanted = {
        "case_id",
        "kind",
        "code",
        "source_id",
        "zone_id",
        "started_at",
        "observed_at",
        "location",
        "confidence",
        "model",
        "evidence",
        "status",
    }
    assert wanted <= set(case)
    assert set(case["location"]) == {"lat", "lon", "error_m", "crs", "method"}
    assert set(case["code"]) == {"scheme", "version", "code"}
    assert case["started_at"] == "2026-11-23T01:15:00Z"
    assert case["evidence"][0]["path"] == f"/v1/evidence/{jpeg[0]}"
    assert client.get(case["evidence"][0]["path"]).content == jpeg[1]


def test_posting_twenty_times_at_once_makes_one_case(client, make_payload):
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/reports", json=make_payload()), range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["case_id"] for answer in answers}) == 1


def test_the_same_id_with_another_payload(client, make_payload):
    client.post("/v1/reports", json=make_payload())
    problem(client.post("/v1/reports", json=make_payload(confidence=0.1)), 409, "report-differs")


def test_missing_evidence_is_listed(client, make_payload, make_picture, jpeg):
    answer = client.post("/v1/reports", json=make_payload(evidence=[make_picture()]))
    assert problem(answer, 409, "missing-evidence")["missing"] == [jpeg[0]]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"location": {"lat": 131, "lon": 1, "error_m": 1, "method": "homography"}}, "location.lat"),
        ({"kind": "jaywalking"}, "kind"),
        ({"colour": "red"}, "colour"),
        ({"started_at": "2026-11-23T01:15:00"}, "started_at"),
        ({"report_id": "one"}, "report_id"),
        ({"source_id": "../../etc"}, "source_id"),
        ({"model": "street"}, "model"),
    ],
)
def test_a_wrong_report_is_refused_in_one_sentence(client, make_payload, change, where):
    body = problem(client.post("/v1/reports", json=make_payload(**change)), 422, "unacceptable")
    assert body["detail"].startswith(f"{where}: ")
    assert body["errors"][0]["where"] == where


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_report_is_refused(client, body):
    answer = client.post("/v1/reports", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(client, make_payload, number):
    text = json.dumps(make_payload()).replace('"error_m": 1.8', f'"error_m": {number}')
    answer = client.post("/v1/reports", content=text, headers={"content-type": "application/json"})
    problem(answer, 422, "unacceptable")


def test_a_large_body_is_refused_announced_or_not(client):
    problem(client.post("/v1/reports", content=b"x" * 1_100_000), 413, "too-large")
    pieces = (b"x" * 100_000 for _ in range(20))
    assert client.post("/v1/reports", content=pieces).status_code == 413


def test_the_end_of_an_event(client, make_payload):
    report = make_payload()
    url = f"/v1/reports/{report['report_id']}/ended"
    end = {"report_id": report["report_id"], "ended_at": "2026-11-23T02:00:00+00:00"}
    problem(client.post(url, json=end), 404, "not-found")
    client.post("/v1/reports", json=report)
    assert client.post(url, json=end).json()["ended_at"] == "2026-11-23T02:00:00Z"
    problem(client.post(f"/v1/reports/{uuid4()}/ended", json=end), 422, "unacceptable")


# -- evidence --


def test_evidence_is_stored_once(client, jpeg):
    assert [put_jpeg(client, jpeg).status_code for _ in range(2)] == [201, 200]


def test_the_media_type_may_be_left_out(client, jpeg):
    answer = client.put(f"/v1/evidence/{jpeg[0]}", content=jpeg[1])
    assert (answer.status_code, answer.json()["media_type"]) == (201, "image/jpeg")
    clip = b"\x00\x00\x00\x20ftypisom" + b"\x00" * 100
    sha256 = hashlib.sha256(clip).hexdigest()
    assert client.put(f"/v1/evidence/{sha256}", content=clip).json()["media_type"] == "video/mp4"


def test_other_bytes_than_announced_are_refused(client, jpeg):
    answer = client.put(f"/v1/evidence/{'0' * 64}", content=jpeg[1])
    assert jpeg[0] in problem(answer, 422, "evidence-mismatch")["detail"]
    problem(client.get(f"/v1/evidence/{'0' * 64}"), 404, "not-found")


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "image/png"])
def test_other_media_are_refused(client, jpeg, media_type):
    answer = client.put(f"/v1/evidence/{jpeg[0]}", content=jpeg[1], headers={"content-type": media_type})
    problem(answer, 415, "unsupported-media")


def test_bytes_of_no_kind_are_refused(client):
    page = b"<html><script>alert(1)</script>"
    problem(
        client.put(f"/v1/evidence/{hashlib.sha256(page).hexdigest()}", content=page), 415, "unsupported-media"
    )


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fcases.db", "%2e%2e", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "%0A", "a" * 64 + "%00"]
)
def test_no_path_leads_out_of_the_store(client, name):
    for answer in (
        client.get(f"/v1/evidence/{name}"),
        client.put(f"/v1/evidence/{name}", content=b"\xff\xd8\xff"),
    ):
        assert answer.status_code in {404, 405, 422}
        assert answer.headers["content-type"] == PROBLEM


def test_a_sealed_original_is_never_served_nor_listed(client, make_payload, make_picture, jpeg):
    put_jpeg(client, jpeg, sealed=True)
    case = client.post("/v1/reports", json=make_payload(evidence=[make_picture(sealed=True)])).json()
    assert case["evidence"] == []
    assert jpeg[0] not in json.dumps(case)
    problem(client.get(f"/v1/evidence/{jpeg[0]}"), 404, "not-found")


def test_evidence_is_cached_for_ever(client, jpeg):
    put_jpeg(client, jpeg)
    answer = client.get(f"/v1/evidence/{jpeg[0]}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in answer.headers["cache-control"]
    again = client.get(f"/v1/evidence/{jpeg[0]}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("wanted", "status", "first", "last"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=10-", 206, 10, None),
        ("bytes=-5", 206, -5, None),
        ("bytes=0-99999999", 206, 0, None),
        ("bytes=1-0", 416, 0, 0),
        ("bytes=99999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=0-1,4-5", 200, 0, None),
        ("lines=0-1", 200, 0, None),
        ("bytes=-", 200, 0, None),
    ],
)
def test_ranges(client, jpeg, wanted, status, first, last):
    put_jpeg(client, jpeg)
    answer = client.get(f"/v1/evidence/{jpeg[0]}", headers={"range": wanted})
    assert answer.status_code == status
    if status != 416:
        assert answer.content == jpeg[1][first:last]
    assert ("content-range" in answer.headers) == (status != 200)


def test_evidence_over_the_limit_is_refused(make_services, make_client, jpeg):
    client = make_client(services=make_services(limits=Limits(evidence_bytes=1000)))
    problem(put_jpeg(client, jpeg), 413, "too-large")
    pieces = (jpeg[1][at : at + 500] for at in range(0, len(jpeg[1]), 500))
    answer = client.put(f"/v1/evidence/{jpeg[0]}", content=pieces)
    assert answer.status_code == 413
    problem(client.get(f"/v1/evidence/{jpeg[0]}"), 404, "not-found")


def test_a_full_disk_is_507(client, jpeg, monkeypatch):
    import errno
    import os

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = put_jpeg(client, jpeg)
    problem(answer, 507, "out-of-space")
    assert "retry-after" in answer.headers
    monkeypatch.undo()
    assert put_jpeg(client, jpeg).status_code == 201


# -- cases --


def test_a_case_is_confirmed_by_a_person(client, open_case_id):
    url = f"/v1/cases/{open_case_id}"
    answer = client.post(f"{url}/reviews", json={"verdict": "confirm", "operator": "li.na", "version": 1})
    assert answer.status_code == 200
    case = answer.json()
    assert (case["status"], case["stage"], case["version"]) == ("confirmed", "filing", 2)
    assert case["reviews"][0]["operator"] == "li.na"
    assert case["dispatch"]["state"] == "pending"
    entries = client.get(f"{url}/history").json()["entries"]
    assert [entry["what"] for entry in entries] == ["reported", "confirm"]


def test_an_old_version_is_a_conflict(client, open_case_id):
    url = f"/v1/cases/{open_case_id}/reviews"
    client.post(url, json={"verdict": "reject", "operator": "li", "version": 1})
    body = problem(
        client.post(url, json={"verdict": "confirm", "operator": "wu", "version": 1}), 409, "conflict"
    )
    assert (body["version"], body["case_status"]) == (2, "rejected")


@pytest.mark.parametrize(
    "review",
    [
        {},
        {"verdict": "maybe", "operator": "li"},
        {"verdict": "confirm"},
        {"verdict": "confirm", "operator": ""},
        {"verdict": "confirm", "operator": "auto"},
        {"verdict": "confirm", "operator": "li", "version": 0},
        {"verdict": "confirm", "operator": "li", "why": "x"},
        {"verdict": "confirm", "operator": "li\u0000"},
    ],
)
def test_a_wrong_review_is_refused(client, open_case_id, review):
    problem(client.post(f"/v1/cases/{open_case_id}/reviews", json=review), 422, "unacceptable")
    assert client.get(f"/v1/cases/{open_case_id}").json()["status"] == "reported"


def test_cases_are_listed_in_pages(client, make_payload):
    for number in range(5):
        client.post("/v1/reports", json=make_payload(number))
    page = client.get(
        "/v1/cases", params={"limit": 3, "status": "reported", "kind": "illegal_parking"}
    ).json()
    rest = client.get("/v1/cases", params={"before": page["next_before"]}).json()
    assert [len(page["cases"]), len(rest["cases"]), rest["next_before"]] == [3, 2, None]
    assert client.get("/v1/cases", params={"status": ["closed", "handled"]}).json()["cases"] == []
    assert client.get("/v1/cases", params={"since": "2027-01-01T00:00:00+08:00"}).json()["cases"] == []


@pytest.mark.parametrize(
    "params",
    [{"limit": 0}, {"limit": 1000}, {"status": "odd"}, {"kind": "odd"}, {"since": "2026-01-01T00:00:00"}],
)
def test_a_wrong_filter_is_refused(client, params):
    problem(client.get("/v1/cases", params=params), 422, "unacceptable")


def test_unknown_things_are_404(client):
    for url in (f"/v1/cases/{uuid4()}", f"/v1/cases/{uuid4()}/history", "/v1/nothing"):
        problem(client.get(url), 404, "not-found")
    problem(client.post(f"/v1/dispatch/dead-letters/{uuid4()}/redrive"), 404, "not-found")
    assert client.delete("/v1/cases").status_code == 405


def test_statistics_and_health(client, open_case_id):
    assert client.get("/v1/healthz").json() == {"status": "ok"}
    assert client.get("/v1/statistics").json()["by_status"] == {"reported": 1}


def test_a_bug_is_a_problem_document_without_details(client, services, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(services), "statistics", broken)
    answer = client.get("/v1/statistics")
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
    assert "secret" not in answer.text


# -- dead letters and callbacks --


def test_dead_letters_are_listed_and_sent_again(client, services, open_case_id):
    case = client.post(
        f"/v1/cases/{open_case_id}/reviews", json={"verdict": "confirm", "operator": "li"}
    ).json()
    dispatch_id = case["dispatch"]["dispatch_id"]
    problem(client.post(f"/v1/dispatch/dead-letters/{dispatch_id}/redrive"), 409, "conflict")
    services.record_failure(
        dispatch_id=services.get_case(open_case_id).dispatch.dispatch_id, reason="HTTP 400", permanent=True
    )
    (letter,) = client.get("/v1/dispatch/dead-letters").json()["dead_letters"]
    assert (letter["dispatch_id"], letter["last_error"]) == (dispatch_id, "HTTP 400")
    shown = client.get(f"/v1/cases/{open_case_id}").json()
    assert (shown["status"], shown["dispatch"]["state"], shown["dispatch"]["last_error"]) == (
        "confirmed",
        "dead",
        "HTTP 400",
    )
    again = client.post(f"/v1/dispatch/dead-letters/{dispatch_id}/redrive", json={"operator": "li"})
    assert again.json()["state"] == "pending"
    assert client.get("/v1/dispatch/dead-letters").json()["dead_letters"] == []


def test_callbacks_need_the_right_signature(make_client, make_payload):
    secret = new_secret()
    client = make_client(callback_secret=secret, token="t")
    auth = {"authorization": "Bearer t"}
    case = client.post("/v1/reports", json=make_payload(), headers=auth).json()
    url = f"/v1/cases/{case['case_id']}/reviews"
    client.post(url, json={"verdict": "confirm", "operator": "li"}, headers=auth)
    body = json.dumps(
        {"case_id": case["case_id"], "receipt_id": "SZ1", "status": "handled", "at": utc_now().isoformat()}
    ).encode()

    def call(headers, content=body):
        return client.post("/v1/dispatch/callbacks", content=content, headers=headers)

    good = signed(secret, "m1", utc_now(), body)
    problem(call({}), 401, "unauthorised")
    problem(call(signed(new_secret(), "m1", utc_now(), body)), 401, "unauthorised")
    problem(call(good, body + b" "), 401, "unauthorised")
    assert call(good).json()["status"] == "handled"
    assert call(good).json()["version"] == 4
    for wrong in (b"[]", b"{}", b'{"case_id": 1}'):
        problem(call(signed(secret, "m2", utc_now(), wrong), wrong), 422, "unacceptable")


def test_without_a_target_nobody_can_call_back(client):
    problem(client.post("/v1/dispatch/callbacks", content=b"{}"), 404, "not-found")


# -- token --


def test_the_token_guards_everything_but_health(make_client, make_payload, jpeg):
    client = make_client(token="open sesame")
    assert client.get("/v1/healthz").status_code == 200
    for answer in (
        client.get("/v1/cases"),
        client.post("/v1/reports", json=make_payload()),
        client.get("/v1/openapi.json"),
        client.get("/v1/cases", headers={"authorization": "Bearer open"}),
        client.get("/v1/cases", headers={"authorization": "Basic open sesame"}),
        client.get("/v1/cases", headers={"cookie": f"{COOKIE}=wrong"}),
        client.get("/v1//cases"),
        client.get("/"),
    ):
        problem(answer, 401, "unauthorised")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/v1/cases", headers={"authorization": "Bearer open sesame"}).status_code == 200


def test_a_browser_signs_in_once(make_client):
    client = make_client(token="open sesame")
    problem(client.get("/login", params={"token": "wrong"}), 401, "unauthorised")
    answer = client.get("/login", params={"token": "open sesame"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert client.get("/v1/cases").status_code == 200


def test_the_store_is_only_a_protocol(services):
    assert isinstance(services, Services)
    store: CaseStore = services.store
    with store.read() as tx:
        assert tx.last_change() == 0
