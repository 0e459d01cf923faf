"""Leases over HTTP: one camera, one owner."""

from __future__ import annotations

import pytest


def ask(client, owner, *sources, ttl_s=30):
    answer = client.put("/v1/leases", json={"owner": owner, "ttl_s": ttl_s, "sources": sources})
    assert answer.status_code == 200, answer.text
    held, refused = answer.json()["held"], answer.json()["refused"]
    return [lease["source_id"] for lease in held], {lease["source_id"]: lease["owner"] for lease in refused}


def test_the_second_owner_is_refused_and_told_who_has_it(client, clock):
    assert ask(client, "edge-1:1", "cam-1", "cam-2") == (["cam-1", "cam-2"], {})
    assert ask(client, "edge-2:1", "cam-2", "cam-3") == (["cam-3"], {"cam-2": "edge-1:1"})
    clock.forward(29)
    assert ask(client, "edge-1:1", "cam-2") == (["cam-2"], {})
    clock.forward(2)
    assert ask(client, "edge-2:1", "cam-1", "cam-2") == (["cam-1"], {"cam-2": "edge-1:1"})


def test_what_is_given_up_is_free_at_once(client):
    ask(client, "edge-1:1", "cam-1")
    assert ask(client, "edge-2:1", "cam-1", ttl_s=0) == ([], {})  # not his to give up
    assert ask(client, "edge-2:1", "cam-1") == ([], {"cam-1": "edge-1:1"})
    ask(client, "edge-1:1", "cam-1", ttl_s=0)
    assert ask(client, "edge-2:1", "cam-1") == (["cam-1"], {})


@pytest.mark.parametrize(
    "change",
    [{"owner": ""}, {"owner": "a\x00b"}, {"ttl_s": -1}, {"ttl_s": 1e9}, {"sources": []}, {"sources": [""]}],
)
def test_a_request_that_makes_no_sense_is_refused(client, change):
    body = {"owner": "edge-1:1", "ttl_s": 30, "sources": ["cam-1"], **change}
    answer = client.put("/v1/leases", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
