"""Cases of a group that fell are shown once, whoever tells them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from ingest.client import ApiClient, TryLater
from ingest.fleet.ray_missed import ASK_S, FOR_S, Shown


class Api:
    """What the API knows; `away`: it does not answer."""

    def __init__(self):
        self.cases, self.asked, self.away = [], 0, False

    def cases_since(self, at):
        self.asked += 1
        if self.away:
            raise TryLater("nobody answers")
        return [case for case in reversed(self.cases) if case["at"] >= at]

    def close(self):
        pass


def case(report_id, source_id="cam", at=None):
    return {"report_id": report_id, "source_id": source_id, "at": at or datetime.now(UTC)}


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def seen():
    return []


@pytest.fixture
def shown(api, seen):
    return Shown(lambda case: seen.append(case["report_id"]), api, lambda: {"cam"})


def look(shown, now):
    shown.catch_up(now)
    until = time.monotonic() + 10
    while shown._asked is not None and not shown._asked.done() and time.monotonic() < until:
        time.sleep(0.01)
    shown.catch_up(now)


def test_the_api_is_asked_only_after_a_fall_and_for_a_while(shown, api):
    look(shown, 0.0)
    assert api.asked == 0
    shown.fell(10.0)
    for second in range(10, 200):
        look(shown, float(second))
    assert api.asked == pytest.approx(FOR_S / ASK_S, abs=2)


def test_what_a_fallen_group_had_not_told_is_shown_once(shown, api, seen):
    shown.take([case("told")])
    api.cases = [
        case("before", at=datetime.now(UTC) - timedelta(hours=1)),
        case("told"),
        case("other", source_id="elsewhere"),
        case("untold"),
    ]
    shown.fell(0.0)
    look(shown, 0.0)
    shown.take([case("untold"), case("next")])
    look(shown, ASK_S)
    assert seen == ["told", "untold", "next"]


def test_an_api_that_is_away_is_asked_again(shown, api, seen):
    api.away = True
    shown.fell(0.0)
    look(shown, 0.0)
    api.away, api.cases = False, [case("late")]
    look(shown, ASK_S)
    assert seen == ["late"]


def test_at_the_end_nothing_is_missing(shown, api, seen):
    shown.fell(0.0)
    look(shown, 0.0)
    api.cases = [case("last")]
    shown.close()
    assert seen == ["last"]


def test_pages_are_walked_back_to_the_time(monkeypatch):
    noon = datetime(2026, 11, 25, 12, tzinfo=UTC)
    rows = [{"received_at": (noon + timedelta(minutes=n)).isoformat()} for n in range(5, -5, -1)]

    def send(_self, _method, _path, _body, _headers, params):
        import json

        start = int(params.get("before", 0))
        after = start + 3 if start + 3 < len(rows) else None
        return json.dumps({"cases": rows[start : start + 3], "next_before": after}).encode()

    monkeypatch.setattr(ApiClient, "_send", send)
    with ApiClient("http://127.0.0.1:9") as client:
        assert client.cases_since(noon) == rows[:6]
        assert client.cases_since(noon - timedelta(days=1)) == rows
