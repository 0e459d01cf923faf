"""From confirmation to receipt against real receivers, and what happens when they are none."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import time
from datetime import timedelta

import httpx2
import pytest

from api.dispatch import Target, open_dispatcher
from api.dispatch.sandbox import MAILBOX, Mailbox, SandboxSettings, create_sandbox
from api.dispatch.signature import SignatureError, new_secret, signed, verified_id
from api.dispatch.worker import DispatchWorker
from api.services import utc_now
from api.settings import Retry
from api.types import CaseStatus, ReviewRequest

SECRET = new_secret()


@pytest.fixture
def receiver(tmp_path):
    def settings(**changes):
        return SandboxSettings(**{"folder": tmp_path / "sandbox", "secret": SECRET, **changes})

    return settings


def confirm(services, report):
    case, _ = services.accept_report(report)
    return services.review_case(case.case_id, ReviewRequest(verdict="confirm", operator="li"))


def send_due(services, url, timeout_s=1.0):
    async def go():
        target = Target(url=f"{url}/events", secret=SECRET, timeout_s=timeout_s, local=True)
        dispatcher = open_dispatcher("webhook", target)
        try:
            return await DispatchWorker(services, dispatcher).run_once()
        finally:
            await dispatcher.close()

    return asyncio.run(go())


def received(url):
    return httpx2.get(f"{url}/received", trust_env=False).json()


def test_a_confirmed_case_arrives_with_public_facts_only(
    served, services, make_report, make_picture, jpeg, receiver
):
    for sealed in (False, True):
        services.put_evidence(jpeg[0], "image/jpeg", [jpeg[1]], sealed=sealed)
    case = confirm(services, make_report(evidence=[make_picture(), make_picture(role="near", sealed=True)]))
    with served(create_sandbox(receiver())) as url:
        assert send_due(services, url) == 1
        (entry,) = received(url)
    data = entry["event"]["data"]
    assert data["case_id"] == str(case.case_id)
    assert data["source"] == "视频智能上报"
    assert [ref["role"] for ref in data["evidence"]] == ["far"]
    assert "li" not in json.dumps(data.get("reviews", ""))
    after = services.get_case(case.case_id)
    assert after.status is CaseStatus.DISPATCHED
    assert after.dispatch.receipt.receipt_id == entry["receipt_id"]
    assert after.dispatch.receipt.deadline > after.dispatch.receipt.accepted_at


def test_a_lost_reply_makes_one_case_there(served, make_services, make_report, receiver, clock):
    services = make_services(retry=Retry(base_s=1.0))
    case = confirm(services, make_report())
    with served(create_sandbox(receiver(hang_s=2.0))) as url:
        send_due(services, url, timeout_s=0.5)
        failed = services.get_case(case.case_id)
        assert (failed.status, failed.dispatch.attempts) == (CaseStatus.CONFIRMED, 1)
        assert failed.dispatch.last_error == "no answer within 0.5 s"
        clock.forward(60)
        send_due(services, url, timeout_s=5.0)
        assert len(received(url)) == 1
    assert services.get_case(case.case_id).status is CaseStatus.DISPATCHED


def test_a_receiver_that_fails_half_the_time_gets_everything_once(
    served, make_services, make_report, receiver, clock
):
    services = make_services()
    for number in range(10):
        confirm(services, make_report(number))
    turns = iter(range(10_000))
    settings = receiver(fail_rate=0.5, chance=lambda: next(turns) % 2)
    with served(create_sandbox(settings)) as url:
        for _ in range(20):
            send_due(services, url)
            clock.forward(600)
        assert len(received(url)) == 10
    assert services.statistics().by_status == {"dispatched": 10}


def test_garbage_is_a_failed_attempt_with_its_reason(served, services, make_report, receiver):
    case = confirm(services, make_report())
    with served(create_sandbox(receiver(garbage=True))) as url:
        send_due(services, url)
    dispatch = services.get_case(case.case_id).dispatch
    assert (dispatch.state, dispatch.attempts) == ("pending", 1)
    assert "no receipt" in dispatch.last_error


def test_a_wrong_secret_ends_as_a_dead_letter_until_redriven(served, services, make_report, receiver):
    case = confirm(services, make_report())
    with served(create_sandbox(receiver(secret=new_secret()))) as url:
        send_due(services, url)
    (letter,) = services.dead_letters()
    assert "HTTP 401" in letter.dispatch.last_error
    assert services.get_case(case.case_id).status is CaseStatus.CONFIRMED
    services.redrive(letter.dispatch.dispatch_id, "li")
    with served(create_sandbox(receiver())) as url:
        send_due(services, url)
    assert services.get_case(case.case_id).status is CaseStatus.DISPATCHED


def test_a_dead_target_does_not_hold_up_reports(services, make_client, make_payload):
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        dispatcher = open_dispatcher("webhook", Target(url=url, secret=SECRET, timeout_s=30.0, local=True))
        client = make_client(dispatcher=dispatcher, poll_s=0.05)
        case = client.post("/v1/reports", json=make_payload(0)).json()
        review = {"verdict": "confirm", "operator": "li"}
        client.post(f"/v1/cases/{case['case_id']}/reviews", json=review)
        time.sleep(0.3)
        began = time.monotonic()
        for number in range(1, 20):
            assert client.post("/v1/reports", json=make_payload(number)).status_code == 201
        assert time.monotonic() - began < 10


def test_a_fault_in_a_dispatcher_does_not_end_the_worker(services, make_report, caplog):
    class Broken:
        async def send(self, job):
            raise ZeroDivisionError

        async def close(self):
            pass

    confirm(services, make_report())
    with caplog.at_level(logging.ERROR):
        assert asyncio.run(DispatchWorker(services, Broken()).run_once()) == 1
    assert "it will be sent again" in caplog.text


def test_the_sandbox_calls_back(served, make_client, services, make_report, receiver):
    case = confirm(services, make_report())
    client = make_client(callback_secret=SECRET)
    with served(client.app) as api_url:
        callback = f"{api_url}/v1/dispatch/callbacks"
        with served(create_sandbox(receiver(callback_url=callback, handled_after_s=0.1))) as url:
            send_due(services, url)
            for _ in range(100):
                if services.get_case(case.case_id).status is CaseStatus.HANDLED:
                    break
                time.sleep(0.1)
    assert services.get_case(case.case_id).status is CaseStatus.HANDLED


# -- the sandbox's mail box --


def event(number=1):
    return {"data": {"case_id": f"c{number}"}}


def test_the_mailbox_survives_a_kill_in_the_middle_of_a_line(tmp_path):
    Mailbox(tmp_path).add("k1", "m1", event(), utc_now())
    with (tmp_path / MAILBOX).open("a") as stream:
        stream.write('{"what": "rece')
    again = Mailbox(tmp_path)
    assert again.get("k1")["receipt_id"] == Mailbox(tmp_path).get("k1")["receipt_id"]
    again.add("k2", "m2", event(2), utc_now())
    assert [entry["key"] for entry in Mailbox(tmp_path).entries] == ["k1", "k2"]


def test_the_mailbox_knows_whom_it_told(tmp_path):
    box = Mailbox(tmp_path)
    box.add("k1", "m1", event(), utc_now())
    assert len(Mailbox(tmp_path).unhandled) == 1
    box.mark_handled("k1")
    assert Mailbox(tmp_path).unhandled == []


# -- signatures --

BODY = b'{"a": "\xe5\x8d\x97"}'


def test_a_signature_is_verified():
    assert verified_id(SECRET, signed(SECRET, "m1", utc_now(), BODY), BODY) == "m1"


def test_the_signature_is_the_standards_own():
    """The example of the Standard Webhooks reference libraries' test suite, computed with the hmac module."""
    import hashlib
    import hmac

    at = utc_now()
    headers = signed(SECRET, "msg_1", at, BODY)
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    content = b"msg_1." + str(int(at.timestamp())).encode() + b"." + BODY
    wanted = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_message_of_another_time_is_refused(minutes):
    headers = signed(SECRET, "m1", utc_now() + timedelta(minutes=minutes), BODY)
    with pytest.raises(SignatureError, match=r"too (old|new)"):
        verified_id(SECRET, headers, BODY)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "m2"},
        {"webhook-timestamp": "yesterday"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e400"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,!!!"},
        {"webhook-signature": "v1,a,b"},
        {"webhook-signature": "v2,AAAA"},
    ],
)
def test_a_forged_message_is_refused(change):
    with pytest.raises(SignatureError):
        verified_id(SECRET, {**signed(SECRET, "m1", utc_now(), BODY), **change}, BODY)


def test_another_secret_or_body_is_refused():
    headers = signed(SECRET, "m1", utc_now(), BODY)
    for secret, body in ((new_secret(), BODY), (SECRET, BODY + b" "), (SECRET, b"\xff")):
        with pytest.raises(SignatureError):
            verified_id(secret, headers, body)


def test_while_keys_rotate_one_right_signature_is_enough():
    headers = signed(SECRET, "m1", utc_now(), BODY)
    headers["webhook-signature"] = f"v1,AAAA {headers['webhook-signature']}"
    assert verified_id(SECRET, headers, BODY) == "m1"
