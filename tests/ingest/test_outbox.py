"""The outbox against a real server that fails, hangs, drops connections and lies; and kill -9."""

from __future__ import annotations

import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from detector.errors import Failure, WrongUse
from ingest.client import ApiClient
from ingest.outbox import Outbox
from ingest.report import CaseReport, EvidenceRef
from tests.api_stand_in import Answer, ApiStandIn
from tests.ingest.reports import end_of, report_with_files

BACKOFF = (0.02, 0.1)


@pytest.fixture
def api() -> Iterator[ApiStandIn]:
    with ApiStandIn() as api:
        yield api


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def box(tmp_path: Path, spool: Path, api: ApiStandIn) -> Iterator[Outbox]:
    with opened(tmp_path, spool, api) as box:
        yield box


@contextmanager
def opened(folder: Path, spool: Path, api: ApiStandIn | None, **options: object) -> Iterator[Outbox]:
    def path_of(ref: EvidenceRef) -> Path:
        return spool / ref.sha256

    with ExitStack() as stack:
        client = stack.enter_context(ApiClient(api.url, timeout_s=0.5)) if api else None
        yield stack.enter_context(
            Outbox(folder / "outbox.db", client, path_of, **{"backoff_s": BACKOFF, **options})
        )


def first(count: int, answer: Answer, method: str = "", ending: str = "") -> object:
    """Give a behaviour: the first `count` requests of this kind get `answer`."""
    left = [count]

    def behave(its_method: str, path: str, _: int) -> Answer | None:
        if left[0] and its_method.startswith(method) and path.endswith(ending):
            left[0] -= 1
            return answer
        return None

    return behave


# -- the good way --


def test_the_end_of_a_thing_that_had_a_case_already_is_the_end_of_that_case(
    box: Outbox, api: ApiStandIn, spool: Path
) -> None:
    report = report_with_files(1, spool)
    known = "0b7c2f0e-54cf-5a31-9f3b-4a5a2e6c7d10"
    api.cases[known] = api.cases[str(report.report_id)] = {"case_id": "case-9", "report_id": known}
    assert box.put(report)
    assert box.put_end(end_of(report, spool))
    assert box.start().flush(5) == [], "nothing new"
    assert list(api.ended) == [known]
    assert api.ended[known]["report_id"] == known
    assert not box.dead()


def test_an_api_that_does_not_know_the_word_is_not_told_it(spool: Path) -> None:
    report = report_with_files(1, spool)
    assert "unaware" not in report.wire()
    unaware = report.model_copy(update={"unaware": True})
    assert CaseReport.model_validate_json(unaware.wire()) == unaware


def test_evidence_first_then_report_then_end(box: Outbox, api: ApiStandIn, spool: Path) -> None:
    report = report_with_files(1, spool)
    assert box.put(report)
    assert box.put_end(end_of(report, spool))
    receipts = box.start().flush(5)
    assert receipts == [(str(report.report_id), {"case_id": "case-0", "kind": "illegal_parking"})]
    methods = [method for method, _ in api.seen]
    assert methods == ["PUT", "PUT", "POST", "PUT", "POST"]
    assert api.seen[1][1].endswith("?sealed=1")
    assert api.seen[2][1] == "/v1/reports"
    assert api.seen[4][1] == f"/v1/reports/{report.report_id}/ended"
    assert api.ended[str(report.report_id)]["ended_at"] == "2026-03-01T09:00:00Z"
    assert box.pending() == box.dead() == box.flush(0) == []


def test_the_same_report_twice_is_one_letter(box: Outbox, api: ApiStandIn, spool: Path) -> None:
    report = report_with_files(1, spool)
    assert box.put(report)
    assert not box.put(report)
    assert len(box.flush(5)) == 1
    assert not box.put(report)
    assert len(box.flush(5)) == 1, "a run that is repeated prints its cases again"
    assert api.made.total() == 1


