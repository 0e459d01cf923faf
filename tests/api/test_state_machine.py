"""The whole life of cases against a model, in any order that Hypothesis thinks of."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from api.errors import Conflict
from api.evidence import open_evidence
from api.services import Callback, CaseQuery, Services
from api.settings import Retry
from api.store import open_store
from api.types import LEGAL_STEPS, CaseStatus, Receipt, ReviewRequest, Step
from ingest.report import CaseReport, report_id_of

START = datetime(2026, 11, 23, 1, 15, tzinfo=UTC)


class LifeOfCases(RuleBasedStateMachine):
    cases = Bundle("cases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        self.at = START
        self.services = Services(
            store=open_store(f"sqlite:///{root}/cases.db"),
            evidence=open_evidence("folder", str(root / "evidence")),
            now=lambda: self.at,
            chance=lambda: 0.0,
            retry=Retry(attempts_max=3, base_s=1.0, cap_s=4.0, lease_s=10.0),
        )
        self.status: dict[object, CaseStatus] = {}
        self.verdicts: dict[object, tuple[str, str]] = {}
        self.dispatch: dict[object, str] = {}

    def teardown(self) -> None:
        self.services.store.close()
        self.folder.cleanup()

    @rule(target=cases, number=st.integers(0, 4))
    def report(self, number):
        report = CaseReport.model_validate(
            {
                "report_id": report_id_of("cam", "road_litter", "z", str(number), START),
                "kind": "road_litter",
                "code": {"scheme": "GB/T 47678.5", "version": "2026", "code": "06012"},
                "source_id": "cam",
                "zone_id": "z",
                "started_at": START,
                "observed_at": START,
                "location": {"lat": 0, "lon": 0, "error_m": 1, "method": "camera_position"},
                "confidence": 0.5,
                "model": "street@1",
                "label": "litter",
                "box": {"x0": 0, "y0": 0, "x1": 1, "y1": 1},
            }
        )
        case, created = self.services.accept_report(report)
        assert created == (case.case_id not in self.status)
        self.status.setdefault(case.case_id, CaseStatus.REPORTED)
        return case.case_id

    @rule(
        case_id=cases, verdict=st.sampled_from(["confirm", "reject"]), operator=st.sampled_from(["li", "wu"])
    )
    def review(self, case_id, verdict, operator):
        was = self.status[case_id]
        request = ReviewRequest(verdict=verdict, operator=operator)
        if was is CaseStatus.REPORTED:
            case = self.services.review_case(case_id, request)
            self.status[case_id] = case.status
            self.verdicts[case_id] = (verdict, operator)
            if verdict == "confirm":
                self.dispatch[case_id] = "pending"
            return
        try:
            case = self.services.review_case(case_id, request)
        except Conflict:
            assert self.verdicts[case_id] != (verdict, operator)
        else:
            assert self.verdicts[case_id] == (verdict, operator)
            assert case.status is was

    @rule(outcome=st.sampled_from(["taken", "failed", "refused", "lost"]))
    def dispatch_round(self, outcome):
        for job in self.services.due_dispatches():
            assert self.dispatch[job.case_id] == "pending"
            self._settle(job, outcome)

    def _settle(self, job, outcome):
        dispatch_id = job.dispatch.dispatch_id
        if outcome == "taken":
            self.services.record_receipt(dispatch_id, Receipt(receipt_id=f"R-{job.case_id}"))
            self.dispatch[job.case_id] = "delivered"
            self.status[job.case_id] = CaseStatus.DISPATCHED
        elif outcome in {"failed", "refused"}:
            after = self.services.record_failure(dispatch_id, "no", permanent=outcome == "refused")
            self.dispatch[job.case_id] = after.state

    @rule(seconds=st.sampled_from([1, 5, 20]))
    def wait(self, seconds):
        self.at += timedelta(seconds=seconds)

    @rule(case_id=cases)
    def redrive(self, case_id):
        dispatch = self.services.get_case(case_id).dispatch
        if dispatch is None:
            return
        try:
            self.services.redrive(dispatch.dispatch_id, "li")
        except Conflict:
            assert self.dispatch[case_id] != "dead"
        else:
            assert self.dispatch[case_id] == "dead"
            self.dispatch[case_id] = "pending"

    @rule(case_id=cases, said=st.sampled_from(["accepted", "handled", "returned", "closed"]))
    def platform_calls_back(self, case_id, said):
        callback = Callback(case_id=case_id, receipt_id=f"R-{case_id}", status=said, at=self.at)
        try:
            case = self.services.handle_callback(str(uuid4()), callback)
        except Conflict:
            return
        assert case_id in self.dispatch
        self.dispatch[case_id] = "delivered"
        self.status[case_id] = case.status

    @invariant()
    def the_store_agrees_with_the_model(self):
        for case in self.services.list_cases(CaseQuery()).cases:
            assert case.status is self.status[case.case_id]
            assert (case.dispatch.state if case.dispatch else None) == self.dispatch.get(case.case_id)

    @invariant()
    def history_is_a_legal_walk(self):
        for case_id in self.status:
            at, version = CaseStatus.REPORTED, 1
            for entry in self.services.history(case_id):
                if entry.what in set(Step):
                    at = LEGAL_STEPS[at, Step(entry.what)]
                    version += 1
                assert entry.status is at
            assert self.services.get_case(case_id).version == version


TestLifeOfCases = LifeOfCases.TestCase
TestLifeOfCases.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
