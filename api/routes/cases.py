"""Cases: list, one, its history, and the decision of a person."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Body, Query
from pydantic import AwareDatetime, Field

from api.http import problems
from api.routes.needs import Needed
from api.types import CaseQuery, CaseStatus, HistoryEntry, ReviewRequest
from api.view import CaseView, view
from ingest.report import Kind, Wire

router = APIRouter(prefix="/v1/cases", tags=["cases"])

EXAMPLES: Final = {
    "confirm": {"value": {"verdict": "confirm", "operator": "li.na", "version": 1}},
    "reject": {"value": {"verdict": "reject", "operator": "li.na", "reason": "loading permit", "version": 1}},
    "confirm, box corrected": {
        "value": {
            "verdict": "confirm",
            "operator": "li.na",
            "correction": {"box": {"x0": 0.3, "y0": 0.6, "x1": 0.45, "y1": 0.8}, "label": "truck"},
        }
    },
    "reject, nothing there": {
        "value": {"verdict": "reject", "operator": "li.na", "reason_code": "not_there", "version": 1}
    },
}


class CaseList(Wire):
    """A page of cases, newest first."""

    cases: tuple[CaseView, ...]
    next_before: int | None = Field(description="Pass as `before` for older ones; null: there are none.")


class History(Wire):
    """Everything that happened to a case, oldest first."""

    case_id: UUID
    entries: tuple[HistoryEntry, ...]


@router.get(
    "",
    operation_id="listCases",
    summary="List cases, newest first",
    responses=problems(401, 422, 503),
)
def list_cases(
    services: Needed,
    status: Annotated[list[CaseStatus] | None, Query(description="Repeat for several.")] = None,
    kind: Annotated[list[Kind] | None, Query(description="Repeat for several.")] = None,
    source_id: Annotated[list[str] | None, Query(description="Camera; repeat for several.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Observed at or after, with offset.")] = None,
    before: Annotated[int | None, Query(ge=1, description="`next_before` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> CaseList:
    """Give a page of cases, newest first."""
    query = CaseQuery(
        statuses=tuple(status or ()),
        kinds=tuple(kind or ()),
        source_ids=tuple(source_id or ()),
        since=since,
        before=before,
        limit=limit,
    )
    page = services.list_cases(query)
    return CaseList(cases=tuple(map(view, page.cases)), next_before=page.next_before)


@router.get(
    "/{case_id}",
    operation_id="getCase",
    summary="One case",
    responses=problems(401, 404, 422, 503),
)
def get_case(case_id: UUID, services: Needed) -> CaseView:
    """Give one case."""
    return view(services.get_case(case_id))


@router.get(
    "/{case_id}/history",
    operation_id="getCaseHistory",
    summary="What happened to a case",
    responses=problems(401, 404, 422, 503),
)
def get_history(case_id: UUID, services: Needed) -> History:
    """Give everything that happened to a case, oldest first."""
    return History(case_id=case_id, entries=tuple(services.history(case_id)))


@router.post(
    "/{case_id}/reviews",
    operation_id="reviewCase",
    summary="Confirm or reject a case",
    responses=problems(401, 404, 409, 413, 422, 503, 507),
)
def review_case(
    case_id: UUID,
    review: Annotated[ReviewRequest, Body(openapi_examples=EXAMPLES)],
    services: Needed,
) -> CaseView:
    """Take a person's decision; a confirmed case is handed to dispatch.

    The same decision of the same operator again is answered with the case as it is. 409: somebody else
    decided otherwise, or the case moved on since `version`. A reason code and a correction, both optional,
    teach the next model; they change nothing of the case that is filed.
    """
    return view(services.review_case(case_id, review))