def test_token_is_sent(tmp_path: Path, spool: Path, api: ApiStandIn) -> None:
    with (
        ApiClient(api.url, token="geheim") as client,
        Outbox(tmp_path / "o.db", client, lambda ref: spool / ref.sha256) as box,
    ):
        box.put(report_with_files(1, spool))
        box.flush(5)
    assert {headers["Authorization"] for headers in api.headers} == {"Bearer geheim"}


def test_without_a_client_letters_are_only_kept(tmp_path: Path, spool: Path) -> None:
    with opened(tmp_path, spool, None) as box:
        box.put(report_with_files(1, spool))
        assert box.start().flush(0.1) == []
        assert len(box.pending()) == 1


# -- the API misbehaves --


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(503, b"<html>busy</html>"),
        Answer(408),
        Answer(425),
        Answer(429),
        Answer(409),
        Answer(302, headers={"Location": "http://example.org/"}),
        Answer(200, b"<html>welcome to our hotel</html>"),
        Answer(200, b"[]"),
        Answer(drop="before"),
        Answer(drop="after"),
        Answer(hang_s=0.8),
    ],
    ids=["500", "503", "408", "425", "429", "409", "302", "garbage", "list", "drop", "drop after", "hang"],
)
def test_what_passes_is_tried_again_and_makes_one_case(
    box: Outbox, api: ApiStandIn, spool: Path, answer: Answer
) -> None:
    api.behave = first(2, answer, "POST")
    box.put(report_with_files(1, spool))
    assert len(box.flush(10)) == 1
    assert api.made.total() == 1
    assert len(api.evidence) == 2


def test_upload_that_breaks_off_is_done_again(box: Outbox, api: ApiStandIn, spool: Path) -> None:
    api.behave = first(3, Answer(drop="before"), "PUT")
    box.put(report_with_files(1, spool))
    assert len(box.flush(10)) == 1


def test_evidence_that_the_api_lost_is_uploaded_again(box: Outbox, api: ApiStandIn, spool: Path) -> None:
    api.behave = first(1, Answer(503), "POST")
    box.put(report_with_files(1, spool))
    box.send_one()
    assert len(api.evidence) == 2
    api.evidence.clear()
    assert len(box.flush(10)) == 1
    assert len(api.evidence) == 2


@pytest.mark.parametrize("how", ["seconds", "date"])
def test_retry_after_is_honoured(box: Outbox, api: ApiStandIn, spool: Path, how: str) -> None:
    after = (
        "1" if how == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    )
    api.behave = first(1, Answer(503, headers={"Retry-After": after}), "POST")
    box.put(report_with_files(1, spool))
    started = time.monotonic()
    assert len(box.flush(10)) == 1
    assert time.monotonic() - started > 0.8


def test_nobody_listens(tmp_path: Path, spool: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with (
        ApiClient(url) as client,
        Outbox(tmp_path / "o.db", client, lambda ref: spool / ref.sha256, backoff_s=BACKOFF) as box,
    ):
        box.put(report_with_files(1, spool))
        assert box.start().flush(0.5) == []
        (letter,) = box.pending()
        assert letter.attempts > 1
        assert "cannot be reached" in letter.reason
        port = int(url.rsplit(":", 1)[1])
        with ApiStandIn(port=port) as api:
            assert len(box.flush(10)) == 1
            assert api.made.total() == 1


def test_pauses_double_and_are_capped(tmp_path: Path, spool: Path, api: ApiStandIn) -> None:
    now = [1000.0]
    api.behave = lambda *_: Answer(500)
    with opened(tmp_path, spool, api, backoff_s=(1.0, 8.0), clock=lambda: now[0]) as box:
        box.put(report_with_files(1, spool))
        pauses = []
        for _ in range(6):
            assert box.send_one()
            (next_at,) = box._kept._db.execute("SELECT next_at FROM letter").fetchone()
            pauses.append(next_at - now[0])
            now[0] = next_at
    assert all(0.5 * full <= pause <= full for pause, full in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True))


