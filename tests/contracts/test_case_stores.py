"""What every CaseStore promises, asked of SQLite and, where Debian's binaries are, of PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from api.errors import Conflict
from api.evidence import open_evidence
from api.services import Services
from api.store import AlreadyReportedError, open_store
from api.types import (
    CaseQuery,
    CaseStatus,
    Dispatch,
    DispatchJob,
    HistoryEntry,
    Receipt,
    Review,
    ReviewRequest,
    Step,
    VerdictQuery,
    moved,
    open_case,
)
from ingest.report import CaseReport, EventEnd, report_id_of

AT = datetime(2026, 11, 23, 1, 15, 0, 123456, tzinfo=UTC)
PG = Path("/usr/lib/postgresql/15/bin")


def as_postgres(*command: str) -> list[str]:
    return (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        if os.getuid() == 0
        else [*command]
    )


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    pytest.importorskip("psycopg")
    if not (PG / "initdb").exists() or (os.getuid() == 0 and not shutil.which("setpriv")):
        pytest.skip("Debian's PostgreSQL 15 is not installed")
    root = Path("/tmp") / f"kerbwatch-pg-{uuid4().hex[:8]}"
    root.mkdir(mode=0o700)
    if os.getuid() == 0:
        shutil.chown(root, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = str(root / "data")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": root}
    subprocess.run(
        as_postgres(str(PG / "initdb"), "-D", data, "-U", "kerb", "-A", "trust", "-N"), check=True, **quiet
    )
    options = f"-p {port} -k {root} -c listen_addresses=127.0.0.1 -c fsync=off"
    pg_ctl = str(PG / "pg_ctl")
    subprocess.run(
        as_postgres(pg_ctl, "-D", data, "-w", "-l", str(root / "log"), "-o", options, "start"),
        check=True,
        **quiet,
    )
    yield f"postgresql+psycopg://kerb@127.0.0.1:{port}"
    subprocess.run(as_postgres(pg_ctl, "-D", data, "-m", "immediate", "stop"), check=True, **quiet)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/cases.db"
        return
    import psycopg

    server = request.getfixturevalue("postgresql")
    name = f"t{uuid4().hex[:12]}"
    with psycopg.connect(f"{server.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{server}/{name}"


@pytest.fixture
def store(url):
    store = open_store(url)
    yield store
    store.close()


def a_case(number=1):
    report = CaseReport.model_validate(
        {
            "report_id": report_id_of("cam", "road_litter", "z", str(number), AT),
            "kind": "road_litter",
            "code": {"scheme": "GB/T 47678.5", "version": "2026", "code": "06012"},
            "source_id": "南大街-1",
            "zone_id": "z",
            "started_at": AT,
            "observed_at": AT,
            "location": {"lat": 31.7791234567, "lon": 119.9511, "error_m": 1, "method": "homography"},
            "confidence": 0.5,
            "model": "street@1",
            "label": "litter",
            "box": {"x0": 0, "y0": 0, "x1": 1, "y1": 1},
        }
    )
    return open_case(report, AT)


def a_job(case, number=1):
    dispatch = Dispatch(
        dispatch_id=UUID(int=number),
        action="file",
        state="pending",
        attempts=0,
        idempotency_key=UUID(int=1000 + number),
        created_at=AT,
        next_at=AT,
    )
    return DispatchJob(case_id=case.case_id, dispatch=dispatch, body='{"case_id": "…"}')


def add(store, case, *jobs):
    with store.write() as tx:
        tx.add_case(case, "digest")
        for job in jobs:
            tx.add_dispatch(job)
    return case


def test_twenty_threads_with_one_report_make_one_case(store, tmp_path):
    services = Services(store=store, evidence=open_evidence("folder", str(tmp_path / "evidence")))
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(services.accept_report, [a_case().report] * 20))
    assert sum(created for _, created in results) == 1
    assert len({case.case_id for case, _ in results}) == 1


def test_ten_operators_at_once_make_one_decision(store, tmp_path):
    services = Services(store=store, evidence=open_evidence("folder", str(tmp_path / "evidence")))
    case, _ = services.accept_report(a_case().report)

    def decide(number):
        request = ReviewRequest(verdict="confirm" if number % 2 else "reject", operator=f"op{number}")
        try:
            services.review_case(case.case_id, request)
        except Conflict:
            return 0
        return 1

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(decide, range(10))) == 1


def test_a_case_comes_back_as_it_went_in(store):
    case = add(store, a_case())
    with store.read() as tx:
        assert tx.case(case.case_id) == case
        assert tx.case_of_report(case.report.report_id) == (case, "digest")
        assert tx.case(uuid4()) is None
        assert tx.case_of_report(uuid4()) is None


def test_a_report_opens_one_case(store):
    case = add(store, a_case())
    with pytest.raises(AlreadyReportedError):
        add(store, a_case())
    with store.read() as tx:
        assert tx.cases(CaseQuery()).cases == (case,)


def test_an_exception_rolls_everything_back(store):
    def broken():
        with store.write() as tx:
            tx.add_case(a_case(), "digest")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    with store.read() as tx:
        assert tx.cases(CaseQuery()).cases == ()


def test_the_lock_is_optimistic(store):
    case = add(store, a_case())
    confirmed = moved(case, Step.CONFIRM, AT + timedelta(seconds=1))
    with store.write() as tx:
        tx.save(confirmed)
        assert tx.case(case.case_id) == confirmed
    with pytest.raises(Conflict, match="changed by someone else"), store.write() as tx:
        tx.save(moved(case, Step.REJECT, AT))


def test_writers_wait_for_each_other(store):
    case = add(store, a_case())
    inside = threading.Event()

    def slow():
        with store.write() as tx:
            tx.case(case.case_id)
            inside.set()
            threading.Event().wait(0.3)
            tx.save(moved(case, Step.CONFIRM, AT))

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(slow)
        inside.wait(10)
        with store.write() as tx:
            assert tx.case(case.case_id).status is CaseStatus.CONFIRMED
        done.result()


def test_reviews_end_and_history_belong_to_the_case(store):
    case = add(store, a_case())
    review = Review(verdict="confirm", operator="李", reason="", at=AT)
    end = EventEnd(report_id=case.report.report_id, ended_at=AT)
    with store.write() as tx:
        tx.add_review(case.case_id, review)
        tx.set_end(case.case_id, end, AT)
        for what in ("reported", "confirm"):
            tx.add_history(
                HistoryEntry(
                    entry=0, case_id=case.case_id, at=AT, what=what, actor="李", note="", status=case.status
                )
            )
    with store.read() as tx:
        found = tx.case(case.case_id)
        assert (found.reviews, found.end, found.version) == ((review,), end, 1)
        lines = tx.history(case.case_id)
        assert [line.what for line in lines] == ["reported", "confirm"]
        assert [line.at for line in lines] == [AT, AT]
        assert tx.changes(lines[0].entry, 10) == [lines[1]]
        assert tx.last_change() == lines[1].entry


def test_pages_and_filters(store):
    cases = [add(store, a_case(number)) for number in range(5)]
    with store.read() as tx:
        page = tx.cases(CaseQuery(limit=2))
        assert page.cases == (cases[4], cases[3])
        rest = tx.cases(CaseQuery(limit=3, before=page.next_before))
        assert (rest.cases, rest.next_before) == ((cases[2], cases[1], cases[0]), None)
        assert tx.cases(CaseQuery(since=AT)).cases
        assert not tx.cases(CaseQuery(since=AT + timedelta(seconds=1))).cases
        assert not tx.cases(CaseQuery(statuses=(CaseStatus.CLOSED,))).cases
        assert len(tx.cases(CaseQuery(kinds=("road_litter",), source_ids=("南大街-1",))).cases) == 5


def test_a_dispatch_is_leased_to_one(store):
    case = a_case()
    add(store, case, a_job(case))
    until = AT + timedelta(seconds=60)

    def lease(_):
        with store.write() as tx:
            return len(tx.lease_dispatches(AT, until, 10))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lease, range(8))) == 1
    with store.write() as tx:
        assert len(tx.lease_dispatches(until, until + timedelta(seconds=60), 10)) == 1


def test_a_dispatch_not_yet_due_waits(store):
    case = a_case()
    add(store, case, a_job(case))
    with store.write() as tx:
        assert not tx.lease_dispatches(AT - timedelta(seconds=1), AT, 10)


def test_a_dispatch_comes_back_as_it_was_saved(store):
    case = a_case()
    job = a_job(case)
    add(store, case, job)
    receipt = Receipt(receipt_id="SZ1", accepted_at=AT, deadline=AT + timedelta(hours=2))
    done = job.dispatch.model_copy(
        update={"state": "delivered", "attempts": 2, "next_at": None, "receipt": receipt}
    )
    with store.write() as tx:
        tx.save_dispatch(done)
    with store.read() as tx:
        assert tx.dispatch(job.dispatch.dispatch_id).dispatch == done
        assert tx.case(case.case_id).dispatch == done
        assert tx.dispatches("dead", 10) == []
        assert [job.case_id for job in tx.dispatches("delivered", 10)] == [case.case_id]
        assert tx.counts().by_dispatch_state == {"delivered": 1}


def test_a_callback_is_noted_once(store):
    for first in (True, False):
        with store.write() as tx:
            assert tx.first_callback("m1", AT) is first


def test_a_lease_has_one_owner_until_it_is_over_or_given_up(store):
    def take(owner, at, names=("cam-1", "cam-2")):
        with store.write() as tx:
            leases = tx.take_leases(names, owner, at, at + timedelta(seconds=30))
        return {lease.source_id: (lease.owner, lease.since) for lease in leases}

    later = AT + timedelta(seconds=20)
    assert take("a", AT, ["cam-1"]) == {"cam-1": ("a", AT)}
    assert take("b", AT) == {"cam-1": ("a", AT), "cam-2": ("b", AT)}
    assert take("a", later)["cam-1"] == ("a", AT)  # renewed: had since the beginning
    assert take("b", AT + timedelta(seconds=40))["cam-1"] == ("a", AT)
    over = AT + timedelta(seconds=50)
    assert take("b", over)["cam-1"] == ("b", over)
    with store.write() as tx:
        tx.drop_leases(["cam-1"], "a")
    assert take("a", over)["cam-1"] == ("b", over)
    with store.write() as tx:
        tx.drop_leases(["cam-1", "cam-2"], "b")
    assert take("a", over) == {"cam-1": ("a", over), "cam-2": ("a", over)}


def test_of_many_who_ask_for_a_camera_at_once_one_gets_it(store):
    names = [f"cam-{number}" for number in range(20)]

    def ask(owner):
        with store.write() as tx:
            return [lease.owner for lease in tx.take_leases(names, owner, AT, AT + timedelta(seconds=30))]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, [f"owner-{number}" for number in range(8)]))
    assert len({tuple(answer) for answer in answers}) == 1
    assert len(set(answers[0])) == 1


def test_opening_again_keeps_everything(url):
    store = open_store(url)
    case = add(store, a_case())
    store.close()
    store = open_store(url)
    with store.read() as tx:
        assert tx.case(case.case_id) == case
    store.close()


def test_verdicts_come_back_in_order_with_their_cases(store):
    correction = {"box": {"x0": 0.1, "y0": 0.2, "x1": 0.3, "y1": 0.4}}
    cases = [add(store, a_case(number)) for number in range(3)]
    with store.write() as tx:
        for minute, case in enumerate(reversed(cases)):
            tx.add_review(
                case.case_id,
                Review.model_validate(
                    {
                        "verdict": "confirm",
                        "operator": "li",
                        "reason": "",
                        "correction": correction,
                        "at": AT + timedelta(minutes=minute),
                    }
                ),
            )
    with store.read() as tx:
        first = tx.verdicts(VerdictQuery(limit=2))
        rest = tx.verdicts(VerdictQuery(limit=2, after=first.next_after or 0))
        late = tx.verdicts(VerdictQuery(since=AT + timedelta(minutes=2)))
    found = [*first.verdicts, *rest.verdicts]
    assert [one.case.case_id for one in found] == [case.case_id for case in reversed(cases)]
    assert rest.next_after is None
    assert [one.case.case_id for one in late.verdicts] == [cases[0].case_id]
    assert found[0].review.correction.model_dump(exclude_none=True) == correction


def test_many_servers_starting_at_once_make_the_tables_once(url):
    program = "import sys; from api.store import open_store; open_store(sys.argv[1]).close()"
    servers = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(2)]
    assert [server.wait(60) for server in servers] == [0, 0]
    store = open_store(url)
    add(store, a_case())
    store.close()