# -- dead letters --


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_refused_for_good_is_a_dead_letter(box: Outbox, api: ApiStandIn, spool: Path, status: int) -> None:
    api.behave = lambda method, *_: (
        Answer(status, b'{"detail": "lat: 131 is no latitude"}') if method == "POST" else None
    )
    report = report_with_files(1, spool)
    box.put(report)
    box.put_end(end_of(report, spool))
    assert box.flush(5) == []
    (letter,) = box.dead()
    assert letter.reason.endswith(f"answered {status}: lat: 131 is no latitude")
    assert len(box.pending()) == 1, "the end waits for its report"
    api.behave = lambda *_: None
    assert box.redrive() == 1
    assert len(box.flush(5)) == 1
    assert box.pending() == box.dead() == []
    assert len(api.ended) == 1


def test_report_id_used_for_something_else_is_dead(box: Outbox, api: ApiStandIn, spool: Path) -> None:
    body = b'{"type": "urn:kerbwatch:problem:report-differs", "detail": "other payload"}'
    api.behave = first(9, Answer(409, body), "POST")
    box.put(report_with_files(1, spool))
    box.flush(5)
    assert len(box.dead()) == 1


def test_one_dead_letter_does_not_hold_up_the_others(box: Outbox, api: ApiStandIn, spool: Path) -> None:
    api.behave = first(1, Answer(422), "POST")
    for number in range(3):
        box.put(report_with_files(number, spool))
    assert len(box.flush(5)) == 2
    assert box.redrive(box.dead()[0].report_id) == 1
    assert len(box.flush(5)) == 1


def test_evidence_deleted_before_it_was_sent(box: Outbox, spool: Path) -> None:
    report = report_with_files(1, spool)
    box.put(report)
    (spool / report.evidence[0].sha256).unlink()
    box.flush(5)
    assert "is gone" in box.dead()[0].reason


# -- on the disk --


def test_evidence_must_be_on_the_disk_first(box: Outbox, spool: Path) -> None:
    report = report_with_files(1, spool)
    (spool / report.evidence[0].sha256).unlink()
    with pytest.raises(Failure, match="is missing; the report was not kept"):
        box.put(report)
    assert box.pending() == []


def test_letters_outlive_the_process(tmp_path: Path, spool: Path, api: ApiStandIn) -> None:
    with opened(tmp_path, spool, None) as box:
        box.put(report_with_files(1, spool))
    with opened(tmp_path, spool, api) as box:
        assert len(box.start().flush(5)) == 1
    with opened(tmp_path, spool, api) as box:
        assert box.pending() == []
        assert not box.put(report_with_files(1, spool))
        assert len(box.receipts()) == 1
        assert box.prune(keep_s=-1) == 1


def test_sent_evidence_leaves_the_spool_and_what_is_still_needed_stays(
    box: Outbox, spool: Path, api: ApiStandIn
) -> None:
    box.put(report_with_files(1, spool))
    assert box.tidy(-1) == 0
    box.start().flush(5)
    assert len(list(spool.iterdir())) == 2
    assert box.tidy(3600) == 0
    shared = report_with_files(1, spool).evidence
    box.close()
    with opened(spool.parent, spool, None) as later:
        later.put(report_with_files(2, spool).model_copy(update={"evidence": shared}))
        assert later.tidy(-1) == 0
        assert len(list(spool.iterdir())) == 4


def test_a_second_run_leaves_no_files_behind(box: Outbox, spool: Path, api: ApiStandIn) -> None:
    box.put(report_with_files(1, spool))
    box.start().flush(5)
    assert box.tidy(-1) == 2
    assert not box.put(report_with_files(1, spool))
    assert box.tidy(-1) == 2
    assert list(spool.iterdir()) == []


def test_two_senders_never_send_one_letter_at_once(tmp_path: Path, spool: Path, api: ApiStandIn) -> None:
    at_once: dict[str, int] = {}
    most = [0]
    lock = threading.Lock()

    def behave(_: str, path: str, __: int) -> None:
        with lock:
            at_once[path] = at_once.get(path, 0) + 1
            most[0] = max(most[0], at_once[path])
        time.sleep(0.005)
        with lock:
            at_once[path] -= 1

    with opened(tmp_path, spool, None) as box:
        for number in range(20):
            box.put(report_with_files(number, spool))
    api.behave = behave
    with ExitStack() as stack:
        boxes = [stack.enter_context(opened(tmp_path, spool, api)).start() for _ in range(3)]
        for box in boxes:
            box.flush(10)
    puts = [path for method, path in api.seen if method == "PUT"]
    assert len(api.cases) == 20
    assert len(puts) == len(set(puts)), "no file was uploaded twice"
    assert len([path for method, path in api.seen if method == "POST"]) == 20


def test_lease_of_a_sender_that_hangs_runs_out(tmp_path: Path, spool: Path, api: ApiStandIn) -> None:
    now = [1000.0]
    with (
        opened(tmp_path, spool, api, lease_s=60.0, clock=lambda: now[0]) as one,
        opened(tmp_path, spool, api, lease_s=60.0, clock=lambda: now[0]) as two,
    ):
        one.put(report_with_files(1, spool))
        assert one._kept.claim() is not None
        assert not two.send_one()
        now[0] += 61
        assert two.send_one()
        assert len(two.receipts()) == 1


def test_clock_set_back_does_not_hold_letters_for_ever(tmp_path: Path, spool: Path, api: ApiStandIn) -> None:
    now = [1_000_000.0]
    with opened(tmp_path, spool, api, clock=lambda: now[0]) as box:
        box.put(report_with_files(1, spool))
        api.behave = first(1, Answer(500), "POST")
        assert box.send_one()
        now[0] = 10.0
        assert box.send_one()
        assert len(box.receipts()) == 1


def test_full_disk_is_one_sentence_and_loses_nothing(box: Outbox, spool: Path) -> None:
    pages = box._kept._db.execute("PRAGMA page_count").fetchone()[0]
    box._kept._db.execute(f"PRAGMA max_page_count = {pages}")
    reports = [report_with_files(number, spool) for number in range(99)]
    with pytest.raises(Failure, match=r"disk that holds the outbox .* is full"):
        list(map(box.put, reports))
    box._kept._db.execute("PRAGMA max_page_count = 100000")
    assert box.put(report_with_files(99, spool))
    assert {letter.report_id for letter in box.pending()} >= {str(report_with_files(99, spool).report_id)}


def test_file_that_is_no_outbox(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_text("something else " * 1000)
    with pytest.raises(Failure, match="is not an outbox"):
        Outbox(tmp_path / "outbox.db")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="cannot be opened"):
        Outbox(tmp_path / "file" / "outbox.db")


def test_committed_letters_are_synced(box: Outbox) -> None:
    assert box._kept._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert box._kept._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("url", ["", "ftp://host", "localhost:8080", "http://"])
def test_address_without_sense(url: str) -> None:
    with pytest.raises(WrongUse, match="address of an API"):
        ApiClient(url)


def test_answer_without_end_is_cut_off(box: Outbox, api: ApiStandIn, spool: Path) -> None:
    api.behave = first(1, Answer(200, b"x" * (3 << 20)), "POST")
    box.put(report_with_files(1, spool))
    box.send_one()
    assert "without end" in box.pending()[0].reason


# -- kill -9 --


@pytest.mark.timeout(120)
def test_kill_9_at_any_moment(tmp_path: Path, api: ApiStandIn) -> None:
    """Killed again and again while it puts and sends, and the API fails now and then: every report, none twice."""
    count, rng = 40, random.Random(5)
    lock = threading.Lock()

    def behave(*_: object) -> Answer | None:
        with lock:
            dice = rng.random()
        return Answer(500) if dice < 0.05 else Answer(drop="after") if dice < 0.1 else None

    api.behave = behave
    done = subprocess.run(
        [sys.executable, "-m", "tests.ingest.outbox_producer", *map(str, (tmp_path, api.url, count, 20))],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    kills, receipts, pending, dead = (int(number) for number in done.stdout.split())
    assert kills >= 5
    assert (receipts, pending, dead) == (count, 0, 0)
    assert len(api.cases) == count
    assert set(api.made.values()) == {1}
    assert len(api.evidence) == 2 * count
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
